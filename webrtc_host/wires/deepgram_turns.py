"""The codec of Deepgram v2 (Flux), live: `GET /v2/listen` as a WebSocket. Pure.

A turn is one utterance or more of the speech detector. It starts with the first words, and ends when the
silence after it is long enough for `eot_threshold` (`confidence_of`), or lasts `eot_timeout_ms`, or when the
client forces it. `TABLE` has the moves. Invariants: a turn has one StartOfTurn and one EndOfTurn; an
EndOfTurn directly after an EagerEndOfTurn has the same transcript; nothing but TurnResumed or EndOfTurn
follows an EagerEndOfTurn.
"""

from __future__ import annotations

import json
from typing import Any

from host_stt.contract import RequestError
from host_stt_common.languages import read_language
from webrtc_host.events import TimedWord
from webrtc_host.wires.deepgram_live import TEXT_CHARS_MAX
from webrtc_host.wires.deepgram_query import Thresholds, TurnOptions, checked_terms
from webrtc_host.wires.deepgram_turn_table import TABLE, Move, Turn
from webrtc_host.wires.deepgram_words import close_of, seconds_of
from webrtc_host.wires.estimates import UNKNOWN_CONFIDENCE, confidence_of, spread
from webrtc_host.wires.messages import (
    SERVER_STOPPING,
    Action,
    Audio,
    End,
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
    SetTerms,
    SpeechBegan,
    SpeechStopped,
    StreamSpec,
    Tick,
    UtteranceDone,
)

UPDATE_MS = 250
"""Audio between two Updates."""
STABLE_MS = 200
"""The interim text covers the speech when it ends this close to the beginning of the pause."""
FORCED_ONLY = 1.0
"""With this threshold only `ForceEndTurn` ends a turn."""
ERROR_CODES = {1008: "BAD_REQUEST", 1011: "INTERNAL_SERVER_ERROR"}


