"""The codec of Deepgram v1, live: `GET /v1/listen` as a WebSocket. Pure.

Final results of a channel are contiguous ranges of its audio, each final once; silence becomes results with
an empty transcript. An interim result has the start of the range that it will be part of, so it replaces the
interim before. `speech_final` marks the end of an utterance: after the server's own hangover
(`speech.endpointing`), or after `endpointing` where that is longer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from host_stt.contract import RequestError
from webrtc_host.events import TimedWord
from webrtc_host.wires.deepgram_query import LiveOptions, checked_terms
from webrtc_host.wires.deepgram_words import MODEL_UUID, close_of, seconds_of, word_of
from webrtc_host.wires.estimates import spread
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
    Settled,
    SpeechBegan,
    SpeechStopped,
    StreamSpec,
    Tick,
    UtteranceDone,
)

SILENT_RANGE_MS = 3000
"""Silence of this length becomes a final result with an empty transcript."""
TEXT_CHARS_MAX = 64 * 1024
HASH_BYTES = 2047
"""Of audio that is hashed at a time: hashlib frees the interpreter lock for more."""


@dataclass(slots=True)
class _Channel:
    """The results of one channel so far; times in milliseconds."""

    number: int
    to_ms: int = 0
    """Everything before it was given as final."""
    settled_ms: int = 0
    live_ms: int = 0
    received_ms: int = 0
    speaking: set[str] = field(default_factory=set)
    """Utterances that are not done."""
    stopped: dict[str, int] = field(default_factory=dict)
    """Of these, the ones whose speech has ended -> its end."""
    has_text: bool = False
    """Text was given as final since the last `speech_final`."""
    speech_end_ms: int | None = None
    """End of an utterance that is done and still needs its `speech_final`."""
    last_word_ms: int | None = None
    """End of the last final word, until its `UtteranceEnd`."""
    is_forced: bool = False
    """`Finalize` was received, and its results are not complete."""
    has_forced: bool = False
    """A result with `from_finalize` was sent for it."""


class DeepgramLive:
    def __init__(self, options: LiveOptions, request_id: str, created: str, model: Callable[[], str]) -> None:
        """created: the present in ISO 8601. model: the name of the engine's model."""
        self._options = options
        self._request_id = request_id
        self._created = created
        self._model = model
        count = options.audio.channels if options.is_multichannel else 1
        self._channels = {str(number): _Channel(number) for number in range(count)}
        self._sha256 = hashlib.sha256()
        self.opened: Opened | None = None

    # --- from the client ---

    def begin(self) -> list[Action]:
        target, audio = self._options.target, self._options.audio
        if target.channel is not None and len(self._channels) > 1:
            raise RequestError(
                "bad_request", "`channel` names one channel, and `multichannel` needs several", 400
            )
        streams = tuple(
            StreamSpec(name, target.channel, target.label, target.language, target.terms)
            for name in self._channels
        )
        return [Open(audio, streams, session=target.session)]

    def on_text(self, text: str, now_s: float) -> list[Action]:
        message = _object(text)
        match message.get("type"):
            case "KeepAlive":
                return []
            case "Finalize":
                for channel in self._channels.values():
                    channel.is_forced = True
                return [ForceEnd()]
            case "CloseStream":
                return [Finish()]
            case "Configure":
                return self._configure(message)
        return [Say((_schema_error(text),), is_complaint=True)]

    def on_bytes(self, data: bytes) -> list[Action]:
        if not data:  # how clients ended a stream before `CloseStream` existed
            return [Finish()]
        # A piece takes 2 us. To get the interpreter lock back from another thread can take ms.
        for at in range(0, len(data), HASH_BYTES):
            self._sha256.update(data[at : at + HASH_BYTES])
        return [Audio(data)]

    def _configure(self, message: dict[str, Any]) -> list[Action]:
        """Replace the keyterms. A list that is refused changes nothing."""
        given = message.get("keyterms")
        said = {"type": "ConfigureSuccess", "request_id": self._request_id}
        if given is None:
            return [Say((json.dumps(said),))]
        try:
            terms = checked_terms(given if isinstance(given, list) else [given, None])
        except RequestError as error:
            code = "CONFIGURE_KEYTERM_LIMIT_EXCEEDED"
            if error.code != "too_many_terms":
                return [Say((_schema_error(json.dumps(message), error.message),), is_complaint=True)]
            failure = {"type": "ConfigureFailure", "code": code, "description": error.message}
            return [Say((json.dumps({**failure, "request_id": self._request_id}),))]
        return [SetTerms(terms), Say((json.dumps({**said, "keyterms": list(terms)}),))]

    # --- to the client ---

    def on_result(self, result: Result) -> list[Frame]:
        match result:
            case Opened():
                self.opened = result
            case Tick():
                return self._tick(result)
            case SpeechBegan():
                return self._began(self._channels[result.stream], result)
            case SpeechStopped():
                self._channels[result.stream].stopped[result.utterance] = result.end_ms
            case Interim() if self._options.has_interims:
                return self._interim(self._channels[result.stream], result)
            case Final():
                return self._final(self._channels[result.stream], result)
            case UtteranceDone():
                return self._done(self._channels[result.stream], result)
            case Settled():
                return self._settled(self._channels[result.stream], result.to_ms)
            case Forced():
                return self._forced(self._channels[result.stream])
        return []

    def on_end(self, end: End) -> Goodbye:
        frames: list[Frame] = []
        for channel in self._channels.values():
            channel.received_ms = max(channel.received_ms, channel.settled_ms)
            is_speech_end = channel.has_text and self._options.endpointing_ms is not None
            if channel.received_ms > channel.to_ms or is_speech_end:
                frames.append(self._range(channel, channel.received_ms, is_speech_end=is_speech_end))
        if end.error is not None:
            code, reason = close_of(end.error)
            return Goodbye(code, reason, tuple(frames))
        frames.append(self._metadata())
        return Goodbye(1001 if end.reason == SERVER_STOPPING else 1000, end.reason, tuple(frames))

    def _began(self, channel: _Channel, began: SpeechBegan) -> list[Frame]:
        channel.speaking.add(began.utterance)
        channel.speech_end_ms = None
        if not self._options.has_vad_events:
            return []
        index = [channel.number, len(self._channels)]
        said = {"type": "SpeechStarted", "channel": index, "timestamp": seconds_of(began.start_ms)}
        return [json.dumps(said)]

    def _interim(self, channel: _Channel, interim: Interim) -> list[Frame]:
        if not interim.text or interim.utterance not in channel.speaking:
            return []
        words = spread(interim.text, max(channel.to_ms, interim.start_ms), interim.end_ms)
        end_ms = max(channel.to_ms, interim.end_ms)
        return [self._results(channel, end_ms, interim.text, words, interim.language)]

    def _final(self, channel: _Channel, final: Final) -> list[Frame]:
        words = final.words or spread(final.text, final.start_ms, final.end_ms)
        channel.has_text = True
        channel.last_word_ms = final.end_ms
        stopped_ms = channel.stopped.get(final.utterance)
        is_last = stopped_ms is not None and final.end_ms >= stopped_ms
        silence_ms = channel.live_ms - final.end_ms
        is_speech_end = is_last and self._speech_ends(channel, silence_ms)
        return [self._range(channel, final.end_ms, final, words, is_speech_end=is_speech_end)]

    def _done(self, channel: _Channel, done: UtteranceDone) -> list[Frame]:
        channel.speaking.discard(done.utterance)
        channel.stopped.pop(done.utterance, None)
        if channel.has_text:
            channel.speech_end_ms = done.end_ms
        return self._end_speech(channel)

    def _settled(self, channel: _Channel, to_ms: int) -> list[Frame]:
        channel.settled_ms = max(channel.settled_ms, to_ms)
        if channel.settled_ms - channel.to_ms < SILENT_RANGE_MS:
            return []
        return [self._range(channel, channel.settled_ms)]

    def _forced(self, channel: _Channel) -> list[Frame]:
        frames: list[Frame] = []
        if channel.is_forced and not channel.has_forced:
            end_ms = max(channel.to_ms, channel.settled_ms)
            is_speech_end = channel.has_text and self._options.endpointing_ms is not None
            frames = [self._range(channel, end_ms, is_speech_end=is_speech_end)]
        channel.is_forced = channel.has_forced = False
        return frames

    def _tick(self, tick: Tick) -> list[Frame]:
        frames: list[Frame] = []
        for name, clock in tick.streams.items():
            channel = self._channels[name]
            channel.live_ms, channel.received_ms = clock.live_ms, clock.received_ms
            frames += self._end_speech(channel)
            frames += self._utterance_end(channel)
        return frames

    def _end_speech(self, channel: _Channel) -> list[Frame]:
        """A result with `speech_final`, when `endpointing` has passed since the end of an utterance."""
        end_ms = channel.speech_end_ms
        if end_ms is None or not self._speech_ends(channel, channel.live_ms - end_ms):
            return []
        return [self._range(channel, max(channel.to_ms, end_ms), is_speech_end=True)]

    def _speech_ends(self, channel: _Channel, silence_ms: int) -> bool:
        """Whether so much silence after an utterance is a `speech_final`."""
        wanted_ms = self._options.endpointing_ms
        return wanted_ms is not None and (channel.is_forced or silence_ms >= wanted_ms)

    def _utterance_end(self, channel: _Channel) -> list[Frame]:
        last_ms, wanted_ms = channel.last_word_ms, self._options.utterance_end_ms
        if wanted_ms is None or last_ms is None or channel.speaking:
            return []
        if channel.live_ms - last_ms < wanted_ms:
            return []
        channel.last_word_ms = None
        index = [channel.number, len(self._channels)]
        return [json.dumps({"type": "UtteranceEnd", "channel": index, "last_word_end": seconds_of(last_ms)})]

    def _range(
        self,
        channel: _Channel,
        end_ms: int,
        final: Final | None = None,
        words: tuple[TimedWord, ...] = (),
        *,
        is_speech_end: bool = False,
    ) -> Frame:
        """The final result of the range from the last one to `end_ms`; without text: silence."""
        end_ms = max(channel.to_ms, end_ms)
        text, language = ("", None) if final is None else (final.text, final.language)
        frame = self._results(
            channel, end_ms, text, words, language, is_final=True, is_speech_end=is_speech_end
        )
        channel.to_ms = end_ms
        channel.has_forced = channel.has_forced or channel.is_forced
        if is_speech_end:
            channel.has_text, channel.speech_end_ms = False, None
        return frame

    def _results(
        self,
        channel: _Channel,
        end_ms: int,
        text: str,
        words: tuple[TimedWord, ...],
        language: str | None,
        *,
        is_final: bool = False,
        is_speech_end: bool = False,
    ) -> Frame:
        shown = [word_of(word) for word in words]
        confidence = sum(word["confidence"] for word in shown) / len(shown) if shown else 0.0
        alternative = {"transcript": text, "confidence": round(confidence, 3), "words": shown}
        if text and language:
            alternative["languages"] = [language]
        body: dict[str, Any] = {
            "type": "Results",
            "channel_index": [channel.number, len(self._channels)],
            "start": seconds_of(channel.to_ms),
            "duration": seconds_of(end_ms - channel.to_ms),
            "is_final": is_final,
            "speech_final": is_speech_end,
            "channel": {"alternatives": [alternative]},
            "metadata": self._model_facts(),
            "from_finalize": is_final and channel.is_forced,
        }
        return json.dumps(body, ensure_ascii=False)

    def _model_facts(self) -> dict[str, Any]:
        info = {"name": self._model(), "version": "host-stt", "arch": "whisper"}
        return {"request_id": self._request_id, "model_info": info, "model_uuid": MODEL_UUID}

    def _metadata(self) -> Frame:
        duration_ms = max(channel.received_ms for channel in self._channels.values())
        body: dict[str, Any] = {
            "type": "Metadata",
            "transaction_key": "deprecated",
            "request_id": self._request_id,
            "sha256": self._sha256.hexdigest(),
            "created": self._created,
            "duration": seconds_of(duration_ms),
            "channels": len(self._channels),
        }
        if self.opened is not None:  # ours: where the text is
            body |= {"session": self.opened.session, "channel_ids": list(self.opened.channels.values())}
        return json.dumps(body)


def _object(text: str) -> dict[str, Any]:
    """The JSON object; empty for everything else."""
    try:
        body = json.loads(text) if len(text) <= TEXT_CHARS_MAX else None
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _schema_error(text: str, why: str = "") -> Frame:
    known = "KeepAlive, Finalize, CloseStream, Configure"
    body = {
        "type": "Error",
        "variant": "SchemaError",
        "description": why or f"a text message is a JSON object with one of the types {known}",
        "message": text[:200],
    }
    return json.dumps(body)
