"""Rooms: each collects recordings (jobs) and streams, and gets one summary of all of them.

A room needs no end: whenever none of its members is open any more, its summary is made, and a member that is
added later makes it again. Invariants: rooms and their members are limited; what a room has is in the record,
so a restart loses nothing of it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

from sqlalchemy import Row

from webrtc_host.errors import Overloaded, RequestError, StoreError
from webrtc_host.summaries.scopes import RoomScope, room_scope_of
from webrtc_host.summaries.service import SummaryService
from webrtc_host.transcript import jobs as job_rows
from webrtc_host.transcript import rooms as rows
from webrtc_host.transcript.jobs import JobState
from webrtc_host.transcript.rooms import NewRoom, RoomFull, RoomStream
from webrtc_host.transcript.store import Store

logger = logging.getLogger(__name__)

ROOMS_MAX = 10_000
MEMBERS_MAX = 200
LOOK_S = 2.0
"""How often the rooms are checked for members that ended."""
DUE_MAX = 50
RETRY_AFTER_S = 60.0


class Status(StrEnum):
    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Member:
    """A recording or a stream of a room. row: as `transcript.rooms.members` gives it."""

    row: Row[Any]
    status: Status


@dataclass(frozen=True, slots=True)
class Room:
    row: Row[Any]
    members: tuple[Member, ...]
    status: Status


class RoomService:
    """One per process; `running` is one of the server's start steps."""

    def __init__(self, store: Store, summaries: SummaryService, wall_ms: Callable[[], int]) -> None:
        self._store, self._summaries, self._wall_ms = store, summaries, wall_ms

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        try:
            left = await self._store.write(rows.end_all_streams)
            if left:
                logger.info("rooms: %d streams of the process before have ended", left)
        except (StoreError, Overloaded) as error:
            logger.warning("the rooms of the process before cannot be checked: %s", error)
        looking = asyncio.create_task(self._look(), name="rooms")
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.wait((looking,))

    async def create(self, title: str, template: str, language: str, who: str | None = None) -> Room:
        """Raises RequestError: 422 for an unknown template, 429 when there are too many rooms."""
        self._summaries.check(RoomScope("", template, language))
        new = NewRoom(f"r_{secrets.token_hex(6)}", title, template, language, self._wall_ms(), who)
        try:
            row = await self._store.write(partial(rows.add, new=new, rooms_max=ROOMS_MAX))
        except RoomFull as error:
            message = f"there are {error.held} rooms, which is the limit; delete some"
            raise _full("too_many_rooms", message) from error
        return Room(row, (), Status.PENDING)

    async def get(self, room: str) -> Room:
        """Raises RequestError 404."""
        room = _storable(room)
        row = await self._store.read(partial(rows.get, room=room))
        if row is None:
            raise _unknown(room)
        return _room_of(row, await self._store.read(partial(rows.members, room_ids=(room,))))

    async def page(self, before: int | None, limit: int) -> list[Room]:
        """Newest first; one more than `limit` when there are more."""
        found = await self._store.read(partial(rows.page, before=before, limit=limit))
        ids = tuple(row.id for row in found)
        members = await self._store.read(partial(rows.members, room_ids=ids)) if ids else ()
        return [_room_of(row, [one for one in members if one.room == row.id]) for row in found]

    async def remove(self, room: str) -> None:
        """Raises RequestError 404."""
        if not await self._store.write(partial(rows.remove, room=_storable(room))):
            raise _unknown(room)

    async def check_open(self, room: str) -> None:
        """Whether something can be added. Raises RequestError 404 and 429."""
        found = await self.get(room)
        if len(found.members) >= MEMBERS_MAX:
            raise _full("room_full", _full_text(len(found.members)))

    async def add_job(self, room: str, job_id: str) -> None:
        """Raises RequestError: 404 for an unknown room or recording, 429 when the room is full."""
        job_id = _storable(job_id)
        if await self._store.read(partial(job_rows.find, job_id=job_id)) is None:
            raise RequestError("unknown_job", f"there is no job {job_id[:40]!r}", 404)
        await self._add(room, partial(rows.add_job, job=job_id))

    async def add_stream(self, room: str, stream: RoomStream) -> None:
        """Raises RequestError as `add_job`."""
        await self._add(room, partial(rows.add_stream, stream=stream))

    async def end_stream(self, stream: str, to_ms: int) -> None:
        """The stream has ended at this time of its session. Raises StoreError."""
        await self._store.write(partial(rows.end_stream, stream=stream, to_ms=to_ms))

    async def ask_summary(self, room: str) -> Room:
        """Make the summary now, of the text so far. Raises RequestError as `get` and `SummaryService.ask`."""
        found = await self.get(room)
        await self._summaries.ask(room_scope_of(found.row))
        return await self.get(room)

    async def _add(self, room: str, add: Callable[..., bool]) -> None:
        room = _storable(room)
        work = partial(add, room=room, wall_ms=self._wall_ms(), members_max=MEMBERS_MAX)
        try:
            if not await self._store.write(work):
                raise _unknown(room)
        except RoomFull as error:
            raise _full("room_full", _full_text(error.held)) from error

    async def _look(self) -> None:
        """Ask for the summaries of rooms whose members have all ended."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                for row in await self._store.read(partial(rows.due, limit=DUE_MAX)):
                    scope = room_scope_of(row)
                    if not self._summaries.is_waiting(scope):
                        await self._summaries.ask(scope)
            except (StoreError, RequestError) as error:
                logger.warning("the summaries of rooms are not made now: %s", error)


def _room_of(row: Row[Any], members: Sequence[Row[Any]]) -> Room:
    found = tuple(Member(one, _status_of(one)) for one in members)
    return Room(row, found, _status(row, [one.status for one in found]))


def _status_of(member: Row[Any]) -> Status:
    if member.kind == rows.STREAM:
        return Status.PROCESSING if member.state == rows.RUNNING else Status.COMPLETED
    match member.job_state:
        case JobState.QUEUED:
            return Status.PENDING
        case JobState.RUNNING:
            return Status.PROCESSING
        case JobState.COMPLETED:
            return Status.COMPLETED
    return Status.FAILED  # also cancelled, or removed with its text


def _status(row: Row[Any], members: Sequence[Status]) -> Status:
    """Of the room: PENDING until something has begun; COMPLETED or FAILED when its summary was made."""
    if all(one is Status.PENDING for one in members):
        return Status.PENDING
    if any(one in (Status.PENDING, Status.PROCESSING) for one in members):
        return Status.PROCESSING
    if all(one is Status.FAILED for one in members):
        return Status.FAILED
    is_made = row.status in ("done", "failed") and not row.is_due
    return Status.COMPLETED if is_made else Status.PROCESSING


def _storable(text: str) -> str:
    return text[:64].encode(errors="replace").decode().replace("\0", "\ufffd")


def _unknown(room: str) -> RequestError:
    return RequestError("unknown_room", f"there is no room {room[:40]!r}", 404)


def _full_text(held: int) -> str:
    return f"the room has {held} recordings and streams, which is the limit; make another room"


def _full(code: str, message: str) -> Overloaded:
    return Overloaded(code, message, retry_after_s=RETRY_AFTER_S, status=429)
