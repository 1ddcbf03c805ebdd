"""What the speech tests share: a sink that keeps events, an engine behind the Transcriber seam, a hand-wound
clock."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from host_stt.contract import SAMPLE_RATE, Answer, Float32Array, Transcript, Window, WindowError, Word
from host_stt.engines.base import Engine
from webrtc_host.errors import EngineError
from webrtc_host.events import Event
from webrtc_host.glossary.entries import PromptTerms
from webrtc_host.seams import Block, EventType
from webrtc_host.speech.windowing import WindowSpec
from webrtc_host.transcript.event_codec import wire_fields

S = SAMPLE_RATE
MS = SAMPLE_RATE // 1000


class ListSink:
    """Keeps what was emitted: (type, channel, fields as on the wire)."""

    def __init__(self) -> None:
        self.events: list[tuple[EventType, str | None, dict[str, Any]]] = []

    def emit(self, event: Event) -> int | None:
        self.events.append((event.kind, event.channel, wire_fields(event)))
        return len(self.events) if event.kind.is_stored else None

    def of(self, kind: EventType) -> list[dict[str, Any]]:
        return [fields for k, _, fields in self.events if k is kind]

    @property
    def text(self) -> str:
        return " ".join(f["text"] for f in self.of(EventType.SEGMENT_FINAL))

    @property
    def states(self) -> list[str]:
        return [f["state"] for f in self.of(EventType.CHANNEL_STATE)]


class EngineTranscriber:
    """An engine in a thread, one window at a time; keeps the windows it was asked for."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.windows: list[Window] = []
        self._turn = asyncio.Lock()

    async def transcribe(self, window: Window) -> Transcript:
        self.windows.append(window)
        async with self._turn:
            (answer,) = await asyncio.to_thread(self.engine.decode, [window])
        return transcript_of(answer)


def transcript_of(answer: Answer) -> Transcript:
    if isinstance(answer, WindowError):
        raise EngineError(answer.code, answer.message, is_retryable=answer.is_retryable)
    return answer


@dataclass(frozen=True)
class GivenTerms:
    """The same terms for every channel."""

    terms: tuple[str, ...] = ()
    version: int = 0

    def prompt_for(self, channel: str, language: str | None = None) -> PromptTerms:
        return PromptTerms(self.terms, self.version)


class NoTerms(GivenTerms):
    pass


class HandClock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def blocks_of(samples: Float32Array, start_sample: int = 0, block_ms: int = 20) -> list[Block]:
    size = block_ms * MS
    return [Block(start_sample + at, samples[at : at + size]) for at in range(0, len(samples), size)]


def script(words: Iterable[tuple[str, int, int]], offset: int = 0) -> list[Word]:
    return [Word(text, offset + start, offset + end, 1.0) for text, start, end in words]


def window_for(windows: WindowSpec, channel: str = "C01") -> Window:
    samples = np.zeros(max(1, windows.end_sample - windows.start_sample), dtype=np.int16)
    return Window(
        id=f"{windows.priority}{windows.number}",
        channel=channel,
        samples=samples,
        start_sample=windows.start_sample,
        priority=windows.priority,
    )


def texts(words: Sequence[Word]) -> str:
    return " ".join(w.text for w in words)
