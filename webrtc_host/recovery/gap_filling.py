"""Gap filling: late sound of a channel, read by a pipeline of its own, lands in the gaps it was sent for.

Owns what of the late sound is used: whole gaps with a little around them, so that a word cut by the gap's
edge is heard whole; what comes of it is cut back to the gaps. The reading is the pipeline's, as for live
sound. Invariant: no word and no verdict is written for time that was received already.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np

from host_stt.contract import SAMPLE_RATE, Float32Array
from webrtc_host.events import (
    Edit,
    ErrorReported,
    Event,
    EventSink,
    SegmentFinal,
    SpeechEnded,
    SpeechStarted,
    TimedWord,
    WindowFailed,
)
from webrtc_host.media.ranges import RangeSet
from webrtc_host.seams import (
    SAMPLES_PER_MS,
    Block,
    CoverageNotes,
    CoverageState,
    Source,
    ms_of,
)
from webrtc_host.session.channel import Channel, Pipeline
from webrtc_host.session.publisher_status import GAP_MS_MIN

logger = logging.getLogger(__name__)

AROUND_SAMPLES = SAMPLE_RATE
"""Heard before and after a gap: the longest part of a word that a gap's edge can cut off, and a breath."""
EDGE_MS = 400
"""The same word this close in time to one that was heard live is that word: nobody says one again so fast."""
LOOSE_MS = 200
"""Word times are off by up to about so much: what seems to begin so late may still be cut by the edge."""
JOIN_SAMPLES = SAMPLE_RATE // 50
"""Pieces that lie this close belong together: rounding of their times is no hole."""
PIECE_SAMPLES = SAMPLE_RATE
"""Fed at a time, with a look at the pipeline's queue in between."""

Gap = tuple[int, int]


class Span(Protocol):
    """Something with a beginning and an end on the session's timeline, in samples."""

    @property
    def start_sample(self) -> int: ...

    @property
    def end_sample(self) -> int: ...


class Stretch(NamedTuple):
    start_sample: int
    end_sample: int


class PastPipeline(Pipeline, Protocol):
    async def wait_for_space(self) -> None:
        """Waits while the queue is too full for a source that is faster than real time."""
        ...


MakePastPipeline = Callable[[Channel, EventSink, CoverageNotes], PastPipeline]


@dataclass(frozen=True, slots=True)
class Run:
    """Sound without a hole in it. samples: (n,) float32 at 16 kHz."""

    start_sample: int
    samples: Float32Array

    @property
    def end_sample(self) -> int:
        return self.start_sample + len(self.samples)


@dataclass(frozen=True, slots=True)
class Filled:
    """gaps: what was missing and is read now; segments: finals written for it."""

    gaps: tuple[Gap, ...]
    segments: int


async def read_gaps(
    channel: Channel,
    runs: Sequence[Run],
    gaps: Sequence[Gap],
    make_pipeline: MakePastPipeline,
    known: Sequence[TimedWord] = (),
) -> Filled:
    """Read the runs' sound of gaps that were claimed. Returns when its last words are in the log.

    runs: in order. known: words around the gaps that the log does not hold in memory.
    """
    sink = GapSink(channel, gaps, known)
    pipeline = make_pipeline(channel, sink, GapNotes(channel.coverage.repairing(), gaps))
    pipeline.start()
    try:
        for block in stretches(runs, gaps):
            await pipeline.wait_for_space()
            pipeline.feed(block)
        await pipeline.close()
    except asyncio.CancelledError:  # the server stops and cannot wait a minute for words of the past
        sink.is_over = True
        _abandon(pipeline)
        raise
    channel.coverage.flush()
    return Filled(tuple(gaps), sink.segments)


_abandoned: set[asyncio.Task[None]] = set()


def _abandon(pipeline: PastPipeline) -> None:
    """Let it end by itself, as far as the loop lives."""
    task = asyncio.create_task(pipeline.close(), name="late sound given up")
    _abandoned.add(task)
    task.add_done_callback(_abandoned.discard)


def claim_gaps(channel: Channel, runs: Sequence[Span]) -> tuple[Gap, ...]:
    """What is missing of the channel and in the runs; from now on it counts as received, so that no second
    caller fills it too.
    """
    gaps: list[Gap] = []
    for run in runs:
        for start, end in channel.missing(run.start_sample, run.end_sample):
            if end - start >= GAP_MS_MIN * SAMPLES_PER_MS:
                gaps.append((start, end))
                channel.claim_gap(start, end)
    return tuple(gaps)


