"""The codec of Speechmatics' real-time API v2: `GET /v2` as a WebSocket. Pure.

The client opens the conversation with `StartRecognition`. Its audio is one stream of binary messages, or
several channels in JSON (`AddChannelAudio`), each of which is a source here. `AddTranscript` appends text;
`AddPartialTranscript` is what comes after it on its channel, and replaces the partial one before.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from host_stt.contract import RequestError
from webrtc_host.events import TimedWord
from webrtc_host.wires.estimates import UNKNOWN_CONFIDENCE, spread
from webrtc_host.wires.messages import (
    MAIN,
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
    SetTerms,
    SpeechBegan,
    SpeechStopped,
    StreamSpec,
    Tick,
    UtteranceDone,
)
from webrtc_host.wires.speechmatics_config import Config, checked_label, config_of

LABEL = "Speechmatics"
FORMAT = "2.9"
"""The version of the form of transcripts."""
PUNCTUATION = ".,!?;:…。、，？！"
ENDS = ".!?…。？！"
TYPES = {
    "bad_audio": "invalid_audio_type",
    "bad_frame": "invalid_audio_type",
    "not_finite": "invalid_audio_type",
    "too_large": "data_error",
    "no_start": "protocol_error",
    "idle": "idle_timeout",
}
"""Codes of our errors -> types of theirs."""
OWN_TYPES = ("invalid_message", "invalid_model", "invalid_config", "invalid_audio_type", "protocol_error")
CLOSE_CODES = {"invalid_model": 4004, "quota_exceeded": 4005, "idle_timeout": 4006}


def type_and_code_of(error: RequestError) -> tuple[str, int]:
    """The type of the `Error` message, and the close code after it."""
    if error.status >= 500 and error.retry_after_s is None:
        return "unknown_error", 1011
    if error.status == 429:
        return "quota_exceeded", CLOSE_CODES["quota_exceeded"]
    if error.retry_after_s is not None:
        return "job_error", 1013
    kind = error.code if error.code in OWN_TYPES else TYPES.get(error.code, "invalid_message")
    return kind, CLOSE_CODES.get(kind, 1003)


@dataclass(slots=True)
class _Stream:
    """One channel of audio. Its source and its stream have the same name."""

    name: str
    received: int = 0
    """Messages of audio."""
    has_ended: bool = False
    speaking: int = 0
    """Utterances that are not done."""
    said_end_ms: int | None = None
    """The end of speech that no `EndOfUtterance` has told yet."""


class SpeechmaticsLive:
    def __init__(
        self, session_id: str, language: str, session: str | None, channels: tuple[str, ...], model: str
    ) -> None:
        """language: of the address, or empty. session, channels: where the text goes, if the address says it;
        the channels are in the order of the client's. model: the name of the engine's model.
        """
        self._id = session_id
        self._path_language = language
        self._session = session
        self._channels = channels
        self._model = model
        self._config: Config | None = None
        self._streams: dict[str, _Stream] = {}
        self._awaited: set[str] = set()  # sources whose opening comes before RecognitionStarted
        self._opened: dict[str, str] = {}  # stream -> channel
        self.opened: Opened | None = None

    # --- from the client ---

    def begin(self) -> list[Action]:
        return []

    def on_text(self, text: str, now_s: float) -> list[Action]:
        try:
            message: Any = json.loads(text)
        except (ValueError, RecursionError):
            message = None
        kind = message.get("message") if isinstance(message, dict) else None
        if kind == "StartRecognition":
            return self._start(message)
        if not isinstance(kind, str):
            raise RequestError("invalid_message", "a text message is a JSON object with `message`", 400)
        config = self._started()
        match kind:
            case "AddChannelAudio":
                return self._add_audio(config, message)
            case "EndOfStream":
                return [Finish()]
            case "EndOfChannel":
                return self._end_channel(message)
            case "ForceEndOfUtterance":
                stream = message.get("channel")
                return [ForceEnd(stream if isinstance(stream, str) else None)]
            case "SetRecognitionConfig":
                return self._configure(config, message)
            case "GetSpeakers":
                return [Say((frame_of("SpeakersResult", speakers=[]),))]
        raise RequestError("invalid_message", f"{kind[:40]!r} is no message of this protocol", 400)

    def on_bytes(self, data: bytes) -> list[Action]:
        config = self._started()
        if config.is_multichannel:
            raise RequestError("protocol_error", "audio of channels comes in AddChannelAudio", 400)
        stream = self._streams[MAIN]
        stream.received += 1
        return [Audio(data), Say((frame_of("AudioAdded", seq_no=stream.received),))]

    def _started(self) -> Config:
        if self._config is None:
            raise RequestError("protocol_error", "the first message is StartRecognition", 400)
        return self._config

    def _start(self, message: dict[str, Any]) -> list[Action]:
        if self._config is not None:
            raise RequestError("protocol_error", "StartRecognition came twice", 400)
        config = self._config = config_of(message, self._path_language)
        warnings: list[Action] = []
        if message.get("translation_config"):
            reason = "this server does not translate; only the transcript comes"
            frame = frame_of("Warning", type="unsupported_translation_pair", reason=reason)
            warnings.append(Say((frame,)))
        if config.is_multichannel and not config.labels:
            return [Say((self._recognition_started(),)), *warnings]
        names = config.labels if config.is_multichannel else (MAIN,)
        self._awaited = set(names)
        return [*(self._open(config, name) for name in names), *warnings]

    def _open(self, config: Config, name: str) -> Open:
        number = len(self._streams)
        self._streams[name] = _Stream(name)
        channel = self._channels[number] if number < len(self._channels) else None
        spec = StreamSpec(name, channel, name or LABEL, config.language, config.terms, config.misheard)
        return Open(config.audio, (spec,), source=name, session=self._session)

    def _add_audio(self, config: Config, message: dict[str, Any]) -> list[Action]:
        if not config.is_multichannel:
            raise RequestError("protocol_error", "AddChannelAudio needs `diarization: channel`", 400)
        name, data = checked_label(message.get("channel")), _decoded(message.get("data"))
        actions: list[Action] = []
        if name not in self._streams:
            if config.labels:
                raise RequestError("protocol_error", f"there is no channel {name!r}", 400)
            actions.append(self._open(config, name))
        stream = self._streams[name]
        if stream.has_ended:
            raise RequestError("protocol_error", f"the channel {name!r} has ended", 400)
        stream.received += 1
        added = frame_of("ChannelAudioAdded", channel=name, seq_no=stream.received)
        return [*actions, Audio(data, name), Say((added,))]

    def _end_channel(self, message: dict[str, Any]) -> list[Action]:
        stream = self._streams.get(checked_label(message.get("channel")))
        if stream is None:
            raise RequestError("protocol_error", "EndOfChannel names no channel of this session", 400)
        stream.has_ended = True
        if all(one.has_ended for one in self._streams.values()):
            return [Finish()]
        return [Finish(stream.name)]

    def _configure(self, config: Config, message: dict[str, Any]) -> list[Action]:
        given = message.get("transcription_config")
        if not isinstance(given, dict):
            raise RequestError("invalid_config", "`transcription_config` is an object", 400)
        changed = self._config = config.changed(given)
        if (changed.terms, changed.misheard) == (config.terms, config.misheard):
            return []
        return [SetTerms(changed.terms, changed.misheard)]

    # --- to the client ---

    def on_result(self, result: Result) -> list[Frame]:
        match result:
            case Opened():
                return self._source_opened(result)
            case SpeechBegan():
                self._streams[result.stream].speaking += 1
            case SpeechStopped():
                self._streams[result.stream].said_end_ms = result.end_ms
            case UtteranceDone():
                stream = self._streams[result.stream]
                stream.speaking = max(0, stream.speaking - 1)
            case Interim() if result.text and self._started().has_partials:
                words = spread(result.text, result.start_ms, result.end_ms)
                return [self._transcript("AddPartialTranscript", result, result.text, words, result.language)]
            case Final():
                words = result.words or spread(result.text, result.start_ms, result.end_ms)
                # The space makes the texts of several messages one text when they are put together.
                return [self._transcript("AddTranscript", result, f"{result.text} ", words, result.language)]
            case Failed():
                return [self._transcript("AddTranscript", result, "", (), None)]
            case Forced():
                stream = self._streams[result.stream]
                end_ms, stream.said_end_ms = stream.said_end_ms or 0, None
                return [self._end_of_utterance(stream, end_ms)]
            case Tick():
                return self._ticked(result)
        return []

    def on_end(self, end: End) -> Goodbye:
        if end.error is not None:
            kind, code = type_and_code_of(end.error)
            return Goodbye(
                code, end.error.message, (frame_of("Error", type=kind, reason=end.error.message, code=code),)
            )
        frames = (frame_of("EndOfTranscript"),) if self._config is not None else ()
        return Goodbye(1001 if end.reason == SERVER_STOPPING else 1000, end.reason, frames)

    def _source_opened(self, opened: Opened) -> list[Frame]:
        self.opened = self.opened or opened
        self._opened |= opened.channels
        if opened.source not in self._awaited:
            return []
        self._awaited.discard(opened.source)
        return [] if self._awaited else [self._recognition_started()]

    def _recognition_started(self) -> Frame:
        pack = {"adapted": False, "itn": True, "word_delimiter": " ", "writing_direction": "left-to-right"}
        ours = {} if self.opened is None else {"session": self.opened.session, "channels": self._opened}
        return frame_of(
            "RecognitionStarted",
            id=self._id,
            orchestrator_version=f"host-stt {self._model}",
            language_pack_info={**pack, "language_description": self._started().language},
            **ours,
        )

    def _ticked(self, tick: Tick) -> list[Frame]:
        trigger_ms = self._config.trigger_ms if self._config is not None else None
        if trigger_ms is None:
            return []
        frames = []
        for name, clock in tick.streams.items():
            stream = self._streams[name]
            end_ms = stream.said_end_ms
            if end_ms is not None and not stream.speaking and clock.live_ms - end_ms >= trigger_ms:
                stream.said_end_ms = None
                frames.append(self._end_of_utterance(stream, end_ms))
        return frames

    def _end_of_utterance(self, stream: _Stream, end_ms: int) -> Frame:
        times = {"start_time": end_ms / 1000, "end_time": end_ms / 1000}
        return frame_of("EndOfUtterance", metadata=times, **_channel(stream.name))

    def _transcript(
        self,
        kind: str,
        result: Interim | Final | Failed,
        text: str,
        words: tuple[TimedWord, ...],
        language: str | None,
    ) -> Frame:
        times = {"start_time": result.start_ms / 1000, "end_time": result.end_ms / 1000}
        items = [item for word in words for item in _items(word, language, result.stream)]
        metadata = {"transcript": text, **times}
        return frame_of(kind, format=FORMAT, metadata=metadata, results=items, **_channel(result.stream))


def _items(word: TimedWord, language: str | None, stream: str) -> list[dict[str, Any]]:
    """The word, and each punctuation mark after it."""
    bare = word.text.rstrip(PUNCTUATION)
    confidence = UNKNOWN_CONFIDENCE if word.p is None else word.p
    end_s = word.end_ms / 1000
    items: list[dict[str, Any]] = []
    if bare:
        items.append({"type": "word", "start_time": word.start_ms / 1000, "end_time": end_s})
    for mark in word.text[len(bare) :]:
        times = {"start_time": end_s, "end_time": end_s}
        items.append({"type": "punctuation", **times, "attaches_to": "previous", "is_eos": mark in ENDS})
    for item, content in zip(items, [*([bare] if bare else []), *word.text[len(bare) :]], strict=True):
        alternative = {"content": content, "confidence": confidence}
        item["alternatives"] = [{**alternative, "language": language} if language else alternative]
        item.update(_channel(stream))
    return items


def _channel(stream: str) -> dict[str, str]:
    return {"channel": stream} if stream != MAIN else {}


def _decoded(data: object) -> bytes:
    try:
        return base64.b64decode(data if isinstance(data, str) else "*", validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError("invalid_message", "`data` is the base64 of the audio", 400) from error


def frame_of(kind: str, **fields: Any) -> Frame:
    return json.dumps({"message": kind, **fields}, ensure_ascii=False)
