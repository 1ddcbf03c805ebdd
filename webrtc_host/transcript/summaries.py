"""The rows of summaries, and the queries of what they are made from.

SQL only, on a connection that the caller passes. A summary belongs to its session, and is deleted with it.
Invariant: a session has at most SUMMARIES_MAX summaries and PARTS_MAX notes; the oldest ones are dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Table, case, delete, func, select, update

from webrtc_host.transcript.insert_new import insert_new
from webrtc_host.transcript.line_rows import not_said
from webrtc_host.transcript.records import Span
from webrtc_host.transcript.schema import (
    channels,
    coverage,
    insert_of,
    segments,
    sessions,
    summaries,
    summary_parts,
)
from webrtc_host.transcript.session_length import LENGTH_MS

Rows = Sequence[Row[Any]]
Values = dict[str, Any]
SUMMARIES_MAX = 200
PARTS_MAX = 2000


def ask(connection: Connection, session: str, summary: str, scope: Values, asked: Values) -> Row[Any] | None:
    """Queue a summary: insert its row, or set `asked` in the row that is there. Returns the row.

    A summary that is being made stays so. None: the record has no such session.
    """
    if connection.execute(select(sessions.c.id).where(sessions.c.id == session)).first() is None:
        return None
    statement = insert_of(connection.dialect.name, summaries).values(
        session=session, id=summary, revision=0, **scope, **asked
    )
    status = case((summaries.c.status == "running", "running"), else_=asked["status"])
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[summaries.c.session, summaries.c.id], set_={**asked, "status": status}
        )
    )
    _keep_newest(connection, summaries, summaries.c.asked_wall_ms, session, SUMMARIES_MAX)
    return find(connection, session, summary)


def find(connection: Connection, session: str, summary: str) -> Row[Any] | None:
    query = select(summaries).where(summaries.c.session == session, summaries.c.id == summary)
    return connection.execute(query).one_or_none()


def of_session(connection: Connection, session: str) -> Rows:
    """All summaries of a session, the last asked for first."""
    query = select(summaries).where(summaries.c.session == session)
    return connection.execute(query.order_by(summaries.c.asked_wall_ms.desc(), summaries.c.id)).all()


def unfinished(connection: Connection, limit: int) -> Rows:
    """Summaries that were asked for and not made, the first asked for first."""
    query = select(summaries).where(summaries.c.status.in_(("queued", "running")))
    return connection.execute(query.order_by(summaries.c.asked_wall_ms).limit(limit)).all()


def followed(connection: Connection, wall_ms: int, limit: int) -> Rows:
    """Summaries that are kept up to date at this moment."""
    query = select(summaries).where(summaries.c.followed_wall_ms > wall_ms)
    return connection.execute(query.order_by(summaries.c.asked_wall_ms).limit(limit)).all()


def change(connection: Connection, session: str, summary: str, values: Values) -> bool:
    """Change a row. False: it is not there any more, or what would end is not being made.

    A redaction deletes the row of a summary that is being made. Asked for again, it is a new row, which the
    text from before the redaction must not reach.
    """
    which: list[Any] = [summaries.c.session == session, summaries.c.id == summary]
    if values.get("status") in ("done", "failed"):
        which.append(summaries.c.status == "running")
    return connection.execute(update(summaries).where(*which).values(**values)).rowcount > 0


def finish(connection: Connection, session: str, summary: str, values: Values) -> int | None:
    """Store a new revision; returns its number. None as `change` returns False."""
    done = {**values, "revision": summaries.c.revision + 1, "status": "done", "error": None}
    if not change(connection, session, summary, done):
        return None
    row = find(connection, session, summary)
    return None if row is None else int(row.revision)


def session_end(connection: Connection, session: str) -> tuple[int, bool] | None:
    """(its length in ms so far, whether it has ended); None: there is no such session."""
    query = select(LENGTH_MS, sessions.c.ended_wall_ms).where(sessions.c.id == session)
    row = connection.execute(query).one_or_none()
    return None if row is None else (int(row.length_ms), row.ended_wall_ms is not None)


def lines(connection: Connection, span: Span, limit: int) -> Rows:
    """Finals of a span with their newest text and the label of their channel, in the order of their times.

    Those that a person has marked as not said are left out.
    """
    columns: tuple[Any, ...] = (
        segments.c.id,
        segments.c.channel,
        segments.c.start_ms,
        segments.c.end_ms,
        segments.c.text,
        func.coalesce(channels.c.label, segments.c.channel).label("label"),
    )
    query = (
        select(*columns)
        .select_from(
            segments.outerjoin(
                channels,
                (channels.c.session == segments.c.session) & (channels.c.channel == segments.c.channel),
            )
        )
        .where(
            segments.c.session == span.session,
            segments.c.end_ms > span.from_ms,
            segments.c.id.not_in(not_said()),
        )
        .order_by(segments.c.start_ms, segments.c.seq)
        .limit(limit)
    )
    if span.to_ms is not None:
        query = query.where(segments.c.start_ms < span.to_ms)
    if span.channels is not None:
        query = query.where(segments.c.channel.in_(sorted(span.channels)))
    return connection.execute(query).all()


def gaps(connection: Connection, span: Span, states: Sequence[str], but_reason: str, limit: int) -> Rows:
    """Runs of the coverage in one of these states, except those with this reason."""
    query = select(coverage).where(
        coverage.c.session == span.session,
        coverage.c.to_ms > span.from_ms,
        coverage.c.state.in_(states),
        func.coalesce(coverage.c.reason, "") != but_reason,
    )
    if span.to_ms is not None:
        query = query.where(coverage.c.from_ms < span.to_ms)
    if span.channels is not None:
        query = query.where(coverage.c.channel.in_(sorted(span.channels)))
    return connection.execute(query.order_by(coverage.c.channel, coverage.c.from_ms).limit(limit)).all()


def part(connection: Connection, session: str, source: str) -> str | None:
    """The notes about a part, as JSON."""
    of_it = (summary_parts.c.session == session, summary_parts.c.source == source)
    return connection.execute(select(summary_parts.c.body).where(*of_it)).scalar()


def put_part(connection: Connection, session: str, source: str, body: str, wall_ms: int) -> None:
    """Keep notes; does nothing when the session was deleted."""
    if connection.execute(select(sessions.c.id).where(sessions.c.id == session)).first() is None:
        return
    row = {"session": session, "source": source, "made_wall_ms": wall_ms, "body": body}
    insert_new(connection, summary_parts, [row])
    _keep_newest(connection, summary_parts, summary_parts.c.made_wall_ms, session, PARTS_MAX)


def _keep_newest(connection: Connection, table: Table, when: Any, session: str, limit: int) -> None:
    of_session = table.c.session == session
    total = connection.execute(select(func.count()).select_from(table).where(of_session)).scalar_one()
    if total <= limit:
        return
    key = [column for column in table.primary_key if column.name != "session"][0]
    oldest = select(key).where(of_session).order_by(when).limit(int(total) - limit)
    names = connection.execute(oldest).scalars().all()
    connection.execute(delete(table).where(of_session, key.in_(names)))
