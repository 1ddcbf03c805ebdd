"""The codec of the Wyoming protocol, which Home Assistant speaks. Pure.

One codec is one round: what the client asks before its audio, the audio, and the transcript. The next round
of the connection has a new codec. Text is sent as soon as it is final (`transcript-chunk`), and whole at the
end (`transcript`), so that clients that read only the latter get everything.
Invariant: the chunks of a round, joined, are its transcript.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from host_stt_common.languages import AUTO, HOW, read_language
from webrtc_host.errors import RequestError
from webrtc_host.media.encodings import AudioFormat, Encoding
from webrtc_host.wires.deepgram_query import RATE_MAX, RATE_MIN, checked_terms
from webrtc_host.wires.messages import (
    MAIN,
    STOPPED,
    Action,
    Audio,
    End,
    Final,
    Finish,
    Frame,
    Goodbye,
    Open,
    Opened,
    Result,
    Say,
    StreamSpec,
    UtteranceDone,
)
from webrtc_host.wires.openai_deltas import Deltas
from webrtc_host.wires.openai_options import Delay
from webrtc_host.wires.wyoming_events import Event, read_event

LABEL = "Wyoming"
WIDTHS = (2, 3, 4)
"""Bytes of a sample. Of the longer ones, the upper 16 bits are used."""
CHANNELS_MAX = 8
"""Of one stream; they are mixed down."""
URL = "https://github.com/rhasspy/wyoming"
"""Where the protocol comes from. The form of `info` requires an address."""
PING_CHARS_MAX = 1000


@dataclass(frozen=True, slots=True)
class Program:
    """What `info` says of this server."""

    version: str
    model: str
    languages: tuple[str, ...]

    def event(self) -> Event:
        common = {
            "attribution": {"name": "host-stt", "url": URL},
            "installed": True,
            "version": self.version,
        }
        model = {"name": self.model, "description": self.model, "languages": list(self.languages), **common}
        program = {
            "name": "host-stt",
            "description": "live transcription with a record",
            "models": [model],
            "supports_transcript_streaming": True,
            # The end of a command is the client's `audio-stop`: this server does not decide when it ends.
            "requires_external_vad": True,
            **common,
        }
        return Event("info", {"asr": [program]})


@dataclass(frozen=True, slots=True)
class Samples:
    """The form of the samples, as `audio-start` and each `audio-chunk` say it."""

    rate: int
    width: int
    channels: int

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Samples:
        """Raises RequestError 400."""
        values = [data.get(name) for name in ("rate", "width", "channels")]
        if not all(isinstance(value, int) and not isinstance(value, bool) for value in values):
            raise _bad("audio has a `rate`, a `width` and `channels`, which are whole numbers")
        rate, width, channels = (int(str(value)) for value in values)
        if not RATE_MIN <= rate <= RATE_MAX:
            raise _bad(f"`rate` is {RATE_MIN} to {RATE_MAX} Hz, not {rate}")
        if width not in WIDTHS or not 1 <= channels <= CHANNELS_MAX:
            raise _bad(f"`width` is one of {WIDTHS} bytes, and `channels` 1 to {CHANNELS_MAX}")
        return cls(rate, width, channels)

    def as_16_bit(self, payload: bytes) -> bytes:
        """Raises RequestError 400 for a part of a sample."""
        if len(payload) % (self.width * self.channels):
            raise _bad("the payload of an `audio-chunk` has whole samples of all channels")
        if self.width == 2:
            return payload
        return np.frombuffer(payload, np.uint8).reshape(-1, self.width)[:, -2:].tobytes()


class WyomingCodec:
    def __init__(self, program: Program, channel: str | None) -> None:
        """channel: None for the next free one."""
        self._program = program
        self._channel = channel
        self._language = AUTO
        self._terms: tuple[str, ...] = ()
        self._samples: Samples | None = None
        self._is_open = False
        self._deltas = Deltas(Delay.XHIGH)
        self._heard_language: str | None = None
        self._has_begun_text = False
        self.opened: Opened | None = None

    # --- from the client ---

    def begin(self) -> list[Action]:
        return []

    def on_text(self, text: str, now_s: float) -> list[Action]:
        raise _bad("events are binary")

    def on_bytes(self, data: bytes) -> list[Action]:
        """One frame, which is one event. Events of other kinds are ignored, as the protocol requires."""
        event = read_event(data)
        match event.type:
            case "describe":
                return [Say((self._program.event().frame(),))]
            case "ping":
                text = event.data.get("text")
                text = text[:PING_CHARS_MAX] if isinstance(text, str) else None
                return [Say((Event("pong", {"text": text}).frame(),))]
            case "transcribe":
                self._ask(event.data)
            case "audio-start":
                if self._samples is not None:
                    raise _bad("`audio-start` came twice; `audio-stop` ends the audio before")
                return self._start(Samples.of(event.data))
            case "audio-chunk":
                return self._take(event)
            case "audio-stop":
                return [Finish()]
        return []

    def _ask(self, data: Mapping[str, Any]) -> None:
        """Take the settings of `transcribe`. Raises RequestError 400."""
        if self._is_open:
            raise _bad("`transcribe` comes before the audio")
        name = data.get("language")
        language = AUTO if name in (None, "") else read_language(name) if isinstance(name, str) else None
        if language is None:
            raise _bad(f"`language` {str(name)[:20]!r} is not known; {HOW}")
        self._language = language
        # Names first: they have precedence over terms, and the server keeps the order.
        self._terms = checked_terms([*_texts(data, "transcript_names"), *_texts(data, "transcript_terms")])

    def _start(self, samples: Samples) -> list[Action]:
        self._samples, self._is_open = samples, True
        stream = StreamSpec(MAIN, self._channel, LABEL, self._language, self._terms)
        return [Open(AudioFormat(Encoding.S16, samples.rate, samples.channels), (stream,))]

    def _take(self, event: Event) -> list[Action]:
        """A chunk names the form of its samples too. Some clients begin with it, without `audio-start`."""
        samples = Samples.of(event.data)
        opening = [] if self._is_open else self._start(samples)
        if samples != self._samples:
            raise _bad("the form of the samples changed; send `audio-stop` before")
        return [*opening, Audio(samples.as_16_bit(event.payload))]

    # --- to the client ---

    def on_result(self, result: Result) -> list[Frame]:
        match result:
            case Opened():
                self.opened = result
            case Final() if result.text:
                self._heard_language = self._heard_language or result.language
                if chunk := self._deltas.final(result.text):
                    return [*self._begin_text(), Event("transcript-chunk", {"text": chunk}).frame()]
            case UtteranceDone():
                self._deltas.end_utterance()
            case _:
                pass
        return []

    def on_end(self, end: End) -> Goodbye:
        if end.error is not None:
            return Goodbye(1011, end.error.message, (_error(end.error.code, end.error.message),))
        if end.reason != STOPPED:
            # The client is not done, so half of its words must not look like all of them.
            return Goodbye(1001, end.reason, (_error(end.reason, f"the audio was ended: {end.reason}"),))
        return Goodbye(1000, "", (*self._begin_text(), *self._ending()))

    def _begin_text(self) -> list[Frame]:
        if self._has_begun_text:
            return []
        self._has_begun_text = True
        return [Event("transcript-start", self._language_field()).frame()]

    def _ending(self) -> list[Frame]:
        transcript = Event("transcript", {"text": self._deltas.text, **self._language_field()})
        return [transcript.frame(), Event("transcript-stop").frame()]

    def _language_field(self) -> dict[str, str]:
        asked = None if self._language == AUTO else self._language
        language = self._heard_language or asked
        return {} if language is None else {"language": language}


def _error(code: str, text: str) -> bytes:
    return Event("error", {"text": text, "code": code}).frame()


def _texts(data: Mapping[str, Any], name: str) -> Sequence[object]:
    given = data.get(name)
    if given is None:
        return ()
    if not isinstance(given, list):
        raise _bad(f"`{name}` is a list of texts")
    return given


def _bad(message: str) -> RequestError:
    return RequestError("bad_message", message, 400)
