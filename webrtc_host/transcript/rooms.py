"""The rows of rooms: a room collects recordings (jobs) and streams, and has one summary of all of them.

SQL only, on a connection that the caller passes. `ask`, `find`, `change` and `finish` are those of
`transcript.summaries`, for the summary of a room. Invariants: a room whose text changed is due, so that its
summary is made again; a summary that was begun before the change is not stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, and_, case, delete, func, or_, select, update

from webrtc_host.transcript.jobs import OPEN as OPEN_JOBS
from webrtc_host.transcript.schema import insert_of, jobs, room_meanings, room_members, rooms, sessions

Rows = Sequence[Row[Any]]
Values = dict[str, Any]
JOB, STREAM = "job", "stream"
RUNNING, ENDED = "running", "ended"
"""States of a stream; a recording has the state of its job."""


@dataclass(frozen=True, slots=True)
class NewRoom:
    id: str
    title: str
    template: str
    language: str
    created_wall_ms: int
    who: str | None = None


@dataclass(frozen=True, slots=True)
class RoomStream:
    """A stream in a room: its channel of a session, from a time of the session on."""

    id: str
    session: str
    channel: str
    from_ms: int


class RoomFull(Exception):
    """held: how many rooms there are, or members of the room."""

    def __init__(self, held: int) -> None:
        super().__init__(f"{held} are there already")
        self.held = held


def add(connection: Connection, new: NewRoom, rooms_max: int) -> Row[Any]:
    """Raises RoomFull."""
    if (known := get(connection, new.id)) is not None:  # a commit whose reply was lost is repeated
        return known
    held = connection.execute(select(func.count()).select_from(rooms)).scalar_one()
    if held >= rooms_max:
        raise RoomFull(held)
    number = (connection.execute(select(func.max(rooms.c.number))).scalar() or 0) + 1
    connection.execute(
        insert_of(connection.dialect.name, rooms).values(
            id=new.id,
            number=number,
            title=new.title,
            template=new.template,
            language=new.language,
            created_wall_ms=new.created_wall_ms,
            who=new.who,
            is_due=False,
            status="none",
            revision=0,
        )
    )
    row = get(connection, new.id)
    assert row is not None, "it was just inserted"
    return row


def get(connection: Connection, room: str) -> Row[Any] | None:
    return connection.execute(select(rooms).where(rooms.c.id == room)).one_or_none()


def page(connection: Connection, before: int | None, limit: int) -> Rows:
    """Rooms, newest first; one more than `limit` when there are more. before: a room's `number`."""
    query = select(rooms).order_by(rooms.c.number.desc()).limit(limit + 1)
    return connection.execute(query if before is None else query.where(rooms.c.number < before)).all()


def remove(connection: Connection, room: str) -> bool:
    """Delete a room with its summary; its recordings and streams stay. False: there is no such room."""
    return connection.execute(delete(rooms).where(rooms.c.id == room)).rowcount > 0


def add_job(connection: Connection, room: str, job: str, wall_ms: int, members_max: int) -> bool:
    """False: there is no such room. Raises RoomFull."""
    return _add_member(connection, room, {"id": job, "kind": JOB, "added_wall_ms": wall_ms}, members_max)


def add_stream(connection: Connection, room: str, stream: RoomStream, wall_ms: int, members_max: int) -> bool:
    """False: there is no such room. Raises RoomFull."""
    values = {
        "id": stream.id,
        "kind": STREAM,
        "state": RUNNING,
        "session": stream.session,
        "channel": stream.channel,
        "from_ms": stream.from_ms,
        "added_wall_ms": wall_ms,
    }
    return _add_member(connection, room, values, members_max)


def count_members(connection: Connection, room: str) -> int:
    return connection.execute(
        select(func.count()).select_from(room_members).where(room_members.c.room == room)
    ).scalar_one()


def _add_member(connection: Connection, room: str, values: Values, members_max: int) -> bool:
    if get(connection, room) is None:
        return False
    known = (room_members.c.room == room, room_members.c.id == values["id"])
    if connection.execute(select(room_members.c.id).where(*known)).first() is not None:
        return True
    if (held := count_members(connection, room)) >= members_max:
        raise RoomFull(held)
    of_room = select(func.max(room_members.c.number)).where(room_members.c.room == room)
    number = (connection.execute(of_room).scalar() or 0) + 1
    connection.execute(
        insert_of(connection.dialect.name, room_members).values(room=room, number=number, **values)
    )
    _note_change(connection, rooms.c.id == room)
    return True


def end_stream(connection: Connection, stream: str, to_ms: int) -> None:
    of_stream = (room_members.c.id == stream, room_members.c.kind == STREAM)
    connection.execute(update(room_members).where(*of_stream).values(state=ENDED, to_ms=to_ms))
    _note_change(connection, rooms.c.id.in_(select(room_members.c.room).where(*of_stream)))


