"""The vectors of summaries, for the search by meaning. SQL only, on a connection that the caller passes.

`OF_SESSIONS` are those of the summaries of sessions, `OF_ROOMS` those of the summaries of rooms. A vector
belongs to one revision of a summary, and is deleted with its text. A summary whose newest revision has no
vector of the wanted model waits: that needs no note, so nothing is missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Select,
    Table,
    and_,
    literal,
    null,
    or_,
    select,
    tuple_,
)

from webrtc_host.transcript.schema import (
    insert_of,
    room_meanings,
    rooms,
    sessions,
    summaries,
    summary_meanings,
)

Key = tuple[str, str]
"""(session, id of the summary). The summary of a room has no single session: ("", id of the room)."""


@dataclass(frozen=True, slots=True)
class SummaryVectors:
    """The queries for one kind of summaries. The two tables have the same primary key, by other names."""

    texts: Table
    vectors: Table
    about: tuple[ColumnElement[Any], ...]
    """What else is told of a summary that was found: channel, session_name and began_wall_ms."""
    texts_and_about: FromClause
    """`texts`, joined with the tables of `about`."""

    def waiting(self, connection: Connection, model: str, limit: int) -> Sequence[Row[Any]]:
        """(session, id, revision, body) of summaries without a vector of this model, the newest first."""
        texts, vectors = self.texts.c, self.vectors.c
        lacks = or_(vectors.model.is_(None), vectors.revision != texts.revision, vectors.model != model)
        session, summary = _key_of(self.texts)
        query: Select[Any] = (
            select(session.label("session"), summary, texts.revision, texts.body)
            .select_from(self.texts.outerjoin(self.vectors, self._is_same_summary()))
            .where(texts.body.is_not(None), lacks)
            .order_by(texts.made_wall_ms.desc())
            .limit(limit)
        )
        return connection.execute(query).all()

    def put(self, connection: Connection, model: str, made: Sequence[tuple[Key, int, str]]) -> list[Key]:
        """Store vectors: (key, revision that was read, vector). Returns the keys that took theirs.

        A summary that was deleted, has a newer revision meanwhile, or lost its text, takes none.
        """
        texts = self.texts.c
        session, summary = _key_of(self.texts)
        names = self.vectors.primary_key.columns.keys()
        taken = []
        for key, revision, vector in made:
            is_as_read = (session == key[0], summary == key[1], texts.revision == revision)
            if (
                connection.execute(select(summary).where(*is_as_read, texts.body.is_not(None))).first()
                is None
            ):
                continue
            key_values = dict(zip(names, key[-len(names) :], strict=True))
            values = {"revision": revision, "model": model, "vector": vector}
            statement = insert_of(connection.dialect.name, self.vectors).values(**key_values, **values)
            connection.execute(statement.on_conflict_do_update(index_elements=names, set_=values))
            taken.append(key)
        return taken

    def page(self, connection: Connection, model: str, after: Key, limit: int) -> Sequence[Row[Any]]:
        """(session, summary, vector) of this model, in the order of their keys, after this one."""
        session, summary = _key_of(self.vectors)
        query: Select[Any] = (
            select(session.label("session"), summary.label("summary"), self.vectors.c.vector)
            .where(self.vectors.c.model == model, tuple_(session, summary) > tuple_(*after))
            .order_by(session, summary)
            .limit(limit)
        )
        return connection.execute(query).all()

    def found(self, connection: Connection, keys: Sequence[Key]) -> Sequence[Row[Any]]:
        """The summaries with these keys that are still there.

        Each is (session, id, made_wall_ms, body, vector), and the columns of `about`.
        """
        texts = self.texts.c
        session, summary = _key_of(self.texts)
        query: Select[Any] = (
            select(
                session.label("session"),
                summary,
                texts.made_wall_ms,
                texts.body,
                self.vectors.c.vector,
                *self.about,
            )
            .select_from(self.texts_and_about.join(self.vectors, self._is_same_summary()))
            .where(summary.in_([one for _, one in keys]), texts.body.is_not(None))
        )
        wanted = set(keys)
        return [row for row in connection.execute(query).all() if (row.session, row.id) in wanted]

    def _is_same_summary(self) -> ColumnElement[bool]:
        pairs = zip(_key_of(self.texts), _key_of(self.vectors), strict=True)
        return and_(*(one == other for one, other in pairs))


def _key_of(table: Table) -> tuple[ColumnElement[str], ColumnElement[str]]:
    """The columns of this table that are the `Key` of a summary."""
    *session, summary = table.primary_key.columns
    return (session[0] if session else literal("")), summary


OF_SESSIONS = SummaryVectors(
    summaries,
    summary_meanings,
    (
        summaries.c.channel,
        sessions.c.name.label("session_name"),
        sessions.c.t0_wall_ms.label("began_wall_ms"),
    ),
    summaries.join(sessions, sessions.c.id == summaries.c.session),
)
OF_ROOMS = SummaryVectors(
    rooms,
    room_meanings,
    (
        null().label("channel"),
        rooms.c.title.label("session_name"),
        rooms.c.created_wall_ms.label("began_wall_ms"),
    ),
    rooms,
)