class DeepgramTurns:
    def __init__(self, options: TurnOptions, request_id: str) -> None:
        self._options = options
        self._request_id = request_id
        self._thresholds: Thresholds = options.thresholds
        self._terms = options.target.terms
        self._hints = options.hints
        self._sequence = 0
        self._turn = Turn.NONE
        self._index = 0
        self._window_start_ms = 0
        self._finals: list[Final] = []
        self._interim: Interim | None = None  # after the finals
        self._speaking: set[str] = set()  # utterances whose speech continues
        self._pending: set[str] = set()  # utterances that are not done
        self._speech_end_ms = 0  # of the newest utterance whose speech has ended
        self._eager_text = ""
        self._received_ms = self._live_ms = self._pause_ms = 0
        self._updated_ms = 0  # received audio at the last event of this turn
        self._is_forced = False
        self.opened: Opened | None = None

    # --- from the client ---

    def begin(self) -> list[Action]:
        target = self._options.target
        if self._options.audio.channels > 1:
            raise RequestError("bad_request", "a turn has one channel: send mono", 400)
        stream = StreamSpec("0", target.channel, target.label, target.language, target.terms)
        return [Open(self._options.audio, (stream,), session=target.session)]

    def on_text(self, text: str, now_s: float) -> list[Action]:
        try:
            message: Any = json.loads(text) if len(text) <= TEXT_CHARS_MAX else None
        except (ValueError, RecursionError):
            message = None
        match message:
            case {"type": "CloseStream"}:
                return [Finish()]
            case {"type": "ForceEndTurn"}:
                self._is_forced = True
                return [ForceEnd()]
            case {"type": "KeepAlive"}:  # of v1; harmless
                return []
            case {"type": "Configure"}:
                return self._configure(dict(message))
        known = "CloseStream, Configure, ForceEndTurn"
        warning = f"a text message is a JSON object with one of the types {known}; it was ignored"
        frame = self._frame("Warning", code="UNPARSABLE_CLIENT_MESSAGE", description=warning)
        return [Say((frame,), is_complaint=True)]

    def on_bytes(self, data: bytes) -> list[Action]:
        return [Audio(data)]

    def _configure(self, message: dict[str, Any]) -> list[Action]:
        """Change what is given. When one value is refused, nothing changes."""
        try:
            given = message.get("thresholds")
            thresholds = self._thresholds.changed(_checked_object("thresholds", given))
            keyterms, hints = message.get("keyterms"), message.get("language_hints")
            terms = self._terms if keyterms is None else checked_terms(_as_list(keyterms))
            hints = self._hints if hints is None else _checked_hints(hints)
        except RequestError as error:
            return [Say((self._frame("ConfigureFailure", code="BAD_REQUEST", description=error.message),))]
        has_new_terms = terms != self._terms
        self._thresholds, self._terms, self._hints = thresholds, terms, hints
        said = self._frame(
            "ConfigureSuccess",
            thresholds={
                "eot_threshold": thresholds.end,
                "eager_eot_threshold": thresholds.eager,
                "eot_timeout_ms": thresholds.timeout_ms,
            },
            keyterms=list(terms),
            language_hints=list(hints),
        )
        return [*([SetTerms(terms)] if has_new_terms else []), Say((said,))]

    # --- to the client ---

    def on_result(self, result: Result) -> list[Frame]:
        match result:
            case Opened():
                self.opened = result
                return [self._frame("Connected")]
            case SpeechBegan():
                self._speaking.add(result.utterance)
                self._pending.add(result.utterance)
                return self._resumed()
            case SpeechStopped():
                self._speaking.discard(result.utterance)
                self._speech_end_ms = max(self._speech_end_ms, result.end_ms)
            case Interim() if result.text:
                return self._new_interim(result)
            case Final():
                return self._new_final(result)
            case UtteranceDone():
                self._pending.discard(result.utterance)
                if self._interim is not None and self._interim.utterance == result.utterance:
                    self._interim = None
                return self._judged()
            case Forced():
                return self._forced()
            case Tick():
                clock = result.streams["0"]
                self._received_ms, self._live_ms = clock.received_ms, clock.live_ms
                self._pause_ms = clock.pause_ms
                return self._judged()
        return []

    def on_end(self, end: End) -> Goodbye:
        frames = self._ended("manual") if self._turn is not Turn.NONE else []
        if end.error is not None:
            code, reason = close_of(end.error)
            fatal = self._frame(
                "Error", code=ERROR_CODES.get(code, "BAD_REQUEST"), description=end.error.message
            )
            return Goodbye(code, reason, (*frames, fatal))
        return Goodbye(1001 if end.reason == SERVER_STOPPING else 1000, end.reason, tuple(frames))

    @property
    def _text(self) -> str:
        texts = [final.text for final in self._finals]
        if self._interim is not None:
            texts.append(self._interim.text)
        return " ".join(texts)

    @property
    def _silence_ms(self) -> int:
        """Silence since the end of speech; 0 during speech."""
        if self._speaking:
            return self._pause_ms
        return max(0, self._live_ms - self._speech_end_ms)

    def _new_interim(self, interim: Interim) -> list[Frame]:
        if interim.utterance not in self._pending:
            return []
        self._interim = interim
        return self._text_changed()

    def _new_final(self, final: Final) -> list[Frame]:
        self._finals.append(final)
        if self._interim is not None and self._interim.utterance == final.utterance:
            self._interim = None
        return self._text_changed()

    def _text_changed(self) -> list[Frame]:
        if self._turn is Turn.NONE:
            return [self._moved(Move.START)]
        if self._turn is Turn.EAGER:
            # The next event has to be TurnResumed or EndOfTurn; `_judged` decides when the utterance is done.
            return []
        return [self._moved(Move.UPDATE)]

    def _resumed(self) -> list[Frame]:
        return [self._moved(Move.RESUMED)] if self._turn is Turn.EAGER else []

    def _judged(self) -> list[Frame]:
        """What the silence so far means for the turn."""
        if self._turn is Turn.NONE:
            return []
        frames: list[Frame] = []
        if self._turn is Turn.EAGER and self._speaking and not self._pause_ms:
            frames += self._resumed()  # speech continued within its utterance
        if not self._pending and (trigger := self._trigger()) is not None:
            return [*frames, *self._ended(trigger)]
        if self._turn is Turn.OPEN and self._is_eager():
            self._eager_text = self._text
            return [*frames, self._moved(Move.EAGER)]
        if self._turn is Turn.OPEN and self._received_ms - self._updated_ms >= UPDATE_MS:
            frames.append(self._moved(Move.UPDATE))
        return frames

    def _trigger(self) -> str | None:
        """Why the turn ends now; None: it goes on."""
        if self._is_forced:
            return "manual"
        if self._thresholds.end >= FORCED_ONLY:
            return None
        if confidence_of(self._silence_ms) >= self._thresholds.end:
            return "model"
        return "timeout" if self._silence_ms >= self._thresholds.timeout_ms else None

    def _is_eager(self) -> bool:
        wanted = self._thresholds.eager
        if wanted is None or not self._text or confidence_of(self._silence_ms) < wanted:
            return False
        if not self._pending:
            return True
        # The words of the whole utterance: the interim was decoded after speech had paused.
        speech_end_ms = self._received_ms - self._pause_ms
        return self._interim is not None and self._interim.end_ms >= speech_end_ms - STABLE_MS

    def _forced(self) -> list[Frame]:
        """All audio before `ForceEndTurn` is final."""
        frames = self._ended("manual") if self._turn is not Turn.NONE else []
        self._is_forced = False
        return frames

    def _ended(self, trigger: str) -> list[Frame]:
        frames: list[Frame] = []
        if self._turn is Turn.EAGER and self._text != self._eager_text:
            frames += self._resumed()
        frames.append(self._moved(Move.END, trigger))
        self._index += 1
        self._finals.clear()
        self._interim = None
        self._window_start_ms = self._received_ms
        self._is_forced = False
        return frames

    def _moved(self, move: Move, trigger: str | None = None) -> Frame:
        self._turn = TABLE[self._turn, move]
        self._updated_ms = self._received_ms
        body: dict[str, Any] = {
            "event": move.value,
            "turn_index": self._index,
            "audio_window_start": self._window_start_ms / 1000,
            "audio_window_end": max(self._window_start_ms, self._received_ms) / 1000,
            "transcript": self._text,
            "words": [_word(word) for word in self._words()],
            "end_of_turn_confidence": confidence_of(self._silence_ms),
        }
        if trigger is not None:
            body["trigger"] = trigger
        languages = dict.fromkeys(final.language for final in self._finals if final.language)
        if languages:
            body["languages"] = list(languages)
        if self._hints:
            body["languages_hinted"] = list(self._hints)
        return self._frame("TurnInfo", **body)

    def _words(self) -> list[TimedWord]:
        words = [
            word
            for final in self._finals
            for word in final.words or spread(final.text, final.start_ms, final.end_ms)
        ]
        if self._interim is not None:
            words += spread(self._interim.text, self._interim.start_ms, self._interim.end_ms)
        return words

    def _frame(self, kind: str, **fields: Any) -> Frame:
        body = {"type": kind, "request_id": self._request_id, "sequence_id": self._sequence, **fields}
        self._sequence += 1
        return json.dumps(body, ensure_ascii=False)


def _word(word: TimedWord) -> dict[str, Any]:
    confidence = UNKNOWN_CONFIDENCE if word.p is None else word.p
    times = {"start": seconds_of(word.start_ms), "end": seconds_of(word.end_ms)}
    return {"word": word.text, "confidence": confidence, **times}


def _checked_object(name: str, value: object) -> dict[str, object]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RequestError("bad_request", f"`{name}` is an object", 400)
    return value


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _checked_hints(value: object) -> tuple[str, ...]:
    hints = tuple(str(one)[:20] for one in _as_list(value)[:20])
    unknown = [hint for hint in hints if read_language(hint) is None]
    if unknown:
        raise RequestError("bad_request", f"`language_hints` has {unknown[0]!r}, which is not known", 400)
    return hints
