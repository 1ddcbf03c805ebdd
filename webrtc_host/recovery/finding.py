"""Finds the past audio that has to be read, and makes a job for each piece.

There are three sources: gaps that a client fills or that a note in the record names, feeds that a crash cut
off, and windows that failed because there was no engine. The queries are in `transcript.past`, and
`recovery.plan` decides which time a job reads. Invariants: a feed is left out only when a note in the record
says that it was read, a failed window only when coverage says so; no two jobs get the same time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from sqlalchemy import Connection

from webrtc_host.archive.archive import Archive
from webrtc_host.archive.segment_file import ChannelKey
from webrtc_host.errors import Overloaded, RequestError, StoreError
from webrtc_host.recovery.audio import ArchivedAudio, Run, UploadedAudio
from webrtc_host.recovery.failed_windows import Failed, still_failed
from webrtc_host.recovery.jobs import (
    Job,
    channel_key_of,
    feeds_read,
    gaps_key,
    note_feed_read,
    noted_gaps,
    remove_gaps_note,
)
from webrtc_host.recovery.known import Known, Range, known_of
from webrtc_host.recovery.plan import AROUND_SAMPLES, Plan, plan_of_feed, plan_of_gaps, plan_of_utterance
from webrtc_host.seams import SAMPLES_PER_MS, Source, ms_of
from webrtc_host.session.channel import Channel
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.session.publisher_status import GAP_MS_MIN
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.session.restore import CRASHED
from webrtc_host.transcript.event_codec import decode_readable
from webrtc_host.transcript.past import FeedRow, events_after, events_around, feeds_up_to
from webrtc_host.transcript.store import Store

logger = logging.getLogger(__name__)

AROUND_MS = 120_000
"""The record is read from so long before a gap or a failed window. No utterance is longer."""
SETTLE_S = 1.0
"""Time between a failed window and its job, in which the other windows of the utterance get their text."""
NEVER_SAMPLE = 1 << 60
UPLOADS = (DoorKind.PUSH, DoorKind.CALL)


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed that a crash cut off. next_ms: when the channel was opened again; None: it was not."""

    opened_seq: int
    opened_ms: int
    next_ms: int | None


def claim_gaps(channel: Channel, runs: Iterable[Run | Range]) -> tuple[Range, ...]:
    """Reserve the time that is missing in the channel and that the runs have; returns it.

    From now on this time counts as received, so that no second caller fills it, too.
    """
    gaps: list[Range] = []
    for run in runs:
        for start, end in channel.missing(run.start_sample, run.end_sample):
            if end - start >= GAP_MS_MIN * SAMPLES_PER_MS:
                gaps.append(Range(start, end))
                channel.claim_gap(start, end)
    return tuple(gaps)