def keep(channel: Channel, runs: Sequence[Run], gaps: Sequence[Gap]) -> None:
    """Hand the gaps' sound to the channel's archive, where the rest of it lies already."""
    if channel.archive is None:
        return
    for block in stretches(runs, gaps, around=0):
        channel.archive.archive_block(block)


def joined(parts: Sequence[tuple[int, Float32Array]]) -> list[Run]:
    """Pieces (first sample, samples) in their order, put together where one follows the other."""
    runs: list[Run] = []
    held: list[Float32Array] = []
    start = end = 0
    for at, samples in parts:
        if held and abs(at - end) > JOIN_SAMPLES:
            runs.append(Run(start, np.concatenate(held)))
            held = []
        if not held:
            start = end = at
        held.append(samples)
        end += len(samples)
    return [*runs, Run(start, np.concatenate(held))] if held else runs


def stretches(runs: Sequence[Run], gaps: Sequence[Gap], around: int = AROUND_SAMPLES) -> Iterator[Block]:
    """The gaps' sound with what lies around them, in order, no sample twice."""
    wanted = RangeSet()
    for start, end in gaps:
        wanted.add(max(0, start - around), end + around)
    floor = 0
    for run in runs:
        for start, end in wanted:
            at, last = max(start, run.start_sample, floor), min(end, run.end_sample)
            while at < last:
                to = min(at + PIECE_SAMPLES, last)
                yield Block(at, run.samples[at - run.start_sample : to - run.start_sample])
                floor = at = to


@dataclass(frozen=True, slots=True)
class GapNotes:
    """`seams.CoverageNotes` for the pipeline: its verdicts hold inside the gaps."""

    notes: CoverageNotes
    gaps: Sequence[Gap]

    def decide(
        self, start_sample: int, end_sample: int, state: CoverageState, reason: str | None = None
    ) -> None:
        for start, end in self.gaps:
            low, high = max(start, start_sample), min(end, end_sample)
            if low < high:
                self.notes.repair(low, high, state, reason)

    repair = decide


class GapSink:
    """`seams.EventSink` for the pipeline: events of time that was heard live are cut off."""

    def __init__(self, channel: Channel, gaps: Sequence[Gap], known: Sequence[TimedWord] = ()) -> None:
        """known: words heard live that the log does not hold in memory."""
        self._channel = channel
        self._known = known
        self.is_over = False  # nothing more is said; another process reads it from the beginning
        self._gaps = [(ms_of(start), ms_of(end)) for start, end in gaps]
        self._started: dict[str, int] = {}  # utterance -> start_ms, not yet said
        self.segments = 0

    def emit(self, event: Event) -> int | None:
        if self.is_over:
            return None
        match event:
            case SpeechStarted():
                self._started[event.utterance] = event.start_ms
            case SpeechEnded():
                self._ended(event)
            case SegmentFinal():
                return self._final(event)
            case WindowFailed() if self._inside(event.start_ms, event.end_ms) is not None:
                return self._channel.session.log.emit(event)
            case ErrorReported():
                return self._channel.session.log.emit(event)
            case _:  # interims and states are of the present; coverage has its own way
                pass
        return None

    def _ended(self, event: SpeechEnded) -> None:
        """Both bounds at once, when it is known how much of the utterance lies in a gap."""
        start_ms = self._started.pop(event.utterance, event.start_ms)
        inside = self._inside(start_ms, event.end_ms)
        if inside is None:
            return
        log = self._channel.session.log
        log.emit(SpeechStarted(channel=event.channel, utterance=event.utterance, start_ms=inside[0]))
        log.emit(replace(event, start_ms=inside[0], end_ms=inside[1]))

    def _final(self, final: SegmentFinal) -> int | None:
        words = final.words
        from_ms, to_ms = final.start_ms - EDGE_MS, final.end_ms + EDGE_MS
        heard = [*self._known, *heard_live(self._channel, from_ms, to_ms)]
        kept: Sequence[TimedWord] = [
            word
            for at, word in enumerate(words)
            if (self._holds(_middle(word)) or self._is_cut_off(words, at, heard))
            and not is_double(word, heard)
        ]
        if not words and self._inside(final.start_ms, final.end_ms) is not None:
            kept = words
        elif not kept:
            return None
        elif len(kept) < len(words):
            final = cut_words(final, kept)
        self.segments += 1
        return self._channel.session.log.emit(replace(final, source=Source.BACKFILL))

    def _holds(self, ms: int) -> bool:
        return any(start <= ms < end for start, end in self._gaps)

    def _is_cut_off(self, words: Sequence[TimedWord], at: int, heard: Sequence[TimedWord]) -> bool:
        """The greater part of the word came live, but not all of it, and nobody could make it out: the word
        beyond it was heard live, and right up to that one nothing.
        """
        word = words[at]
        for start, end in self._gaps:
            if word.start_ms < end + LOOSE_MS and end <= _middle(word) and at + 1 < len(words):
                beyond = doubles(words[at + 1], heard)
                if beyond and not _spoken(heard, word.start_ms, beyond[0].start_ms):
                    return True
            if start - LOOSE_MS < word.end_ms and _middle(word) < start and at > 0:
                beyond = doubles(words[at - 1], heard)
                if beyond and not _spoken(heard, beyond[-1].end_ms, word.end_ms):
                    return True
        return False

    def _inside(self, start_ms: int, end_ms: int) -> tuple[int, int] | None:
        """From the first to the last of it that lies in a gap."""
        parts = [(max(a, start_ms), min(b, end_ms)) for a, b in self._gaps if a < end_ms and start_ms < b]
        return (parts[0][0], parts[-1][1]) if parts else None


