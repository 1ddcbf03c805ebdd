"""Queries for audio that is read later: feeds, failed windows, and the events around a time of a channel.

The functions take a connection, for `Store.read`. `recovery.finding` decides what is read. Invariant: the
number of rows is limited, except for the finals of the requested time.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, and_, select

from webrtc_host.seams import CoverageState, EventType
from webrtc_host.transcript.schema import coverage, events, feeds, segments

EVENTS_MAX = 4000
"""The newest events of one channel that are read. The speech without text of several days does not fill it.
"""
KINDS = (
    EventType.SPEECH_STARTED,
    EventType.SPEECH_ENDED,
    EventType.SEGMENT_FINAL,
    EventType.WINDOW_FAILED,
    EventType.COVERAGE,
    EventType.CHANNEL_CLOSED,
)
"""Event types that say what became of a channel's audio."""


@dataclass(frozen=True, slots=True)
class FeedRow:
    opened_seq: int
    opened_ms: int
    door: str
    closed_ms: int | None  # None: open
    reason: str | None  # why it was closed


def feeds_up_to(connection: Connection, session: str, channel: str, head_seq: int) -> list[FeedRow]:
    """The feeds of a channel that were opened up to this event, oldest first."""
    columns = feeds.c
    query = (
        select(columns.opened_seq, columns.opened_ms, columns.door, columns.closed_ms, columns.reason)
        .where(columns.session == session, columns.channel == channel, columns.opened_seq <= head_seq)
        .order_by(columns.opened_seq)
    )
    return [FeedRow(*row) for row in connection.execute(query)]


def events_after(connection: Connection, session: str, channel: str, after_seq: int) -> list[str]:
    """The newest events of a channel after this one, as JSON, in order of their seq."""
    return [data for _, data in _newest(connection, session, channel, after_seq, KINDS)]


def events_around(
    connection: Connection, session: str, channel: str, from_ms: int, to_ms: int | None = None
) -> list[str]:
    """All finals that touch [from_ms, to_ms), however old, and the channel's newest events of other types."""
    query = (
        select(events.c.seq, events.c.data)
        .join_from(
            segments, events, and_(events.c.session == segments.c.session, events.c.seq == segments.c.seq)
        )
        .where(segments.c.session == session, segments.c.channel == channel, segments.c.end_ms > from_ms)
    )
    if to_ms is not None:
        query = query.where(segments.c.start_ms < to_ms)
    finals = [(row.seq, row.data) for row in connection.execute(query)]
    others = [kind for kind in KINDS if kind is not EventType.SEGMENT_FINAL]
    return [data for _, data in sorted(finals + _newest(connection, session, channel, 0, others))]


def windows_failed(
    connection: Connection, session: str, channel: str, reasons: Collection[str]
) -> tuple[list[tuple[int, int]], list[str]]:
    """(from_ms, to_ms) of the time that coverage calls failed for one of these reasons, and the channel's
    `window.failed` events as JSON. No events when there is no such time, which is the usual case.
    """
    runs = connection.execute(
        select(coverage.c.from_ms, coverage.c.to_ms).where(
            coverage.c.session == session,
            coverage.c.channel == channel,
            coverage.c.state == CoverageState.FAILED.value,
            coverage.c.reason.in_(reasons),
        )
    ).all()
    if not runs:
        return [], []
    windows = select(events.c.data).where(
        events.c.session == session,
        events.c.channel == channel,
        events.c.type == EventType.WINDOW_FAILED.value,
    )
    return [(run.from_ms, run.to_ms) for run in runs], list(connection.execute(windows).scalars())


def _newest(
    connection: Connection, session: str, channel: str, after_seq: int, kinds: Collection[EventType]
) -> list[tuple[int, str]]:
    rows = connection.execute(
        select(events.c.seq, events.c.data)
        .where(
            events.c.session == session,
            events.c.channel == channel,
            events.c.seq > after_seq,
            events.c.type.in_([kind.value for kind in kinds]),
        )
        .order_by(events.c.seq.desc())
        .limit(EVENTS_MAX)
    ).all()
    return [(row.seq, row.data) for row in reversed(rows)]
