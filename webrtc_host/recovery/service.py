"""The recovery service: runs the jobs for past audio, after a network gap, a crash or an engine failure.

This module has the order of the steps at the start and within a job, the number of jobs that run at a time,
and the statistics. `recovery.finding` makes the jobs, and `recovery.reading` runs one of them. Invariant:
until all finals of a job are saved, the next start finds the job again; what an interrupted job has written
is not written again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from webrtc_host.archive.archive import Archive
from webrtc_host.errors import Overloaded, RequestError, StoreError
from webrtc_host.recovery.audio import Run, pieces
from webrtc_host.recovery.failed_windows import Failed, FailedWindows
from webrtc_host.recovery.finding import Finding, claim_gaps
from webrtc_host.recovery.jobs import Job, channel_key_of, note_gaps
from webrtc_host.recovery.known import Range
from webrtc_host.recovery.plan import Plan
from webrtc_host.recovery.publishing import ReadingTotals
from webrtc_host.recovery.reading import MakePastPipeline, read
from webrtc_host.seams import Source, Transcriber
from webrtc_host.session.channel import Channel
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.session.restore import RestoredSession
from webrtc_host.transcript.store import Store

logger = logging.getLogger(__name__)

T = TypeVar("T")

AT_ONCE = 2
"""Jobs that run at one time while no client waits for them. Each keeps one or two windows waiting for the
engine. A job for a client starts at once; `doors.backfill` limits the number of these jobs.
"""
TAIL_SPARE_MS = 5000  # further time that can pass between a packet and its first event
RECENT_MS = 60_000
"""A feed that was closed so shortly before the crash may lack the text of its last words: in a handover, the
channel is free before these words are transcribed.
"""
FAILED_WAITING_MAX = 256  # failed windows in the queue; each is a few packets of a file
TRIED_MAX = 10_000  # utterances whose tries are remembered
TRIES_MAX = 3
"""Jobs for the failed windows of one utterance. More than one: in a long utterance, a window can fail after
the job for an earlier window has begun.
"""


@dataclass(frozen=True, slots=True)
class Filled:
    """The result of a backfill. gaps: the missing time that was filled. segments: finals written for it."""

    gaps: tuple[Range, ...]
    segments: int


@dataclass(slots=True)
class RecoveryFigures:
    """Of jobs after a crash or an engine failure; backfills are counted by their input."""

    feeds_waiting: int = 0
    feeds_done: int = 0
    feeds_failed: int = 0


class RecoveryService:
    """One per process. `running` is a start step, after the archive is open and the sessions are restored."""

    def __init__(
        self,
        registry: SessionRegistry,
        store: Store,
        archive: Archive | None,
        engine: Transcriber,
        make_pipeline: MakePastPipeline,
        *,
        restored: Callable[[], Sequence[RestoredSession]] = tuple,
        failed: FailedWindows | None = None,
        backlog_ms: int = 0,
    ) -> None:
        """archive: None: no audio is archived, so a backfill that a crash interrupts is lost.

        restored: the sessions of the process before. failed: None when recovery is off in the configuration.
        backlog_ms: audio that may wait for speech detection.
        """
        self._registry, self._store, self._archive = registry, store, archive
        self._engine, self._make_pipeline = engine, make_pipeline
        self._restored, self._failed = restored, failed
        self._finding = Finding(registry, store, archive, backlog_ms + TAIL_SPARE_MS)
        self.figures = RecoveryFigures()
        self._totals = {source: ReadingTotals() for source in Source}
        self._places = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._tried: dict[str, int] = {}  # utterances and the jobs that they had, oldest first
        self._not_begun: set[str] = set()  # utterances whose job will find all failed windows
        self._failed_waiting = 0
        self._are_more_failed = False  # the queue was full, so the record has failed windows without a job

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self._start()
        listening = None
        if self._failed is not None:
            listening = asyncio.create_task(self._take_failed(self._failed), name="failed windows")
        try:
            yield
        finally:
            await _stop([*self._tasks, *([] if listening is None else [listening])])

    @property
    def is_recovering(self) -> bool:
        """False: by the configuration, only backfills are read."""
        return self._failed is not None

    @property
    def is_idle(self) -> bool:
        """No job is waiting or running."""
        return not self._tasks

    def statistics(self) -> dict[str, float]:
        figures, totals = self.figures, self._totals[Source.RECOVERY]
        refused = 0 if self._failed is None else self._failed.refused
        return {
            "feeds_waiting": figures.feeds_waiting,
            "feeds_done": figures.feeds_done,
            "feeds_failed": figures.feeds_failed + refused,
            "audio_ms": totals.audio_ms,
            "finals": totals.finals,
        }

    async def fill(self, channel: Channel, runs: Sequence[Run]) -> Filled:
        """Archive and read the parts of the runs that the channel is missing.

        Returns when their last words are in the log. When the caller is cancelled, the job continues: its
        time is reserved, so no other caller can fill it.
        """
        filling = self._fill(channel, sorted(runs, key=lambda run: run.start_sample))
        return await asyncio.shield(self._begin(filling, f"backfill of {channel.id}"))

    async def _fill(self, channel: Channel, runs: Sequence[Run]) -> Filled:
        # The order matters. First reserve the time, before the first `await`: a second caller must not find
        # it missing, too.
        gaps = claim_gaps(channel, runs)
        if not gaps:
            return Filled((), 0)
        # Then the archive, then the note. After a crash between the two, there is audio without a note, and
        # recovery finds it if its feed was cut off. A note without audio would be useless.
        if channel.archive is not None:
            for block in pieces(runs, gaps):
                channel.archive.archive_block(block)
        try:
            await self._store.write(note_gaps(channel_key_of(channel), gaps))
        except (StoreError, Overloaded) as error:
            logger.warning("a backfill of %s would be lost in a crash now: %s", channel.id, error)
        return Filled(gaps, await self.run(self._finding.uploaded_gaps(channel, runs, gaps)))

    async def _start(self) -> None:
        """Find the past audio of an earlier process, and begin to read it. Runs before clients connect."""
        if self._archive is None:
            return
        # Gaps first: they reserve their time, so that the plan of the feed around them leaves it out.
        # Otherwise both jobs would transcribe it, and its words would be published twice. Then feeds, because
        # they include most failed windows.
        jobs = await self._finding.noted_gaps()
        if self._failed is not None:
            restored = list(self._restored())
            jobs += await self._find_feeds(restored, jobs)
            await self._find_failed(restored, jobs)
        if not jobs:
            return
        seconds = sum(end - start for job in jobs for start, end in job.ranges) / 16_000
        logger.info("recovery: %d feeds and gaps are to be read, up to %.0f s of audio", len(jobs), seconds)
        tasks = [self._queue(job) for job in jobs]
        self._begin(self._log_end(tasks), "end of recovery")

    async def _find_feeds(self, restored: Iterable[RestoredSession], gaps: Sequence[Job]) -> list[Job]:
        jobs: list[Job] = []
        for one in restored:
            for channel in one.session.channels.values():
                try:
                    jobs += await self._finding.feeds(channel, one.down_from_ms - RECENT_MS, gaps)
                except (StoreError, OSError):
                    logger.exception("%s %s cannot be recovered", one.session.id, channel.id)
                    self.figures.feeds_failed += 1
        return jobs

    async def _find_failed(self, restored: Iterable[RestoredSession], jobs: Sequence[Job]) -> None:
        for one in restored:
            for channel in one.session.channels.values():
                try:
                    failed = await self._finding.windows(channel_key_of(channel), jobs)
                except StoreError:
                    logger.exception("%s %s: failed windows cannot be found", one.session.id, channel.id)
                    self.figures.feeds_failed += 1
                    continue
                for window in failed:
                    self._read_later(window)

    async def _take_failed(self, failed: FailedWindows) -> None:
        """Read windows again that failed because there was no engine, as soon as there is one.

        Their words become finals of the same utterance.
        """
        while True:
            self._read_later(await failed.next())

    def _read_later(self, failed: Failed) -> None:
        tries = self._tried.get(failed.utterance, 0)
        if failed.utterance in self._not_begun or tries >= TRIES_MAX:
            return
        if self._failed_waiting >= FAILED_WAITING_MAX:  # found in the record when the queue is empty
            self._are_more_failed = True
            return
        try:
            job = self._finding.window(failed)
        except RequestError as error:  # its session was removed meanwhile
            logger.info("%s is not read again: %s", failed.utterance, error)
            return
        self._tried[failed.utterance] = tries + 1
        while len(self._tried) > TRIED_MAX:
            self._tried.pop(next(iter(self._tried)))
        self._failed_waiting += 1
        self._not_begun.add(failed.utterance)

        async def plan() -> Plan:
            self._not_begun.discard(failed.utterance)  # a window that fails from now on needs another job
            return await job.plan()

        task = self._queue(replace(job, plan=plan))
        task.add_done_callback(self._failed_is_over)

    def _failed_is_over(self, task: asyncio.Task[int]) -> None:
        self._failed_waiting -= 1
        if self._are_more_failed and self._failed_waiting == 0 and not task.cancelled():
            self._are_more_failed = False
            self._begin(self._find_more_failed(), "failed windows of the record")

    async def _find_more_failed(self) -> None:
        """Queue the failed windows for which the queue had no place."""
        for session in self._registry:
            for channel in list(session.channels.values()):
                try:
                    for window in await self._finding.windows(channel_key_of(channel), ()):
                        self._read_later(window)
                except StoreError:
                    logger.exception("%s %s: failed windows cannot be found", session.id, channel.id)

    def _queue(self, job: Job) -> asyncio.Task[int]:
        if job.source is Source.RECOVERY:
            self.figures.feeds_waiting += 1
        return self._begin(self._run_queued(job), f"{job.channel_key.channel}: {job.what}")

    async def _run_queued(self, job: Job) -> int:
        """Run a job for which no client waits: an error is logged, and the other jobs continue."""
        is_counted = job.source is Source.RECOVERY
        try:
            async with self._places:
                finals = await self.run(job)
            self.figures.feeds_done += is_counted
            return finals
        except asyncio.CancelledError:
            raise
        except Exception:
            channel_key = job.channel_key
            logger.exception(
                "%s %s: %s could not be read", channel_key.session, channel_key.channel, job.what
            )
            self.figures.feeds_failed += is_counted
            return 0
        finally:
            self.figures.feeds_waiting -= is_counted

    async def run(self, job: Job) -> int:
        """Read a job and change its note. Returns how many finals were written. Raises EngineError."""
        plan = await job.plan()
        finals = 0
        if not plan.is_empty:
            finals = await read(
                job.channel,
                plan,
                job.audio,
                job.source,
                self._engine,
                self._make_pipeline,
                self._totals[job.source],
                is_awaited=job.is_awaited,
                talkers=job.talkers,
            )
            # The note may change only after the finals are saved. After a crash between the two, the next
            # start reads the job again and finds that all of its words are known.
            await job.channel.session.log.settled()
        if job.note_done is not None:
            try:
                await self._store.write(job.note_done)
            except (StoreError, Overloaded) as error:
                logger.warning("%s was read; the next start checks it again: %s", job.what, error)
        return finals

    async def _log_end(self, tasks: Iterable[asyncio.Task[int]]) -> None:
        finals = sum(await asyncio.gather(*tasks))
        logger.info("recovery is done: %d finals", finals)

    def _begin(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def _stop(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Interrupt the jobs. Their notes stay, so the next start begins them again."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
