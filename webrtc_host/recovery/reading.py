"""Reading: runs one job. Its audio goes through a pipeline of its own, after everything live.

This module passes the blocks of a job to the pipeline and its windows to the engine, and handles a missing
engine and the stop of the server. `recovery.plan` says which time is read, and `recovery.merge` which words
are new. Invariant: a job that is stopped writes nothing more.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence, Set
from dataclasses import replace
from typing import Protocol

from host_stt.contract import EndReason, Priority, Transcript, Window
from webrtc_host.errors import EngineError
from webrtc_host.events import EventSink, Talker
from webrtc_host.recovery.audio import PastAudio
from webrtc_host.recovery.known import NEAR_SAMPLES, WANT_OF_ENGINE, KnownLine, lines_of
from webrtc_host.recovery.merge import open_time, without_known
from webrtc_host.recovery.plan import Plan
from webrtc_host.recovery.publishing import PastNotes, PastSink, ReadingTotals
from webrtc_host.seams import Clock, CoverageNotes, Source, Transcriber, ms_of
from webrtc_host.session.channel import Channel
from webrtc_host.session.channel_seams import Pipeline
from webrtc_host.speech.pipeline import PipelineStatistics

PATIENCE_S = 1800.0
"""A window waits this long for an engine that is stopped or loading. Its text is late in any case."""
RETRY_S = 1.0
TRIES_MAX = 3
"""Of a window that the engine had and failed on. `EngineClient` repeats only live finals itself."""
DEADLINE_MS = 600_000  # the longest that the contract allows
FINALS_WAIT_S = 7200.0
FINALS_POLL_S = 0.2
ABORT_S = 0.3  # for the pipeline to close, when the server stops


class PastPipeline(Pipeline, Protocol):
    """The further methods of a pipeline that gets audio faster than real time."""

    async def wait_for_space(self) -> None:
        """Waits while the queue is too full."""
        ...

    def statistics(self) -> PipelineStatistics: ...


MakePastPipeline = Callable[[Channel, EventSink, CoverageNotes, Transcriber], PastPipeline]


class KnownLines:
    """The finals around the windows of a job: those of the record, and those of live audio since then.

    A live utterance at the edge of a gap often gets its text while the gap is read. The finals of the job
    itself are left out: windows of one utterance overlap, and `speech.merge` needs the overlap to align them.
    """

    def __init__(self, channel: Channel, plan: Plan, own: Set[int]) -> None:
        """own: seq of the finals that this job has written; it grows while the job runs."""
        self._channel, self._plan, self._own = channel, plan, own

    def near(self, start_sample: int, end_sample: int) -> list[KnownLine]:
        """Those within a second of [start_sample, end_sample)."""
        low, high = start_sample - NEAR_SAMPLES, end_sample + NEAR_SAMPLES
        known = self._plan.known
        lines = {one.seq: one for one in known.lines if one.end_sample > low and one.start_sample < high}
        newer = self._channel.session.log.segments(
            self._channel.id, from_ms=max(0, ms_of(low)), to_ms=ms_of(high), after=known.to_seq
        )
        lines |= {
            line.seq: line for line in lines_of(one.envelope for one in newer if one.seq not in self._own)
        }
        return list(lines.values())


class PastTranscriber:
    """The engine for the windows of a job: after everything live, and only for windows without text."""

    def __init__(
        self, engine: Transcriber, plan: Plan, known: KnownLines, clock: Clock = time.monotonic
    ) -> None:
        self._engine, self._plan, self._known, self._clock = engine, plan, known, clock
        self.gave_up = False  # there was no engine for PATIENCE_S
        self._is_stopped = False

    def stop(self) -> None:
        """The job was stopped: a window that waits for an engine is given up at its next try."""
        self._is_stopped = True

    async def transcribe(self, window: Window) -> Transcript:
        start, end = window.start_sample, window.start_sample + len(window.samples)
        if self._plan.is_complete(start, end):
            return Transcript(window.id, (), window.language, 0.0, 0.0, 1.0, 0.0, EndReason.NO_SPEECH)
        patient = replace(window, priority=Priority.BACKGROUND, deadline_ms=DEADLINE_MS)
        transcript = await self._patiently(patient)
        # Looked up after the engine: live text may have come while this window waited.
        lines = self._known.near(start, end)
        open_ = open_time(self._plan.text_ranges(), lines, self._plan.missing)
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
                if self._is_stopped or self._clock() > until_s:
                    self.gave_up = True
                    raise
            await asyncio.sleep(RETRY_S)


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
    talkers: Sequence[Talker] = (),
) -> int:
    """Read the audio of a plan. Returns how many finals were written, when the last one is in the log.

    is_awaited: a client waits, so the job waits for the last results only as long as a live channel does;
    windows without a result have failed then. totals: counts the audio that is read and the finals. Raises
    EngineError when there was no engine for PATIENCE_S: the job is not done.
    """
    sink = PastSink(channel, plan, source, totals, talkers)
    known = KnownLines(channel, plan, sink.written)
    notes = PastNotes(channel.coverage.repairing(), plan)
    transcriber = PastTranscriber(engine, plan, known)
    pipeline = make_pipeline(channel, sink, notes, transcriber)
    pipeline.start()
    try:
        async for block in audio.blocks(plan.audio()):
            await pipeline.wait_for_space()
            # Before the block is fed: from then on, the pipeline may report coverage of its time.
            notes.was_read(block)
            pipeline.feed(block)
            totals.count_audio(len(block.samples))
        if not is_awaited:
            await _finals_of(pipeline)
    except BaseException:
        # First stop the writing: what is written while the pipeline closes could be written a second time
        # when the next start reads the job again.
        sink.stop()
        transcriber.stop()
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
    """Wait until the engine has decoded all windows. While live channels are busy, this takes long."""
    async with asyncio.timeout(FINALS_WAIT_S):
        while True:
            figures = pipeline.statistics()
            if figures.queued_ms == 0 and figures.in_flight == 0:
                return
            await asyncio.sleep(FINALS_POLL_S)
