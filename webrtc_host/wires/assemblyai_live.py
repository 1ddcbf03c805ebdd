"""The codec of AssemblyAI's streaming v3: `GET /v3/ws` as a WebSocket. Pure.

A turn is one utterance or more of the speech detector. It begins with its first words, and ends when the
silence after it is long enough (`Settings`), or when the client forces it. Each `Turn` message has the whole
turn so far and replaces the one before. Invariants: each turn has one message with `end_of_turn`, or two with
the same text when the client wants formatted text; after it comes the next `turn_order`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from host_stt.contract import RequestError
from webrtc_host.wires.assemblyai_options import Options, Settings
from webrtc_host.wires.estimates import UNKNOWN_CONFIDENCE, confidence_of, spread
from webrtc_host.wires.messages import (
    SERVER_STOPPING,
    Action,
    Audio,
    End,
    Failed,
    Final,
    Finish,
    Forced,
    ForceEnd,
    Frame,
    Goodbye,
    Interim,
    Open,
    Opened,
    Result,
    Say,
    SetLanguage,
    SetTerms,
    Settled,
    SpeechBegan,
    SpeechStopped,
    StreamSpec,
    Tick,
    UtteranceDone,
)

STREAM = "0"
LABEL = "AssemblyAI"
TEXT_CHARS_MAX = 64 * 1024
SILENCE_MS = 1000
"""Silence that is acknowledged in one message, or more."""
HEARTBEAT_S = 5.0
SERVER_ERROR, BAD_INPUT, BAD_CHUNK, EXPIRED, TOO_MANY, BUSY = 3005, 3006, 3007, 3008, 3009, 1013
"""Close codes, which are the `error_code` of the message before too."""


def code_of(error: RequestError) -> int:
    """The close code of an error."""
    if error.code in ("idle", "session_expired"):
        return EXPIRED
    if error.status == 413:
        return BAD_CHUNK
    if error.status == 429:
        return TOO_MANY
    if error.retry_after_s is not None:
        return BUSY
    return BAD_INPUT if error.status < 500 else SERVER_ERROR


class AssemblyAiLive:
    def __init__(
        self, options: Options, session_id: str, longest_s: float, now_s: Callable[[], float], model: str
    ) -> None:
        """longest_s: the session ends after it. now_s: Unix time. model: the name of the engine's model."""
        self._options = options
        self._settings: Settings = options.settings
        self._id = session_id
        self._longest_s = longest_s
        self._now_s = now_s
        self._began_s = now_s()
        self._model = model
        self._order = 0
        self._is_open = False  # a message of this turn was given, or a part of it failed
        self._is_told = False  # SpeechStarted of this turn was given
        self._finals: list[Final] = []
        self._interim: Interim | None = None  # after the finals
        self._speaking: set[str] = set()  # utterances whose speech continues
        self._pending: dict[str, int] = {}  # utterances that are not done -> start in ms
        self._start_ms = 0  # of the turn's first speech
        self._speech_end_ms = 0  # of the newest utterance whose speech has ended
        self._received_ms = self._live_ms = self._pause_ms = 0
        self._quiet_from_ms = 0  # silence before it was acknowledged, or was none
        self._beat_s = self._began_s
        self._had_speech = False  # since the last heartbeat
        self.opened: Opened | None = None

    # --- from the client ---

    def begin(self) -> list[Action]:
        options, settings = self._options, self._settings
        stream = StreamSpec(STREAM, options.channel, LABEL, settings.language, settings.terms)
        return [Open(options.audio, (stream,), session=options.session)]

    def on_text(self, text: str, now_s: float) -> list[Action]:
        try:
            message: Any = json.loads(text) if len(text) <= TEXT_CHARS_MAX else None
        except (ValueError, RecursionError):
            message = None
        match message:
            case {"type": "Terminate"}:
                return [Finish()]
            case {"type": "ForceEndpoint"}:
                return [ForceEnd()]
            case {"type": "KeepAlive"}:
                return []
            case {"type": "UpdateConfiguration"}:
                return self._configure(dict(message))
        known = "Terminate, ForceEndpoint, KeepAlive, UpdateConfiguration"
        return [_complaint(f"a text message is a JSON object with one of the types {known}; it was ignored")]

    def on_bytes(self, data: bytes) -> list[Action]:
        return [Audio(data)]

    def _configure(self, message: dict[str, Any]) -> list[Action]:
        """Change what is given. When one value is refused, nothing changes."""
        try:
            changed = self._settings.changed(message)
        except RequestError as error:
            return [_complaint(f"the configuration did not change: {error.message}")]
        before, self._settings = self._settings, changed
        actions: list[Action] = []
        if changed.terms != before.terms:
            actions.append(SetTerms(changed.terms))
        if changed.language != before.language:
            actions.append(SetLanguage(changed.language))
        return actions

    # --- to the client ---

    def on_result(self, result: Result) -> list[Frame]:
        match result:
            case Opened():
                self.opened = result
                return [self._begin_message(result)]
            case SpeechBegan():
                self._speech_began(result)
            case SpeechStopped():
                self._speaking.discard(result.utterance)
                self._speech_end_ms = max(self._speech_end_ms, result.end_ms)
            case Interim() if result.text and result.utterance in self._pending:
                self._interim = result
                return self._text_changed()
            case Final():
                self._finals.append(result)
                self._drop_interim(result.utterance)
                return self._text_changed()
            case Failed():
                self._is_open = True  # the client gets an end of the turn, if need be without text
            case UtteranceDone():
                self._pending.pop(result.utterance, None)
                self._drop_interim(result.utterance)
                self._quiet_from_ms = max(self._quiet_from_ms, result.end_ms)
                return self._judged()
            case Settled():
                return self._silence(result.to_ms)
            case Forced():
                return self._forced()
            case Tick():
                return self._ticked(result)
        return []

    def on_end(self, end: End) -> Goodbye:
        frames = self._ended()
        if end.error is not None:
            code = code_of(end.error)
            frames.append(_frame("Error", error_code=code, error=end.error.message))
            return Goodbye(code, end.error.message, tuple(frames))
        frames.append(
            _frame(
                "Termination",
                audio_duration_seconds=round(self._received_ms / 1000),
                session_duration_seconds=round(max(0.0, self._now_s() - self._began_s)),
            )
        )
        return Goodbye(1001 if end.reason == SERVER_STOPPING else 1000, end.reason, tuple(frames))

    def _begin_message(self, opened: Opened) -> Frame:
        return _frame(
            "Begin",
            id=self._id,
            expires_at=int(self._began_s + self._longest_s),
            configuration={"model": self._model},
            session=opened.session,  # ours: where the text is
            channel=opened.channels[STREAM],
        )

    def _speech_began(self, began: SpeechBegan) -> None:
        if not self._is_open and not self._pending:
            self._start_ms = began.start_ms
        self._speaking.add(began.utterance)
        self._pending[began.utterance] = began.start_ms
        self._had_speech = True

    def _drop_interim(self, utterance: str) -> None:
        if self._interim is not None and self._interim.utterance == utterance:
            self._interim = None

    def _text_changed(self) -> list[Frame]:
        frames: list[Frame] = []
        if not self._is_told:
            # Only now, because a client waits for the end of a turn after it, and noise has no turn.
            frames.append(_frame("SpeechStarted", timestamp=self._start_ms))
        self._is_open = self._is_told = True
        if self._options.has_partials:
            frames.append(self._turn())
        return frames

    def _ticked(self, tick: Tick) -> list[Frame]:
        clock = tick.streams[STREAM]
        self._received_ms, self._live_ms, self._pause_ms = clock.received_ms, clock.live_ms, clock.pause_ms
        now_s = self._now_s()
        if now_s - self._began_s > self._longest_s:
            message = f"the session has lasted {self._longest_s:g} s, which is its limit"
            raise RequestError("session_expired", message, 408)
        return [*self._judged(), *self._heartbeat(now_s)]

    def _judged(self) -> list[Frame]:
        """The end of the turn, when its last speech was long enough ago."""
        if self._pending or self._speaking:
            return []
        silence_ms, settings = max(0, self._live_ms - self._speech_end_ms), self._settings
        is_believed = (
            confidence_of(silence_ms) >= settings.end_threshold and silence_ms >= settings.min_silence_ms
        )
        return self._ended() if is_believed or silence_ms >= settings.max_silence_ms else []

    def _forced(self) -> list[Frame]:
        """All audio before `ForceEndpoint` is final. The interim belongs to the speech after it."""
        self._interim = None
        return self._ended() if self._finals or not self._pending else []

    def _ended(self) -> list[Frame]:
        """The end of the turn, if there is one."""
        frames: list[Frame] = []
        if self._is_open:
            frames.append(self._turn(is_end=True))
            if self._settings.has_formatted:
                frames.append(self._turn(is_end=True, is_formatted=True))
            self._order += 1
        self._finals.clear()
        self._interim = None
        self._is_open = self._is_told = False
        self._start_ms = min(self._pending.values(), default=self._live_ms)
        return frames

    def _turn(self, *, is_end: bool = False, is_formatted: bool = False) -> Frame:
        texts = [final.text for final in self._finals]
        words = [
            _word(word.text, word.start_ms, word.end_ms, word.p, is_final=True)
            for final in self._finals
            for word in final.words or spread(final.text, final.start_ms, final.end_ms)
        ]
        if (interim := self._interim) is not None:
            texts.append(interim.text)
            words += [
                _word(word.text, word.start_ms, word.end_ms, None, is_final=is_end)
                for word in spread(interim.text, interim.start_ms, interim.end_ms)
            ]
        silence_ms = self._pause_ms if self._speaking else max(0, self._live_ms - self._speech_end_ms)
        body: dict[str, Any] = {
            "turn_order": self._order,
            "turn_is_formatted": is_formatted,
            "end_of_turn": is_end,
            "transcript": " ".join(text for text in texts if text),
            "end_of_turn_confidence": confidence_of(silence_ms),
            "words": words,
        }
        languages = [final.language for final in self._finals if final.language]
        if languages:
            body["language_code"] = languages[-1]
        return _frame("Turn", **body)

    def _silence(self, to_ms: int) -> list[Frame]:
        """Acknowledge the silence up to `to_ms`, where everything is decided."""
        start_ms = self._quiet_from_ms
        if self._pending or to_ms - start_ms < SILENCE_MS:
            return []
        self._quiet_from_ms = to_ms
        return [_frame("Silence", start_ms=start_ms, end_ms=to_ms)] if self._settings.has_silence else []

    def _heartbeat(self, now_s: float) -> list[Frame]:
        if now_s - self._beat_s < HEARTBEAT_S:
            return []
        has_speech = self._had_speech or bool(self._speaking)
        self._beat_s, self._had_speech = now_s, False
        if not self._settings.has_heartbeat:
            return []
        duration_ms = round((now_s - self._began_s) * 1000)
        return [
            _frame(
                "Heartbeat",
                total_audio_received_ms=self._received_ms,
                total_duration_ms=duration_ms,
                realtime_factor=round(self._received_ms / duration_ms, 3),
                max_speech_probability=1.0 if has_speech else 0.0,
            )
        ]


def _word(text: str, start_ms: int, end_ms: int, p: float | None, *, is_final: bool) -> dict[str, Any]:
    confidence = UNKNOWN_CONFIDENCE if p is None else p
    times = {"start": start_ms, "end": end_ms}
    return {"text": text, **times, "confidence": confidence, "word_is_final": is_final}


def _complaint(text: str) -> Say:
    return Say((_frame("Warning", warning_code=BAD_INPUT, warning=text),), is_complaint=True)


def _frame(kind: str, **fields: Any) -> Frame:
    return json.dumps({"type": kind, **fields}, ensure_ascii=False)