def heard_live(channel: Channel, from_ms: int, to_ms: int) -> list[TimedWord]:
    """The words of this time that are in the log already."""
    heard: list[TimedWord] = []
    for logged in channel.session.log.segments(channel.id, from_ms=from_ms, to_ms=to_ms):
        final = logged.event
        if isinstance(final, SegmentFinal) and final.source is not Source.BACKFILL:
            heard += final.words
    return heard


def is_double(word: TimedWord, heard: Sequence[TimedWord]) -> bool:
    """A word cut by the gap's edge can be read on both sides; its times then differ by the part cut off."""
    return bool(doubles(word, heard))


def doubles(word: TimedWord, heard: Sequence[TimedWord]) -> list[TimedWord]:
    """The same word, as it was heard live."""
    return [
        other
        for other in heard
        if _bare(word.text) == _bare(other.text) and abs(word.start_ms - other.start_ms) <= EDGE_MS
    ]


def _middle(word: TimedWord) -> int:
    return int(word.start_ms + word.end_ms) // 2


def _spoken(heard: Sequence[TimedWord], from_ms: int, to_ms: int) -> bool:
    """Was any word heard live whose middle lies in [from_ms, to_ms)?"""
    return any(from_ms <= _middle(word) < to_ms for word in heard)


def _bare(text: str) -> str:
    return "".join(char for char in text.lower() if char.isalnum())


def cut_words(final: SegmentFinal, kept: Sequence[TimedWord]) -> SegmentFinal:
    """The final with only these of its words."""
    first, last = kept[0], kept[-1]
    words = final.words
    before = [word.text for word in words[: words.index(first)]]
    inside = [word.text for word in words[words.index(first) : words.index(last) + 1]]
    text = _cut_text(final.text, before, inside)
    return replace(
        final,
        start_ms=first.start_ms,
        end_ms=max(first.start_ms, last.end_ms),
        words=tuple(word for word in words if first.start_ms <= word.start_ms <= last.start_ms),
        text=text,
        raw=text if final.raw is None else _cut_text(final.raw, before, inside),
        edits=tuple(edit for edit in final.edits if _is_in(edit, inside)),
    )


def _is_in(edit: Edit, words: Sequence[str]) -> bool:
    return edit.after in " ".join(words)


def _cut_text(text: str, before: Sequence[str], inside: Sequence[str]) -> str:
    """The part of the text that these words make up; where they are not found, the words themselves."""
    at = 0
    for word in before:
        found = text.find(word.strip(), at)
        at = found + len(word.strip()) if found >= 0 else at
    start, end = -1, at
    for word in inside:
        found = text.find(word.strip(), end)
        if found < 0:
            return " ".join(word.strip() for word in inside)
        start = found if start < 0 else start
        end = found + len(word.strip())
    while end < len(text) and not text[end].isalnum() and not text[end].isspace():
        end += 1  # the sentence's own mark
    return text[start:end]
