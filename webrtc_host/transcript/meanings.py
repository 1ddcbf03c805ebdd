"""The rows of the search by meaning: one for each final, with its vector or waiting for it.

SQL only, on a connection that the caller passes. A row is added in the transaction that saves the final
(`MeaningWriter`), and waits again when the final gets another text, so no vector belongs to an older text.
A row goes with its final. Vectors are whole numbers of one byte, in base64.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, func, or_, select, update
from sqlalchemy.exc import DBAPIError

from webrtc_host.transcript.insert_new import insert_new
from webrtc_host.transcript.rooms import JOB
from webrtc_host.transcript.rows import NewTexts, number_of
from webrtc_host.transcript.schema import insert_of, jobs, meanings, room_members, segments
from webrtc_host.transcript.store_writer import AfterSegments

logger = logging.getLogger(__name__)


class MeaningWriter:
    """Called by the store with the texts of each transaction, after the index of words."""

    def __init__(self, words: AfterSegments) -> None:
        self._words = words
        self.failures = 0

    def add(self, connection: Connection, new: NewTexts) -> None:
        """Does not raise for errors of this index: they cost hits, but never the record."""
        self._words(connection, new)
        try:
            with connection.begin_nested():
                _wait(connection, [row["id"] for row in (*new.finals, *new.revised)])
        except DBAPIError:
            self.failures += 1
            if self.failures == 1:
                logger.exception("finals could not be noted for the search by meaning; more are only counted")


def note_page(connection: Connection, model: str, after: str, limit: int) -> str | None:
    """Let finals wait that have no vector of this model, of former runs or of another model.

    after: the last final of the page before. Returns the last one of this page; None: there are no more.
    """
    query: Select[Any] = (
        select(segments.c.id).where(segments.c.id > after).order_by(segments.c.id).limit(limit)
    )
    names: list[str] = list(connection.execute(query.order_by(segments.c.id).limit(limit)).scalars())
    if not names:
        return None
    values = [{"segment": name, "number": number_of(name), "is_waiting": True} for name in names]
    insert_new(connection, meanings, values)
    is_other = (meanings.c.is_waiting.is_(False), meanings.c.model != model)
    of_page = meanings.c.segment.in_(names)
    connection.execute(update(meanings).where(of_page, *is_other).values(is_waiting=True, vector=None))
    return names[-1]


def waiting(connection: Connection, limit: int) -> Sequence[Row[Any]]:
    """(segment, number, text) of finals without a vector, the newest first."""
    query: Select[Any] = (
        select(meanings.c.segment, meanings.c.number, segments.c.text)
        .join(segments, segments.c.id == meanings.c.segment)
        .where(meanings.c.is_waiting.is_(True))
        .order_by(meanings.c.number.desc())
        .limit(limit)
    )
    return connection.execute(query).all()


def put(connection: Connection, model: str, made: Iterable[tuple[str, str, str]]) -> list[str]:
    """Store vectors: (segment, the text that was read, vector). Returns the segments that took theirs.

    A segment whose text was changed meanwhile keeps waiting.
    """
    taken = []
    for segment, text, vector in made:
        still = select(segments.c.id).where(segments.c.id == segment, segments.c.text == text).exists()
        done = connection.execute(
            update(meanings)
            .where(meanings.c.segment == segment, still)
            .values(vector=vector, model=model, is_waiting=False)
        )
        if done.rowcount:
            taken.append(segment)
    return taken


def page(connection: Connection, below: int, limit: int) -> Sequence[Row[Any]]:
    """(number, vector) of finals with a vector, from the newest one below this number on."""
    query: Select[Any] = select(meanings.c.number, meanings.c.vector).where(
        meanings.c.is_waiting.is_(False), meanings.c.number < below
    )
    return connection.execute(query.order_by(meanings.c.number.desc()).limit(limit)).all()


def numbers_of(connection: Connection, session: str) -> list[int]:
    """The numbers of a session's finals."""
    found = connection.execute(select(segments.c.id).where(segments.c.session == session))
    return [number_of(name) for name in found.scalars()]


def numbers_of_room(connection: Connection, room: str) -> list[int]:
    """The numbers of the finals that were said in a room, in ascending order."""
    session = func.coalesce(room_members.c.session, jobs.c.session)
    of_job = and_(room_members.c.kind == JOB, jobs.c.id == room_members.c.id)
    is_said_there = and_(
        segments.c.session == session,
        or_(room_members.c.channel.is_(None), segments.c.channel == room_members.c.channel),
        segments.c.end_ms > func.coalesce(room_members.c.from_ms, 0),
        or_(room_members.c.to_ms.is_(None), segments.c.start_ms < room_members.c.to_ms),
    )
    members = room_members.outerjoin(jobs, of_job).join(segments, is_said_there)
    query = select(segments.c.id).select_from(members).where(room_members.c.room == room)
    return sorted({number_of(name) for name in connection.execute(query).scalars()})


def vectors_of(connection: Connection, numbers: Sequence[int]) -> dict[str, str]:
    """The vectors of these finals, by segment."""
    found = select(meanings.c.segment, meanings.c.vector).where(
        meanings.c.segment.in_([f"g_{number}" for number in numbers]), meanings.c.is_waiting.is_(False)
    )
    return {row.segment: row.vector for row in connection.execute(found)}


def _wait(connection: Connection, names: Sequence[str]) -> None:
    values = [
        {"segment": name, "number": number_of(name), "is_waiting": True} for name in names if number_of(name)
    ]
    if values:
        statement = insert_of(connection.dialect.name, meanings)
        again = {"is_waiting": True, "vector": None}
        connection.execute(
            statement.on_conflict_do_update(index_elements=[meanings.c.segment], set_=again), values
        )