def end_all_streams(connection: Connection) -> int:
    """End the streams that a process has left. Returns their number.

    Later audio of a channel begins behind the end of the session so far, so it is no part of them.
    """
    left = and_(room_members.c.kind == STREAM, room_members.c.state == RUNNING)
    alive_ms = select(sessions.c.alive_ms).where(sessions.c.id == room_members.c.session).scalar_subquery()
    _note_change(connection, rooms.c.id.in_(select(room_members.c.room).where(left)))
    done = connection.execute(
        update(room_members)
        .where(left)
        .values(state=ENDED, to_ms=func.coalesce(alive_ms, room_members.c.from_ms) + 1)
    )
    return done.rowcount


def members(connection: Connection, room_ids: Sequence[str]) -> Rows:
    """The members of rooms, in the order in which they were added, with what the job of each says.

    job_state is NULL for a stream, and for a job whose row was removed.
    """
    of_job = and_(room_members.c.kind == JOB, jobs.c.id == room_members.c.id)
    session = func.coalesce(room_members.c.session, jobs.c.session).label("text_session")
    query = (
        select(
            room_members,
            session,
            jobs.c.state.label("job_state"),
            jobs.c.title.label("job_title"),
            jobs.c.done_ms.label("job_done_ms"),
            jobs.c.total_ms.label("job_total_ms"),
            sessions.c.t0_wall_ms.label("t0_wall_ms"),
        )
        .select_from(
            room_members.outerjoin(jobs, of_job).outerjoin(
                sessions, sessions.c.id == func.coalesce(room_members.c.session, jobs.c.session)
            )
        )
        .where(room_members.c.room.in_(room_ids))
        .order_by(room_members.c.room, room_members.c.number)
    )
    return connection.execute(query).all()


def due(connection: Connection, limit: int) -> Rows:
    """Rooms whose summary has to be made: something changed, and no member is open any more."""
    has_members = select(room_members.c.id).where(room_members.c.room == rooms.c.id).correlate(rooms).exists()
    query = select(rooms).where(rooms.c.is_due, has_members, ~_has_open())
    return connection.execute(query.order_by(rooms.c.number).limit(limit)).all()


def forget_text(connection: Connection, session: str) -> None:
    """Text of this session was removed: so are the summaries that may hold it. They are made again."""
    by_stream = select(room_members.c.room).where(room_members.c.session == session)
    by_job = (
        select(room_members.c.room)
        .join(jobs, and_(room_members.c.kind == JOB, jobs.c.id == room_members.c.id))
        .where(jobs.c.session == session)
    )
    concerned = or_(rooms.c.id.in_(by_stream), rooms.c.id.in_(by_job))
    of_rooms = room_meanings.c.room.in_(select(rooms.c.id).where(concerned))
    connection.execute(delete(room_meanings).where(of_rooms))
    gone = {"body": None, "source": None, "status": "none", "error": None}
    connection.execute(update(rooms).where(concerned).values(is_due=True, **gone))


def _note_change(connection: Connection, which: Any) -> None:
    """The text of these rooms is not what their summary was made from."""
    undone = case((rooms.c.status == "running", "none"), else_=rooms.c.status)
    connection.execute(update(rooms).where(which).values(is_due=True, status=undone))


def _has_open() -> Any:
    """Whether a member of the room still gets text."""
    is_open = or_(
        room_members.c.state == RUNNING,
        room_members.c.id.in_(select(jobs.c.id).where(jobs.c.state.in_(OPEN_JOBS))),
    )
    return (
        select(room_members.c.id).where(room_members.c.room == rooms.c.id, is_open).correlate(rooms).exists()
    )


# --- the summary of a room ---


def ask(connection: Connection, room: str, summary: str, scope: Values, asked: Values) -> Row[Any] | None:
    """Queue the summary. One that is being made stays so. None: there is no such room."""
    values = {name: value for name, value in asked.items() if name in rooms.c}
    connection.execute(update(rooms).where(rooms.c.id == room, rooms.c.status != "running").values(**values))
    return get(connection, room)


def find(connection: Connection, room: str, summary: str) -> Row[Any] | None:
    return get(connection, room)


def unfinished(connection: Connection, limit: int) -> Rows:
    query = select(rooms).where(rooms.c.status.in_(("queued", "running")))
    return connection.execute(query.order_by(rooms.c.asked_wall_ms).limit(limit)).all()


def change(connection: Connection, room: str, summary: str, values: Mapping[str, Any]) -> bool:
    """Change the summary. False: the room is not there any more, or its text changed meanwhile.

    A summary that was made while a member is open has to be made again later.
    """
    is_end = values.get("status") in ("done", "failed")
    which: list[Any] = [rooms.c.id == room]
    if is_end:
        which.append(rooms.c.status == "running")
    more = {"is_due": _has_open()} if is_end else {}
    return connection.execute(update(rooms).where(*which).values(**values, **more)).rowcount > 0


def finish(connection: Connection, room: str, summary: str, values: Values) -> int | None:
    """Store a new revision; returns its number. None as `change` returns False."""
    done = {**values, "revision": rooms.c.revision + 1, "status": "done", "error": None}
    if not change(connection, room, summary, done):
        return None
    row = get(connection, room)
    return None if row is None else int(row.revision)


def part(connection: Connection, room: str, source: str) -> str | None:
    """A room keeps no notes about its parts: they would hold text of several sessions."""
    return None


def put_part(connection: Connection, room: str, source: str, body: str, wall_ms: int) -> None:
    """Keeps nothing, see `part`."""
