"""Reads from the record what a restarted server needs to restore its sessions.

Queries only: `session/restore.py` makes the sessions.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from webrtc_host.transcript import schema
from webrtc_host.transcript.meta import get_meta
from webrtc_host.transcript.rows import (
    ALIVE_WALL_MS,
    SEGMENT_MAX,
    STOPPED_WALL_MS,
    UTTERANCE_MAX,
)


@dataclass(frozen=True, slots=True)
class FormerFeed:
    """The time for which one connection fed a channel."""

    connection: str
    opened_ms: int
    closed_ms: int | None  # None: it was feeding when the server ended
    reason: str | None = None  # why it closed


@dataclass(frozen=True, slots=True)
class FormerRun:
    """A coverage run, as the record has it."""

    from_ms: int
    to_ms: int
    state: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class FormerChannel:
    """A channel of a session that had not ended."""

    channel: str
    label: str
    language: str
    first_opened_ms: int
    end_ms: int  # end of its feeds, its coverage and its text
    terms: tuple[str, ...] | None  # None: only the server's glossary
    feeds: tuple[FormerFeed, ...]
    coverage: tuple[FormerRun, ...]


@dataclass(frozen=True, slots=True)
class FormerSession:
    """A session of the record. Channels are read only for sessions that had not ended."""

    id: str
    name: str
    t0_wall_ms: int
    is_ended: bool
    is_current: bool
    head_seq: int
    alive_ms: int  # session time at which the server was last known to run
    channels: tuple[FormerChannel, ...]
    is_recorded: bool = False  # it is the text of a recording, so its timeline is not that of the clock


@dataclass(frozen=True, slots=True)
class FormerRecord:
    """All sessions to restore.

    was_stopped: the last process ended in order; False: a crash, or a new record.
    """

    sessions: tuple[FormerSession, ...] = ()  # oldest first
    utterance_max: int = 0
    segment_max: int = 0
    down_from_wall_ms: int | None = None  # None: there was no earlier process
    was_stopped: bool = False


def read_former(connection: Connection, sessions_max: int) -> FormerRecord:
    """All sessions that had not ended, and the newest ended ones, together at most `sessions_max`."""
    stopped, alive = get_meta(connection, STOPPED_WALL_MS), get_meta(connection, ALIVE_WALL_MS)
    down_from = stopped or alive
    return FormerRecord(
        sessions=tuple(_sessions(connection, sessions_max)),
        utterance_max=int(get_meta(connection, UTTERANCE_MAX) or 0),
        segment_max=int(get_meta(connection, SEGMENT_MAX) or 0),
        down_from_wall_ms=int(down_from) if down_from else None,
        was_stopped=stopped is not None,
    )


def _sessions(connection: Connection, most: int) -> list[FormerSession]:
    table = schema.sessions
    is_open = table.c.ended_wall_ms.is_(None)
    newest = select(table).order_by(is_open.desc(), table.c.t0_wall_ms.desc()).limit(most)
    found = sorted(connection.execute(newest).all(), key=lambda row: row.t0_wall_ms)
    live = [row.id for row in found if row.ended_wall_ms is None]
    channels = _channels(connection, live)
    of_jobs = set(
        connection.execute(select(schema.jobs.c.session).where(schema.jobs.c.session.in_(live))).scalars()
    )
    return [
        FormerSession(
            id=row.id,
            name=row.name,
            t0_wall_ms=row.t0_wall_ms,
            is_ended=row.ended_wall_ms is not None,
            is_current=row.is_current,
            head_seq=row.head_seq,
            alive_ms=row.alive_ms,
            channels=tuple(channels[row.id]),
            is_recorded=row.id in of_jobs,
        )
        for row in found
    ]


def _channels(connection: Connection, live: Sequence[str]) -> dict[str, list[FormerChannel]]:
    """The channels of the sessions that had not ended, with everything that a restore needs."""
    table = schema.channels
    found: dict[str, list[FormerChannel]] = defaultdict(list)
    for row in connection.execute(
        select(table).where(table.c.session.in_(live)).order_by(table.c.session, table.c.channel)
    ):
        feeds = _feeds(connection, row.session, row.channel)
        coverage = _coverage(connection, row.session, row.channel)
        ends = [
            *(feed.closed_ms or feed.opened_ms for feed in feeds),
            *(run.to_ms for run in coverage[-1:]),
            _text_end_ms(connection, row.session, row.channel),
        ]
        found[row.session].append(
            FormerChannel(
                channel=row.channel,
                label=row.label,
                language=row.language,
                first_opened_ms=row.first_opened_ms,
                end_ms=max(ends),
                terms=None if row.glossary is None else tuple(json.loads(row.glossary)),
                feeds=feeds,
                coverage=coverage,
            )
        )
    return found


def _feeds(connection: Connection, session: str, channel: str) -> tuple[FormerFeed, ...]:
    table = schema.feeds
    rows = connection.execute(
        select(table.c.connection, table.c.opened_ms, table.c.closed_ms, table.c.reason)
        .where(table.c.session == session, table.c.channel == channel)
        .order_by(table.c.opened_seq)
    )
    return tuple(FormerFeed(row.connection, row.opened_ms, row.closed_ms, row.reason) for row in rows)


def _coverage(connection: Connection, session: str, channel: str) -> tuple[FormerRun, ...]:
    table = schema.coverage
    rows = connection.execute(
        select(table.c.from_ms, table.c.to_ms, table.c.state, table.c.reason)
        .where(table.c.session == session, table.c.channel == channel)
        .order_by(table.c.from_ms)
    )
    return tuple(FormerRun(row.from_ms, row.to_ms, row.state, row.reason) for row in rows)


def _text_end_ms(connection: Connection, session: str, channel: str) -> int:
    table = schema.segments
    newest = select(func.max(table.c.end_ms)).where(table.c.session == session, table.c.channel == channel)
    return connection.execute(newest).scalar() or 0
