"""The queries of the record: sessions, their channels, finals, coverage, statistics, holds and the audit.

The SELECTs of the HTTP interface, the exports and the archive, and the few changes that people make (name,
hold, removal, audit). Functions of a connection, for `Store.read` and `Store.write`. Invariant: a request
gets a limited number of rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, delete, func, insert, or_, select, update

from webrtc_host.transcript import rooms
from webrtc_host.transcript.line_rows import Extras, extras_of, not_said
from webrtc_host.transcript.revisions import with_revision
from webrtc_host.transcript.schema import audit, channels, coverage, events, jobs, segments, sessions
from webrtc_host.transcript.session_length import LENGTH_MS

Rows = Sequence[Row[Any]]
NO_EXTRAS = Extras()

revisions = events.alias("revisions")
"""The `segment.revised` events, joined to the finals that they revise."""
_IS_REVISION = and_(revisions.c.session == segments.c.session, revisions.c.seq == segments.c.revised_seq)


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a session: channels (None: all), and finals or runs that overlap [from_ms, to_ms)."""

    session: str
    channels: frozenset[str] | None = None
    from_ms: int = 0
    to_ms: int | None = None


@dataclass(frozen=True, slots=True)
class SegmentLocation:
    """The position of a final on its channel's timeline."""

    session: str
    channel: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One line of the audit log."""

    who: str  # name of the token, never the token
    remote: str
    action: str
    session: str | None = None
    channel: str | None = None
    detail: str | None = None


def session(connection: Connection, session_id: str) -> Row[Any] | None:
    """The row, with its length in `length_ms`."""
    return connection.execute(select(sessions, LENGTH_MS).where(sessions.c.id == session_id)).one_or_none()


def session_page(connection: Connection, limit: int, before: tuple[int, str] | None = None) -> Rows:
    """Sessions, newest first, as `session` returns them. before: (t0_wall_ms, id) of the last one on the page
    before.
    """
    query = (
        select(sessions, LENGTH_MS).order_by(sessions.c.t0_wall_ms.desc(), sessions.c.id.desc()).limit(limit)
    )
    if before is not None:
        wall_ms, session_id = before
        query = query.where(
            or_(
                sessions.c.t0_wall_ms < wall_ms,
                and_(sessions.c.t0_wall_ms == wall_ms, sessions.c.id < session_id),
            )
        )
    return connection.execute(query).all()


def channels_of(connection: Connection, session_ids: Iterable[str]) -> dict[str, Rows]:
    """The channels of each session, ordered by id."""
    query = select(channels).where(channels.c.session.in_(list(session_ids)))
    found: dict[str, list[Row[Any]]] = {}
    for row in connection.execute(query.order_by(channels.c.session, channels.c.channel)):
        found.setdefault(row.session, []).append(row)
    return dict(found)


def segment_page(connection: Connection, span: Span, after_seq: int, limit: int) -> list[tuple[int, str]]:
    """Finals in the order of their events: (seq, JSON with the newest text, marks and notes)."""
    query = (
        select(segments.c.seq, segments.c.id, events.c.data, revisions.c.data.label("revised_data"))
        .join_from(
            segments, events, and_(events.c.session == segments.c.session, events.c.seq == segments.c.seq)
        )
        .outerjoin(revisions, _IS_REVISION)
        .where(segments.c.seq > after_seq)
        .order_by(segments.c.seq)
        .limit(limit)
    )
    found = connection.execute(_within(query, span)).all()
    extras = extras_of(connection, [row.id for row in found])
    return [
        (row.seq, with_revision(row.data, row.revised_data, extras.get(row.id, NO_EXTRAS).fields()))
        for row in found
    ]


def newest_segments(connection: Connection, span: Span, limit: int) -> Rows:
    """The finals that were written last, newest first."""
    query = select(segments).order_by(segments.c.seq.desc()).limit(limit)
    return connection.execute(_within(query, span)).all()


def line_page(connection: Connection, span: Span, after: tuple[int, int], limit: int) -> Rows:
    """Finals after (start_ms, seq), ordered by time, with their channel's label and JSON.

    `revised_data`: the JSON of the newest revision, or None. `is_not_said`: a person has marked it so.
    """
    start_ms, seq = after
    query = (
        select(
            *(segments, segments.c.id.in_(not_said()).label("is_not_said")),
            *(channels.c.label, events.c.data, revisions.c.data.label("revised_data")),
        )
        .join_from(
            segments, events, and_(events.c.session == segments.c.session, events.c.seq == segments.c.seq)
        )
        .outerjoin(
            channels,
            and_(channels.c.session == segments.c.session, channels.c.channel == segments.c.channel),
        )
        .outerjoin(revisions, _IS_REVISION)
        .where(
            or_(segments.c.start_ms > start_ms, and_(segments.c.start_ms == start_ms, segments.c.seq > seq))
        )
        .order_by(segments.c.start_ms, segments.c.seq)
        .limit(limit)
    )
    return connection.execute(_within(query, span)).all()


def coverage_runs(connection: Connection, span: Span, limit: int) -> Rows:
    query = select(coverage).where(coverage.c.session == span.session, coverage.c.to_ms > span.from_ms)
    if span.to_ms is not None:
        query = query.where(coverage.c.from_ms < span.to_ms)
    if span.channels is not None:
        query = query.where(coverage.c.channel.in_(sorted(span.channels)))
    return connection.execute(query.order_by(coverage.c.channel, coverage.c.from_ms).limit(limit)).all()


def extents(connection: Connection, span: Span) -> list[tuple[str, int, int]]:
    """(channel, from_ms, to_ms): the first and the last time with coverage, cut to the span."""
    query = select(
        coverage.c.channel,
        func.min(coverage.c.from_ms).label("low"),
        func.max(coverage.c.to_ms).label("high"),
    ).where(coverage.c.session == span.session)
    if span.channels is not None:
        query = query.where(coverage.c.channel.in_(sorted(span.channels)))
    return [
        (
            row.channel,
            max(row.low, span.from_ms),
            row.high if span.to_ms is None else min(row.high, span.to_ms),
        )
        for row in connection.execute(query.group_by(coverage.c.channel).order_by(coverage.c.channel))
    ]


def statistics(connection: Connection, session_id: str) -> list[dict[str, Any]]:
    """Per channel: number of finals, their characters and time, latency, and coverage by state."""
    figures: dict[str, dict[str, Any]] = {}
    query = select(
        segments.c.channel,
        func.count().label("segments"),
        func.sum(func.length(segments.c.text)).label("characters"),
        func.sum(segments.c.end_ms - segments.c.start_ms).label("text_ms"),
        func.avg(segments.c.conf).label("conf"),
        func.avg(segments.c.latency_ms).label("latency_ms"),
        func.max(segments.c.latency_ms).label("latency_ms_max"),
    )
    for row in connection.execute(query.where(segments.c.session == session_id).group_by(segments.c.channel)):
        figures[row.channel] = {
            "segments": row.segments,
            "characters": int(row.characters or 0),
            "text_ms": int(row.text_ms or 0),
            "conf": None if row.conf is None else round(float(row.conf), 3),
            "latency_ms": None if row.latency_ms is None else round(float(row.latency_ms)),
            "latency_ms_max": row.latency_ms_max,
        }
    totals = (
        select(
            coverage.c.channel, coverage.c.state, func.sum(coverage.c.to_ms - coverage.c.from_ms).label("ms")
        )
        .where(coverage.c.session == session_id)
        .group_by(coverage.c.channel, coverage.c.state)
    )
    for row in connection.execute(totals):
        known = figures.setdefault(row.channel, {"segments": 0, "characters": 0, "text_ms": 0})
        known.setdefault("coverage_ms", {})[row.state] = int(row.ms)
    return [{"channel": channel, **known} for channel, known in sorted(figures.items())]


def rename(connection: Connection, session_id: str, name: str) -> bool:
    """Change the name. False: there is no such session."""
    done = connection.execute(update(sessions).where(sessions.c.id == session_id).values(name=name))
    return done.rowcount > 0


def hold(connection: Connection, session_id: str, is_held: bool) -> bool:
    """Set or clear the hold of a session. False: there is no such session."""
    done = connection.execute(update(sessions).where(sessions.c.id == session_id).values(is_held=is_held))
    return done.rowcount > 0


def is_held(connection: Connection, session_id: str) -> bool:
    """True when the session, or one of its channels, is under a hold."""
    one = select(sessions.c.id).where(sessions.c.id == session_id, sessions.c.is_held)
    other = select(channels.c.session).where(channels.c.session == session_id, channels.c.is_held)
    return connection.execute(one.union(other).limit(1)).first() is not None


def has_channel(connection: Connection, session_id: str, channel: str) -> bool:
    query = select(channels.c.channel).where(channels.c.session == session_id, channels.c.channel == channel)
    return connection.execute(query).first() is not None


def hold_channel(connection: Connection, session_id: str, channel: str, is_held: bool) -> bool:
    """Set or clear the hold of a channel. False: the record has no such channel."""
    of_channel = and_(channels.c.session == session_id, channels.c.channel == channel)
    return connection.execute(update(channels).where(of_channel).values(is_held=is_held)).rowcount > 0


def held_sessions(connection: Connection) -> list[str]:
    """The sessions that are under a hold themselves."""
    return list(connection.execute(select(sessions.c.id).where(sessions.c.is_held)).scalars())


def held_channels(connection: Connection) -> list[tuple[str, str]]:
    """(session, channel) of the channels that are under a hold themselves."""
    query = select(channels.c.session, channels.c.channel).where(channels.c.is_held)
    return [(row.session, row.channel) for row in connection.execute(query)]


def ended_before(connection: Connection, wall_ms: int, but: Collection[str], limit: int) -> list[str]:
    """The sessions that ended before this time, earliest end first. but: sessions to leave out."""
    query = select(sessions.c.id).where(sessions.c.ended_wall_ms < wall_ms, sessions.c.id.not_in(but))
    return list(connection.execute(query.order_by(sessions.c.ended_wall_ms).limit(limit)).scalars())


def find_segment(connection: Connection, segment: str) -> SegmentLocation | None:
    """The position of the final with this id."""
    row = connection.execute(select(segments).where(segments.c.id == segment)).first()
    return None if row is None else SegmentLocation(row.session, row.channel, row.start_ms, row.end_ms)


def remove(connection: Connection, session_id: str) -> bool:
    """Delete the session with all of its rows; audit lines stay. False: there is no such session.

    A job of the session stays, without what was made from the text.
    """
    rooms.forget_text(connection, session_id)
    connection.execute(update(jobs).where(jobs.c.session == session_id).values(results="{}"))
    done = connection.execute(delete(sessions).where(sessions.c.id == session_id))
    return done.rowcount > 0


def write_audit(connection: Connection, wall_ms: int, line: AuditLine) -> int:
    """Add a line; returns its number."""
    done = connection.execute(
        insert(audit).values(
            wall_ms=wall_ms,
            who=line.who,
            remote=line.remote,
            action=line.action,
            session=line.session,
            channel=line.channel,
            detail=line.detail,
        )
    )
    assert done.inserted_primary_key is not None, "an insert of one row"
    return int(done.inserted_primary_key[0])


def end_audit(connection: Connection, number: int, detail: str | None) -> None:
    """Add the outcome to the line that was written when a response began."""
    connection.execute(update(audit).where(audit.c.id == number).values(detail=detail))


def audit_page(connection: Connection, limit: int, before_id: int | None = None) -> Rows:
    """Audit lines, newest first."""
    query = select(audit).order_by(audit.c.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(audit.c.id < before_id)
    return connection.execute(query).all()


def _within(query: Select[Any], span: Span) -> Select[Any]:
    query = query.where(segments.c.session == span.session)
    if span.from_ms:
        query = query.where(segments.c.end_ms > span.from_ms)
    if span.to_ms is not None:
        query = query.where(segments.c.start_ms < span.to_ms)
    if span.channels is not None:
        query = query.where(segments.c.channel.in_(sorted(span.channels)))
    return query
