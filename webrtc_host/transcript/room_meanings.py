"""The vectors of the summaries of rooms, for the search by meaning. SQL only, on a connection that the
caller passes.

The functions are those of `transcript.summary_meanings`, for rooms: a key is ("", id of the room), because
the summary of a room belongs to no single session. A row goes with its room, and with the text of its
summary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, func, literal, null, or_, select

from webrtc_host.transcript.rooms import JOB
from webrtc_host.transcript.rows import number_of
from webrtc_host.transcript.schema import insert_of, jobs, room_meanings, room_members, rooms, segments
from webrtc_host.transcript.summary_meanings import Key

_IS_OF = room_meanings.c.room == rooms.c.id
_NO_SESSION = literal("").label("session")


def waiting(connection: Connection, model: str, limit: int) -> Sequence[Row[Any]]:
    """(session: empty, id, revision, body) of summaries without a vector of this model, the newest first."""
    lacks = or_(
        room_meanings.c.room.is_(None),
        room_meanings.c.revision != rooms.c.revision,
        room_meanings.c.model != model,
    )
    query: Select[Any] = (
        select(_NO_SESSION, rooms.c.id, rooms.c.revision, rooms.c.body)
        .select_from(rooms.outerjoin(room_meanings, _IS_OF))
        .where(rooms.c.body.is_not(None), lacks)
        .order_by(rooms.c.made_wall_ms.desc())
        .limit(limit)
    )
    return connection.execute(query).all()


def put(connection: Connection, model: str, made: Sequence[tuple[Key, int, str]]) -> list[Key]:
    """Store vectors: (key, revision that was read, vector). Returns the keys that took theirs.

    A room whose summary has a newer revision meanwhile, or whose text was removed, takes none.
    """
    taken = []
    for (session, room), revision, vector in made:
        of_it = (rooms.c.id == room, rooms.c.revision == revision, rooms.c.body.is_not(None))
        if connection.execute(select(rooms.c.id).where(*of_it)).first() is None:
            continue
        values = {"revision": revision, "model": model, "vector": vector}
        statement = insert_of(connection.dialect.name, room_meanings).values(room=room, **values)
        connection.execute(
            statement.on_conflict_do_update(index_elements=[room_meanings.c.room], set_=values)
        )
        taken.append((session, room))
    return taken


def page(connection: Connection, model: str, after: Key, limit: int) -> Sequence[Row[Any]]:
    """(session: empty, summary: the room, vector) of this model, by room, after this one."""
    table = room_meanings.c
    query: Select[Any] = (
        select(_NO_SESSION, table.room.label("summary"), table.vector)
        .where(table.model == model, table.room > after[1])
        .order_by(table.room)
        .limit(limit)
    )
    return connection.execute(query).all()


def found(connection: Connection, keys: Sequence[Key]) -> Sequence[Row[Any]]:
    """The rooms with these keys that still have a summary, with its vector; as `summary_meanings.found`."""
    query: Select[Any] = (
        select(
            _NO_SESSION,
            rooms.c.id,
            null().label("channel"),
            rooms.c.created_wall_ms,
            rooms.c.made_wall_ms,
            rooms.c.body,
            room_meanings.c.vector,
            rooms.c.title.label("session_name"),
        )
        .select_from(rooms.join(room_meanings, _IS_OF))
        .where(rooms.c.id.in_([room for _, room in keys]), rooms.c.body.is_not(None))
    )
    return connection.execute(query).all()


def numbers_of(connection: Connection, room: str) -> list[int]:
    """The numbers of the finals that were said in a room."""
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
