"""Finding what is to be read again: the record's rows of feeds, failed windows, and what is known of them.

Owns the queries, and the queue of windows that fail now (`FailedWindows`); decides nothing
(`recovery.plan`) and reads no sound (`recovery.service`). Invariant: a feed is left out only when a note
says that it was read, a failed window only when the ledger does.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from sqlalchemy import Connection, select

from webrtc_host.archive.writer import ChannelKey
from webrtc_host.events import (
    ChannelClosed,
    CoverageChanged,
    Event,
    SegmentFinal,
    SpeechEnded,
    SpeechStarted,
    WindowFailed,
)
from webrtc_host.recovery.plan import WANT_OF_ENGINE, Known, known_of
from webrtc_host.seams import CoverageState
from webrtc_host.session.channel import DoorKind
from webrtc_host.session.restore import CRASHED
from webrtc_host.transcript import schema
from webrtc_host.transcript.event_codec import decode_readable
from webrtc_host.transcript.event_log import LoggedEvent

EVENTS_MAX = 4000
"""Of one feed, the newest: days of one channel's speech that is not dealt with would not fill it."""
AROUND_MS = 120_000
FAILED_MAX = 1024  # windows told of and not taken; recovery takes them at once
DONE_KEY = "recovered:{session}:{channel}:"
"""In `meta`, with the opened_seq behind it: this feed was read again. Feeds are done in any order."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A window that was given up for want of an engine."""

    place: ChannelKey
    utterance: str
    start_ms: int


@dataclass(frozen=True, slots=True)
class Feed:
    opened_seq: int
    opened_ms: int
    next_ms: int | None  # when the channel was opened again


class FailedWindows:
    """Windows that fail for want of an engine while the server runs, in order, for recovery to read again.

    It stands between the event logs and recovery: logs tell it of every event, and recovery, which needs the
    sessions that write those logs, is made after them.
    """

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[Failed] = asyncio.Queue(FAILED_MAX)
        self.refused = 0
        """Too many at once: the next start finds them."""

    def observe(self, logged: LoggedEvent) -> None:
        """A listener of every event log. Never waits."""
        event = logged.event
        if not isinstance(event, WindowFailed) or event.code not in WANT_OF_ENGINE:
            return
        place = ChannelKey(logged.session, event.channel)
        try:
            self._waiting.put_nowait(Failed(place, event.utterance, event.start_ms))
        except asyncio.QueueFull:
            self.refused += 1

    async def next(self) -> Failed:
        """The oldest that was not taken yet; waits for one."""
        return await self._waiting.get()


def unrecovered_feeds(
    connection: Connection, session: str, channel: str, head_seq: int, recent_ms: int
) -> list[Feed]:
    """Those that a crash ended; uploads are answered whole or sent again by their sender."""
    prefix = DONE_KEY.format(session=session, channel=channel)
    key = schema.meta.c.key
    keys = connection.execute(select(key).where(key.startswith(prefix, autoescape=True))).scalars()
    done = {int(one.removeprefix(prefix)) for one in keys}
    table = schema.feeds
    rows = connection.execute(
        select(table)
        .where(table.c.session == session, table.c.channel == channel, table.c.opened_seq <= head_seq)
        .order_by(table.c.opened_seq)
    ).all()
    feeds: list[Feed] = []
    for number, row in enumerate(rows):
        later = (other.opened_ms for other in rows[number + 1 :] if other.door != DoorKind.PUSH)
        is_cut_off = row.closed_ms is None or row.closed_ms > recent_ms or row.reason == CRASHED
        if is_cut_off and row.opened_seq not in done and row.door != DoorKind.PUSH:
            feeds.append(Feed(row.opened_seq, row.opened_ms, next(later, None)))
    return feeds


def known_to_its_end(connection: Connection, place: ChannelKey, feed: Feed) -> Known:
    """The newest events of a feed, to its end."""
    return known_of(feed.opened_ms, _events(connection, place, feed.opened_seq), feed.next_ms)


def known_around(connection: Connection, place: ChannelKey, start_ms: int) -> Known:
    """The newest events of a channel, from a little before `start_ms` on."""
    floor_ms = max(0, start_ms - AROUND_MS)
    near = [e for e in _events(connection, place, 0) if getattr(e, "start_ms", floor_ms) >= floor_ms]
    return known_of(floor_ms, near)


def still_failed(connection: Connection, place: ChannelKey) -> list[Failed]:
    """By the ledger: what was read later is no longer failed in it."""
    runs = schema.coverage
    failed = connection.execute(
        select(runs.c.from_ms, runs.c.to_ms).where(
            runs.c.session == place.session,
            runs.c.channel == place.channel,
            runs.c.state == CoverageState.FAILED.value,
            runs.c.reason.in_(WANT_OF_ENGINE),
        )
    ).all()
    if not failed:  # as a rule: nothing more is asked of a long record
        return []
    events = schema.events
    windows = connection.execute(
        select(events.c.data).where(
            events.c.session == place.session,
            events.c.channel == place.channel,
            events.c.type == WindowFailed.kind.value,
        )
    ).scalars()
    found: dict[str, Failed] = {}
    for event in (envelope.event for envelope in decode_readable(windows)):
        if not isinstance(event, WindowFailed) or event.code not in WANT_OF_ENGINE:
            continue
        if any(run.from_ms < event.end_ms and event.start_ms < run.to_ms for run in failed):
            found.setdefault(event.utterance, Failed(place, event.utterance, event.start_ms))
    return list(found.values())


def _events(connection: Connection, place: ChannelKey, after_seq: int) -> list[Event]:
    """The newest EVENTS_MAX of them that say what was read, in the order of their seq."""
    table = schema.events
    classes = (SpeechStarted, SpeechEnded, SegmentFinal, WindowFailed, CoverageChanged, ChannelClosed)
    rows = connection.execute(
        select(table.c.data)
        .where(
            table.c.session == place.session,
            table.c.channel == place.channel,
            table.c.seq > after_seq,
            table.c.type.in_([one.kind.value for one in classes]),
        )
        .order_by(table.c.seq.desc())
        .limit(EVENTS_MAX)
    ).all()
    return [envelope.event for envelope in decode_readable(row.data for row in reversed(rows))]
