"""Reading: a job's audio goes through a pipeline of its own, behind everything live.

Owns the way of one job from its blocks to events and coverage, less what watchers know already. The plan
says what is read (`recovery.plan`), the merge rule which words are new (`recovery.merge`). Invariant: no
word and no coverage is written for time outside the plan, or for time whose audio was not read.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from host_stt.contract import EndReason, Priority, Transcript, Window
from webrtc_host.errors import EngineError
from webrtc_host.events import (
    ErrorReported,
    Event,
    EventSink,
    SegmentFinal,
    SpeechEnded,
    SpeechStarted,
    WindowFailed,
)
from webrtc_host.media.ranges import RangeSet
from webrtc_host.recovery.announced import AnnouncedUtterances
from webrtc_host.recovery.audio import PastAudio
from webrtc_host.recovery.known import NEAR_MS, WANT_OF_ENGINE, KnownLine, lines_of
from webrtc_host.recovery.merge import open_time, without_known
from webrtc_host.recovery.plan import Plan
from webrtc_host.seams import (
    SAMPLES_PER_MS,
    Block,
    Clock,
    CoverageNotes,
    CoverageState,
    Source,
    Transcriber,
    ms_of,
)
from webrtc_host.session.channel import Channel, Pipeline
from webrtc_host.speech.pipeline import PipelineStatistics

RESTART_RULE = "restart"
"""The rule of a `speech.ended` for an utterance that the end of the server interrupted, without audio left.
"""
PATIENCE_S = 1800.0
"""A window waits this long for an engine that is stopped or loading: it is late in any case."""
RETRY_S = 1.0
TRIES_MAX = 3
"""Of a window that the engine had and failed on. `EngineClient` repeats only live finals itself."""
DEADLINE_MS = 600_000  # the longest that the contract allows
FINALS_WAIT_S = 7200.0
FINALS_POLL_S = 0.2
ABORT_S = 0.3  # for the pipeline to close, when the server stops
NEAR_SAMPLES = NEAR_MS * SAMPLES_PER_MS


class PastPipeline(Pipeline, Protocol):
    """What a pipeline needs besides for audio that comes faster than real time."""

    async def wait_for_space(self) -> None:
        """Waits while the queue is too full."""
        ...

    def statistics(self) -> PipelineStatistics: ...


MakePastPipeline = Callable[[Channel, EventSink, CoverageNotes, Transcriber], PastPipeline]


@dataclass(slots=True)
class ReadingTotals:
    """Over many jobs, since the start of the process."""

    audio_ms: int = 0
    finals: int = 0


class KnownLines:
    """The finals around a job's windows: of the record, and those that live audio got since.

    A live utterance at the edge of a gap often gets its text while the gap is read. The job's own finals are
    left out: windows of one utterance overlap, and `speech.merge` needs the overlap to align them.
    """

    def __init__(self, channel: Channel, plan: Plan) -> None:
        self._channel, self._plan = channel, plan
        self.own: set[int] = set()  # seq of the finals that this job wrote

    def near(self, start_sample: int, end_sample: int) -> list[KnownLine]:
        """Those within a second of [start_sample, end_sample)."""
        low, high = start_sample - NEAR_SAMPLES, end_sample + NEAR_SAMPLES
        known = self._plan.known
        lines = {one.seq: one for one in known.lines if one.end_sample > low and one.start_sample < high}
        newer = self._channel.session.log.segments(
            self._channel.id, from_ms=max(0, ms_of(low)), to_ms=ms_of(high), after=known.to_seq
        )
        lines |= {
            line.seq: line for line in lines_of(one.envelope for one in newer if one.seq not in self.own)
        }
        return list(lines.values())


class PastTranscriber:
    """The engine for the windows of a job: behind everything live, and only for windows that lack text."""

    def __init__(
        self, engine: Transcriber, plan: Plan, known: KnownLines, clock: Clock = time.monotonic
    ) -> None:
        self._engine, self._plan, self._known, self._clock = engine, plan, known, clock
        self.gave_up = False  # there was no engine for PATIENCE_S
        self.is_over = False  # set when the job is stopped

    async def transcribe(self, window: Window) -> Transcript:
        start, end = window.start_sample, window.start_sample + len(window.samples)
        if self._plan.is_complete(start, end):
            return Transcript(window.id, (), window.language, 0.0, 0.0, 1.0, 0.0, EndReason.NO_SPEECH)
        patient = replace(window, priority=Priority.BACKGROUND, deadline_ms=DEADLINE_MS)
        transcript = await self._patiently(patient)
        # Looked up after the engine: live text may have come while this window waited.
        lines = self._known.near(start, end)
        open_ = open_time(self._plan.ranges, lines, self._plan.missing)
        return without_known(transcript, lines, open_, start)

    async def _patiently(self, window: Window) -> Transcript:
        until_s = self._clock() + PATIENCE_S
        tries_left = TRIES_MAX
        while True:
            try:
                return await self._engine.transcribe(window)
            except EngineError as error:
                is_want = error.code in WANT_OF_ENGINE
                tries_left -= not is_want
                if not is_want and not (error.is_retryable and tries_left):
                    raise
                if self.is_over or self._clock() > until_s:
                    self.gave_up = True
                    raise
            await asyncio.sleep(RETRY_S)


class PastSink:
    """`events.EventSink` of a job's pipeline: its events, cut to the plan, as watchers may know them."""

    def __init__(
        self, channel: Channel, plan: Plan, source: Source, known: KnownLines, totals: ReadingTotals
    ) -> None:
        self._channel, self._plan, self._source = channel, plan, source
        self._known, self._totals = known, totals
        self._utterances = AnnouncedUtterances(plan.announced)
        self._starts: dict[str, int] = {}  # utterance -> start_ms, not announced yet
        self.finals = 0
        self.is_over = False  # the next start reads the job again, so nothing more is written

    def emit(self, event: Event) -> int | None:
        if self.is_over:
            return None
        match event:
            case SpeechStarted():
                self._started(event)
            case SpeechEnded():
                self._ended(event)
            case SegmentFinal():
                return self._final(event)
            case WindowFailed() if self._inside(event.start_ms, event.end_ms) is not None:
                self._announce(event.utterance, event.end_ms)
                return self._log.emit(replace(event, utterance=self._utterances.id_of(event.utterance)))
            case ErrorReported():
                return self._log.emit(event)
            case _:  # interims and states are about the present
                pass
        return None

    @property
    def _log(self) -> EventSink:
        return self._channel.session.log

    def _started(self, event: SpeechStarted) -> None:
        """Announced at once inside the plan. An utterance before a range may end before the range begins."""
        self._starts[event.utterance] = event.start_ms
        if self._plan.holds(event.start_ms * SAMPLES_PER_MS):
            self._announce(event.utterance, event.start_ms)

    def _announce(self, utterance: str, end_ms: int) -> None:
        """Write `speech.started`, if that was not done. end_ms: the utterance reaches at least up to here."""
        start_ms = self._starts.pop(utterance, None)
        if start_ms is None:
            return
        inside = self._inside(start_ms, end_ms)
        start_ms = start_ms if inside is None else inside[0]
        if self._utterances.begin(utterance, start_ms):
            self._log.emit(SpeechStarted(channel=self._channel.id, utterance=utterance, start_ms=start_ms))

    def _ended(self, event: SpeechEnded) -> None:
        inside = self._inside(event.start_ms, event.end_ms)
        if inside is None:
            self._starts.pop(event.utterance, None)
            return
        self._announce(event.utterance, event.end_ms)
        if self._utterances.lacks_end(event.utterance):
            start_ms = self._utterances.start_of(event.utterance, inside[0])
            end_ms = max(start_ms, inside[1])  # the record may have put its start later
            utterance = self._utterances.id_of(event.utterance)
            self._log.emit(replace(event, utterance=utterance, start_ms=start_ms, end_ms=end_ms))

    def _final(self, final: SegmentFinal) -> int | None:
        self._announce(final.utterance, final.end_ms)
        self.finals += 1
        self._totals.finals += 1
        utterance = self._utterances.id_of(final.utterance)
        seq = self._log.emit(replace(final, utterance=utterance, source=self._source))
        if seq is not None:
            self._known.own.add(seq)
        return seq

    def end_left_open(self) -> None:
        """End the utterances that watchers take for unfinished, and whose audio is not there any more."""
        if not self._plan.closes_utterances:
            return
        for utterance in self._utterances.left_open():
            self._log.emit(
                SpeechEnded(
                    channel=self._channel.id,
                    utterance=utterance.id,
                    start_ms=utterance.start_ms,
                    end_ms=max(utterance.start_ms, ms_of(self._plan.end_sample)),
                    rule=RESTART_RULE,
                )
            )

    def _inside(self, start_ms: int, end_ms: int) -> tuple[int, int] | None:
        """The part of the plan, in milliseconds, that the time touches; an empty time touches one moment."""
        found = self._plan.inside(start_ms * SAMPLES_PER_MS, max(end_ms, start_ms + 1) * SAMPLES_PER_MS)
        return None if found is None else (ms_of(found.start_sample), min(end_ms, ms_of(found.end_sample)))


