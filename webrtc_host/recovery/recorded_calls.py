"""Recorded calls: audio that an input received as a whole when it was over, read in the background.

This module reserves the place of a call in the queue, has its note in the record, and runs its job after
everything live. The job publishes finals with the source `call`. Invariants: a call that was taken is read
also after a crash, as far as its audio was archived; a call whose audio cannot be read has the state
`failed`; so much audio waits at most as the configuration allows.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

from sqlalchemy import Connection

from webrtc_host.archive.archive import Archive
from webrtc_host.archive.segment_file import ChannelKey
from webrtc_host.errors import EngineError, Overloaded, RequestError, StoreError
from webrtc_host.events import Talker
from webrtc_host.recovery.audio import ArchivedAudio, PastAudio, Run, UploadedAudio
from webrtc_host.recovery.finding import AROUND_MS
from webrtc_host.recovery.jobs import Job, channel_key_of
from webrtc_host.recovery.known import Known, Range, known_of
from webrtc_host.recovery.plan import Plan, plan_of_gaps
from webrtc_host.seams import SAMPLES_PER_MS, CoverageState, Source, ms_of
from webrtc_host.session.channel import Channel
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.transcript.coverage import NOT_READ
from webrtc_host.transcript.event_codec import decode_readable
from webrtc_host.transcript.meta import delete_meta, meta_with_prefix, put_meta
from webrtc_host.transcript.past import events_around
from webrtc_host.transcript.store import Store

logger = logging.getLogger(__name__)

AT_ONCE = 2
"""Calls that are read at one time. They do not wait for jobs after a crash, which can take hours."""
CALL_NOTES = "call:"
CALL_TO_READ = "call:{session}:{channel}:{start}"
"""This call has to be read. `start`: its first sample; the value is `Note` as JSON."""
RETRY_AFTER_S = 10.0
NO_EARLIER_FINAL = 1 << 60
"""A seq that no final has: a call that was just taken has no text yet, so no word of it is known."""


@dataclass(frozen=True, slots=True)
class Note:
    """A call that was taken and not read yet."""

    channel_key: ChannelKey
    ranges: tuple[Range, ...]  # of its transmissions, in order; at least one
    talkers: tuple[Talker, ...]

    @property
    def key(self) -> str:
        session, channel = self.channel_key.session, self.channel_key.channel
        return CALL_TO_READ.format(session=session, channel=channel, start=self.ranges[0].start_sample)

    def put(self, connection: Connection) -> None:
        talkers = [[talker.id, talker.start_ms, talker.label] for talker in self.talkers]
        body = {"ranges": self.ranges, "talkers": talkers}
        put_meta(connection, values={self.key: json.dumps(body)})

    @classmethod
    def of(cls, key: str, value: str) -> Note:
        _, session, channel, _ = key.split(":")
        body = json.loads(value)
        talkers = tuple(Talker(*talker) for talker in body["talkers"])
        ranges = tuple(Range(*one) for one in body["ranges"])
        return cls(ChannelKey(session, channel), ranges, talkers)


class RecordedCalls:
    """One per process. `running` is a start step, after recovery."""

    def __init__(
        self,
        registry: SessionRegistry,
        store: Store,
        archive: Archive | None,
        run: Callable[[Job], Awaitable[int]],
        waiting_s_max: float,
    ) -> None:
        """run: reads one job (`RecoveryService.run`). waiting_s_max: seconds of audio that may wait."""
        self._registry, self._store, self._archive, self._run = registry, store, archive, run
        self._waiting_max = round(waiting_s_max * 1000 * SAMPLES_PER_MS)
        self._waiting = 0  # samples
        self._places = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self.totals = {"read": 0, "failed": 0, "finals": 0}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self._start()
        try:
            yield
        finally:
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(set(self._tasks))

    @property
    def is_idle(self) -> bool:
        return not self._tasks

    def statistics(self) -> dict[str, float]:
        return {**self.totals, "waiting_ms": ms_of(self._waiting)}

    def check_space(self, samples: int = 0) -> None:
        """Raises Overloaded when so much more audio would have to wait too long."""
        if self._waiting and self._waiting + samples > self._waiting_max:
            waiting_s = ms_of(self._waiting) / 1000
            raise Overloaded(
                "calls_waiting",
                f"{waiting_s:.0f} s of calls wait to be transcribed already (radio.waiting_s)",
                retry_after_s=RETRY_AFTER_S,
            )

    async def take(self, channel: Channel, runs: Sequence[Run], talkers: Sequence[Talker]) -> None:
        """Queue a call whose time the caller has reserved. Returns when the record has its note.

        runs: its audio, in order, at least one.
        """
        ranges = tuple(Range(run.start_sample, run.end_sample) for run in runs)
        note = Note(channel_key_of(channel), ranges, tuple(talkers))
        plan = Plan(ranges, Known(to_seq=NO_EARLIER_FINAL))

        async def known_plan() -> Plan:
            return plan

        try:
            await self._store.write(note.put)
        except (StoreError, Overloaded) as error:
            logger.warning("a call of %s would be lost in a crash now: %s", channel.id, error)
        self._queue(_job_of(note, channel, UploadedAudio(runs), known_plan))

    async def _start(self) -> None:
        """Queue the calls that an earlier process took and did not read."""
        notes = await self._store.read(_notes)
        for note in notes:
            try:
                session = self._registry.get_live(note.channel_key.session)
                channel = self._registry.channel(session, note.channel_key.channel)
            except RequestError as error:
                logger.warning("a call of %s is not read: %s", note.channel_key.channel, error)
                await self._forget(note)
                continue
            if self._archive is None or not await asyncio.to_thread(self._is_archived, note):
                self._mark_failed(channel, note.ranges, NOT_READ)
                await self._forget(note)
                continue
            for one in note.ranges:
                channel.claim_gap(*one)
            audio = ArchivedAudio(self._archive, note.channel_key)
            self._queue(_job_of(note, channel, audio, partial(self._plan_again, channel, note)))
        if notes:
            logger.info("%d recorded calls are read that an earlier process took", len(self._tasks))

    async def _plan_again(self, channel: Channel, note: Note) -> Plan:
        """The plan of a call that an earlier process may have read in part."""
        start_ms, end_ms = ms_of(note.ranges[0].start_sample), ms_of(note.ranges[-1].end_sample)
        floor_ms = max(0, start_ms - AROUND_MS)
        saved_seq = channel.session.log.saved_seq
        stored = await self._store.read(
            lambda connection: events_around(connection, channel.session.id, channel.id, floor_ms, end_ms)
        )
        known = known_of(floor_ms, decode_readable(stored))
        plan = plan_of_gaps(known, note.ranges)
        # The audio around a call is of other calls, so it is not read.
        return replace(plan, known=replace(known, to_seq=saved_seq), around=0, missing=())

    def _queue(self, job: Job) -> None:
        samples = sum(end - start for start, end in job.ranges)
        self._waiting += samples
        for one in job.ranges:
            job.channel.unread.add(*one)
        task = asyncio.create_task(self._read(job), name=f"{job.channel_key.channel}: {job.what}")
        self._tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            self._waiting -= samples
            for one in job.ranges:
                job.channel.unread.remove(*one)

        task.add_done_callback(ended)

    async def _read(self, job: Job) -> None:
        try:
            async with self._places:
                self.totals["finals"] += await self._run(job)
            self.totals["read"] += 1
        except asyncio.CancelledError:
            raise
        except Exception as error:
            logger.exception(
                "%s %s: %s could not be read; the next start tries again",
                *(job.channel_key.session, job.channel_key.channel, job.what),
            )
            self.totals["failed"] += 1
            reason = error.code if isinstance(error, EngineError) else NOT_READ
            self._mark_failed(job.channel, job.ranges, reason)

    @staticmethod
    def _mark_failed(channel: Channel, ranges: Sequence[Range], reason: str) -> None:
        for one in ranges:
            channel.coverage.repair(*one, CoverageState.FAILED, reason)
        channel.coverage.flush()

    def _is_archived(self, note: Note) -> bool:
        """Whether the archive has audio of the call. Blocking."""
        assert self._archive is not None
        start, end = note.ranges[0].start_sample, note.ranges[-1].end_sample
        return bool(self._archive.runs(note.channel_key, start, end))

    async def _forget(self, note: Note) -> None:
        try:
            await self._store.write(partial(delete_meta, key=note.key))
        except (StoreError, Overloaded) as error:
            logger.warning("the note of a call cannot be removed; the next start tries again: %s", error)


def _job_of(note: Note, channel: Channel, audio: PastAudio, plan: Callable[[], Awaitable[Plan]]) -> Job:
    samples = sum(end - start for start, end in note.ranges)
    return Job(
        channel,
        f"a call of {samples / (1000 * SAMPLES_PER_MS):.1f} s",
        Source.CALL,
        audio,
        plan,
        note.ranges,
        partial(delete_meta, key=note.key),
        talkers=note.talkers,
    )


def _notes(connection: Connection) -> list[Note]:
    return [Note.of(key, value) for key, value in meta_with_prefix(connection, CALL_NOTES).items()]
