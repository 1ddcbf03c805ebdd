"""The vectors of summaries, for the search by meaning. SQL only, on a connection that the caller passes.

A row belongs to one revision of a summary, and goes with the summary. A summary whose newest revision has no
vector of the wanted model waits: that needs no note, so nothing is missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, or_, select, tuple_

from webrtc_host.transcript.schema import insert_of, sessions, summaries, summary_meanings

Key = tuple[str, str]
"""(session, id of the summary)."""
_IS_OF = and_(summary_meanings.c.session == summaries.c.session, summary_meanings.c.summary == summaries.c.id)


def waiting(connection: Connection, model: str, limit: int) -> Sequence[Row[Any]]:
    """(session, id, revision, body) of summaries without a vector of this model, the newest first."""
    lacks = or_(
        summary_meanings.c.summary.is_(None),
        summary_meanings.c.revision != summaries.c.revision,
        summary_meanings.c.model != model,
    )
    query: Select[Any] = (
        select(summaries.c.session, summaries.c.id, summaries.c.revision, summaries.c.body)
        .select_from(summaries.outerjoin(summary_meanings, _IS_OF))
        .where(summaries.c.body.is_not(None), lacks)
        .order_by(summaries.c.made_wall_ms.desc())
        .limit(limit)
    )
    return connection.execute(query).all()


def put(connection: Connection, model: str, made: Sequence[tuple[Key, int, str]]) -> list[Key]:
    """Store vectors: (key, revision that was read, vector). Returns the keys that took theirs.

    A summary that has a newer revision meanwhile, or was deleted, takes none.
    """
    taken = []
    for (session, summary), revision, vector in made:
        of_it = (summaries.c.session == session, summaries.c.id == summary, summaries.c.revision == revision)
        if connection.execute(select(summaries.c.id).where(*of_it)).first() is None:
            continue
        values = {"revision": revision, "model": model, "vector": vector}
        statement = insert_of(connection.dialect.name, summary_meanings).values(
            session=session, summary=summary, **values
        )
        key = [summary_meanings.c.session, summary_meanings.c.summary]
        connection.execute(statement.on_conflict_do_update(index_elements=key, set_=values))
        taken.append((session, summary))
    return taken


def page(connection: Connection, model: str, after: Key, limit: int) -> Sequence[Row[Any]]:
    """(session, summary, vector) of this model, in the order of their keys, after this one."""
    table = summary_meanings.c
    query: Select[Any] = (
        select(table.session, table.summary, table.vector)
        .where(table.model == model, tuple_(table.session, table.summary) > tuple_(*after))
        .order_by(table.session, table.summary)
        .limit(limit)
    )
    return connection.execute(query).all()


def found(connection: Connection, keys: Sequence[Key]) -> Sequence[Row[Any]]:
    """The summaries with these keys that are still there, with their vector and their session."""
    columns: tuple[Any, ...] = (
        summaries.c.session,
        summaries.c.id,
        summaries.c.channel,
        summaries.c.made_wall_ms,
        summaries.c.body,
        summary_meanings.c.vector,
        sessions.c.name.label("session_name"),
        sessions.c.t0_wall_ms,
    )
    query: Select[Any] = (
        select(*columns)
        .select_from(
            summaries.join(summary_meanings, _IS_OF).join(sessions, sessions.c.id == summaries.c.session)
        )
        .where(summaries.c.id.in_([summary for _, summary in keys]), summaries.c.body.is_not(None))
    )
    wanted = set(keys)
    return [row for row in connection.execute(query).all() if (row.session, row.id) in wanted]