class PastNotes:
    """`seams.CoverageNotes` of a job's pipeline: states hold for planned time whose audio was read."""

    def __init__(self, notes: CoverageNotes, plan: Plan) -> None:
        self._notes, self._plan = notes, plan
        self._read = RangeSet()

    def was_read(self, block: Block) -> None:
        for start, end in self._plan.ranges:
            self._read.add(max(start, block.start_sample), min(end, block.end_sample))

    def decide(
        self, start_sample: int, end_sample: int, state: CoverageState, reason: str | None = None
    ) -> None:
        for start, end in self._read:
            low, high = max(start, start_sample), min(end, end_sample)
            if low < high:
                self._notes.repair(low, high, state, reason)

    repair = decide


async def read(
    channel: Channel,
    plan: Plan,
    audio: PastAudio,
    source: Source,
    engine: Transcriber,
    make_pipeline: MakePastPipeline,
    totals: ReadingTotals,
    *,
    is_awaited: bool = False,
) -> int:
    """Read the audio of a plan. Returns how many finals were written, when the last one is in the log.

    is_awaited: a client waits; the pipeline's own limit holds for the last finals, and what is unanswered
    then is a failed window. totals: counts the audio that is read and the finals. Raises EngineError when
    there was no engine for PATIENCE_S: the job is not done.
    """
    known = KnownLines(channel, plan)
    sink = PastSink(channel, plan, source, known, totals)
    notes = PastNotes(channel.coverage.repairing(), plan)
    transcriber = PastTranscriber(engine, plan, known)
    pipeline = make_pipeline(channel, sink, notes, transcriber)
    pipeline.start()
    try:
        async for block in audio.blocks(plan.audio()):
            await pipeline.wait_for_space()
            # Before the block is fed: the pipeline may decide on its time at any moment from then on.
            notes.was_read(block)
            pipeline.feed(block)
            totals.audio_ms += len(block.samples) // SAMPLES_PER_MS
        if not is_awaited:
            await _finals_of(pipeline)
    except BaseException:
        # First nothing more may be written: a half of the rest would be given twice after the next start.
        sink.is_over = transcriber.is_over = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ABORT_S):
                await pipeline.close()
        raise
    await pipeline.close()
    if transcriber.gave_up:
        minutes = round(PATIENCE_S / 60)
        raise EngineError("unreachable", f"there was no engine for {minutes} minutes")
    sink.end_left_open()
    channel.coverage.flush()
    return sink.finals


async def _finals_of(pipeline: PastPipeline) -> None:
    """Wait until the engine has read everything. Behind live channels this may take long."""
    async with asyncio.timeout(FINALS_WAIT_S):
        while True:
            figures = pipeline.statistics()
            if figures.queued_ms == 0 and figures.in_flight == 0:
                return
            await asyncio.sleep(FINALS_POLL_S)