class Finding:
    """Makes the jobs. It reads the record, and no audio."""

    def __init__(
        self, registry: SessionRegistry, store: Store, archive: Archive | None, tail_ms: int
    ) -> None:
        """archive: None where no audio is archived; then only uploads can be read.

        tail_ms: so much audio may have waited for speech detection at a crash.
        """
        self._registry, self._store, self._archive, self._tail_ms = registry, store, archive, tail_ms

    def uploaded_gaps(self, channel: Channel, runs: Sequence[Run], gaps: tuple[Range, ...]) -> Job:
        """The job for gaps that a client sends now. runs: its audio, in order."""
        return self._gaps(
            channel, UploadedAudio(runs), gaps, gaps_key(channel_key_of(channel), gaps), is_awaited=True
        )

    async def noted_gaps(self) -> list[Job]:
        """Jobs for gaps that a client sent before the restart. Their time is reserved.

        The note of a gap is removed when no audio of the gap can be read any more.
        """
        jobs: list[Job] = []
        for key, channel_key, noted in await self._store.read(noted_gaps):
            try:
                session = self._registry.get_live(channel_key.session)
                channel = self._registry.channel(session, channel_key.channel)
            except RequestError as error:
                logger.warning(
                    "a backfill of %s %s is not read: %s", channel_key.session, channel_key.channel, error
                )
                await self._forget(key)
                continue
            gaps = claim_gaps(channel, await asyncio.to_thread(self._archived, channel_key, noted))
            if gaps:
                jobs.append(self._gaps(channel, self._audio(channel_key), gaps, key))
            else:
                await self._forget(key)
        return jobs

    async def feeds(self, channel: Channel, recent_ms: int, others: Sequence[Job]) -> list[Job]:
        """Jobs for the feeds of a channel that a crash ended, oldest first.

        Afterwards live audio of the channel continues behind their audio. recent_ms: feeds that were closed
        after this time are included. others: jobs whose time is left out.
        """
        channel_key, head_seq = channel_key_of(channel), channel.session.log.head_seq
        feeds = await self._store.read(
            lambda connection: unread_feeds(
                feeds_up_to(connection, channel_key.session, channel_key.channel, head_seq),
                feeds_read(connection, channel_key),
                recent_ms,
            )
        )
        without = tuple(gap for job in others if job.channel_key == channel_key for gap in job.ranges)
        jobs = [await self._feed(channel, feed, head_seq, without) for feed in feeds]
        return [job for job in jobs if job is not None]

    async def windows(self, channel_key: ChannelKey, others: Sequence[Job]) -> list[Failed]:
        """Windows that failed because there was no engine, and were not read before the server ended.

        others: jobs that read the time of such a window anyway; the window is then left out.
        """
        failed = await self._store.read(partial(still_failed, channel_key=channel_key))
        return [
            window
            for window in failed
            if not any(job.reads(channel_key, window.start_ms * SAMPLES_PER_MS) for job in others)
        ]

    def window(self, failed: Failed) -> Job:
        """The job for the utterance of a failed window."""
        session = self._registry.get(failed.channel_key.session)
        channel = self._registry.channel(session, failed.channel_key.channel)

        async def plan() -> Plan:
            await asyncio.sleep(SETTLE_S)
            known = await self._known_around(channel, failed.start_ms)
            return plan_of_utterance(known, failed.utterance, session.now_sample())

        what = f"a failed window of {failed.utterance}"
        return Job(channel, what, Source.RECOVERY, self._audio(failed.channel_key), plan)

    def _gaps(
        self,
        channel: Channel,
        audio: ArchivedAudio | UploadedAudio,
        gaps: tuple[Range, ...],
        key: str,
        *,
        is_awaited: bool = False,
    ) -> Job:
        async def plan() -> Plan:
            return await self._plan_of_gaps(channel, gaps)

        seconds = sum(end - start for start, end in gaps) / (1000 * SAMPLES_PER_MS)
        what = f"a backfill of {seconds:.1f} s"
        return Job(channel, what, Source.BACKFILL, audio, plan, gaps, remove_gaps_note(key), is_awaited)

    async def _plan_of_gaps(self, channel: Channel, gaps: tuple[Range, ...]) -> Plan:
        first_ms, last_ms = ms_of(gaps[0].start_sample), ms_of(gaps[-1].end_sample + 2 * AROUND_SAMPLES)
        known = Known()
        # If the record cannot be read, only the log in memory is used. A word may then be published twice,
        # which is better than a gap without text.
        with contextlib.suppress(StoreError, Overloaded):
            known = await self._known_around(channel, first_ms, last_ms)
        return plan_of_gaps(known, gaps)

    async def _feed(
        self, channel: Channel, feed: Feed, head_seq: int, without: tuple[Range, ...]
    ) -> Job | None:
        """The job for one feed; None when no audio of it has to be read."""
        assert self._archive is not None, "feeds are recovered from the archive"
        channel_key = channel_key_of(channel)
        limit = NEVER_SAMPLE if feed.next_ms is None else feed.next_ms * SAMPLES_PER_MS
        end = await asyncio.to_thread(self._archive.end_before, channel_key, limit)
        if feed.next_ms is None:
            channel.restore_archived(feed.opened_ms * SAMPLES_PER_MS, end)
        known = await self._store.read(partial(known_of_feed, channel_key=channel_key, feed=feed))
        plan = plan_of_feed(replace(known, to_seq=head_seq), end, self._tail_ms, without)
        if plan.is_empty:
            return None
        for start, stop in await asyncio.to_thread(self._archived, channel_key, plan.ranges):
            channel.note_received(start, stop)  # the job reads it, so a client need not send it again

        async def known_plan() -> Plan:
            return plan

        what = f"the feed that began at {feed.opened_ms / 1000:.1f} s"
        done = note_feed_read(channel_key, feed.opened_seq)
        audio = self._audio(channel_key, without)
        return Job(channel, what, Source.RECOVERY, audio, known_plan, plan.ranges, done)

    def _audio(self, channel_key: ChannelKey, without: Sequence[Range] = ()) -> ArchivedAudio:
        assert self._archive is not None, "past audio is read from the archive"
        return ArchivedAudio(self._archive, channel_key, without)

    def _archived(self, channel_key: ChannelKey, wanted: Iterable[Range]) -> list[Range]:
        """The parts of the wanted time that the archive has. Blocking."""
        assert self._archive is not None, "past audio is read from the archive"
        return [
            Range(max(low, start), min(high, end))
            for start, end in wanted
            for low, high in self._archive.runs(channel_key, start, end)
        ]

    async def _known_around(self, channel: Channel, from_ms: int, to_ms: int | None = None) -> Known:
        floor_ms, session = max(0, from_ms - AROUND_MS), channel.session
        # Before the query, so that the query finds at least the events up to this one. Later events are
        # looked up in the log while the job runs (`reading.KnownLines`).
        saved_seq = session.log.saved_seq
        stored = await self._store.read(
            lambda connection: events_around(connection, session.id, channel.id, floor_ms, to_ms)
        )
        return replace(known_of(floor_ms, decode_readable(stored)), to_seq=saved_seq)

    async def _forget(self, key: str) -> None:
        try:
            await self._store.write(remove_gaps_note(key))
        except (StoreError, Overloaded) as error:
            logger.warning("a note about a backfill cannot be removed; the next start tries again: %s", error)


def unread_feeds(rows: Sequence[FeedRow], read: set[int], recent_ms: int) -> list[Feed]:
    """The feeds that a crash ended and that were not read since.

    Uploads are left out. The sender of a recording gets no response, and sends it again; a recorded call has
    a note of its own (`recorded_calls`).
    """
    feeds: list[Feed] = []
    for number, row in enumerate(rows):
        later = (other.opened_ms for other in rows[number + 1 :] if other.door not in UPLOADS)
        is_cut_off = row.closed_ms is None or row.closed_ms > recent_ms or row.reason == CRASHED
        if is_cut_off and row.opened_seq not in read and row.door not in UPLOADS:
            feeds.append(Feed(row.opened_seq, row.opened_ms, next(later, None)))
    return feeds


def known_of_feed(connection: Connection, channel_key: ChannelKey, feed: Feed) -> Known:
    """What the record has of a feed, from its newest events."""
    stored = events_after(connection, channel_key.session, channel_key.channel, feed.opened_seq)
    return known_of(feed.opened_ms, decode_readable(stored), feed.next_ms)
