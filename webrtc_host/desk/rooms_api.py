"""`/api/v1/conversation/rooms`: rooms that collect recordings and streams, and their summaries.

Only the routes and the form of a room; `jobs.rooms` has the rooms. Streams enter a room by their address, and
new recordings by a field of their form; `POST .../members` adds a recording that is there already.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import ConfigDict, Field

from host_stt_common.names import name_of
from host_stt_common.places import Places
from webrtc_host.desk.final_summary import summary_fields
from webrtc_host.desk.job_stream import COMMENT_S, follow
from webrtc_host.desk.session_view import wall_of
from webrtc_host.desk.summaries_api import SummaryContent, content_of
from webrtc_host.errors import RequestError
from webrtc_host.http.audit import DETAIL, token_name
from webrtc_host.http.requests import Body, Query, Whole, read_body, read_query
from webrtc_host.http.responses import Response
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import json_response
from webrtc_host.jobs.following import END, JobEvent
from webrtc_host.jobs.rooms import MEMBERS_MAX, Member, Room, RoomService, Status
from webrtc_host.summaries.templates import DEFAULT_TEMPLATE
from webrtc_host.transcript import rooms as rows

ROOMS = "/api/v1/conversation/rooms"
ROOM = ROOMS + "/{room}"
FOLLOWERS_MAX = 50
LOOK_S = 1.0
StatusName = Literal["PENDING", "PROCESSING", "COMPLETED", "FAILED"]


class NewRoom(Body):
    model_config = ConfigDict(extra="ignore")

    title: Annotated[str, Field(max_length=200)] = ""
    template: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")] = DEFAULT_TEMPLATE
    language: Literal["auto", "en", "ko"] = Field(
        "auto", description="of the summary; auto: that of most of the text"
    )
    job_ids: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=MEMBERS_MAX)] = Field(
        [], description="recordings that are there already"
    )


class NewMember(Body):
    model_config = ConfigDict(extra="ignore")

    job_id: Annotated[str, Field(max_length=64)]


class RoomsQuery(Query):
    before: Whole | None = Field(None, description="`next_before` of the page before")
    limit: Annotated[Whole, Field(ge=1, le=200)] = 50


class MemberEntry(Response):
    type: Literal["job", "stream"]
    id: str
    status: StatusName
    title: str | None = Field(description="of a recording")
    session: str | None = Field(description="its text; null: not begun, or removed")
    channel: str | None = Field(description="of a stream; null: all channels of the session")
    from_ms: int | None
    to_ms: int | None
    added_wall: str


class RoomCited(Response):
    channel: str
    start_ms: int
    end_ms: int
    start: str
    text: str
    session: str
    session_start_ms: int
    session_end_ms: int


class RoomContent(SummaryContent):
    cited: dict[str, RoomCited]  # type: ignore[assignment]  # a line of a room has its session, too


class RoomSummary(Response):
    status: Literal["none", "queued", "running", "done", "failed"]
    revision: int = Field(description="how often it was made")
    made_wall: str | None
    maker: Literal["model", "extract"] | None = Field(description="extract: it consists of chosen lines")
    model: str | None
    prompt: str | None
    error: str | None
    content: RoomContent | None


class RoomEntry(Response):
    room_id: str
    title: str
    status: StatusName
    template: str
    language: str
    created_wall: str
    who: str | None
    members: list[MemberEntry]


class RoomResponse(RoomEntry):
    summary: RoomSummary


class RoomsResponse(Response):
    rooms: list[RoomEntry]
    next_before: int | None


class RoomRemoved(Response):
    room_id: str
    is_removed: bool


class RoomsApi:
    def __init__(self, rooms: RoomService) -> None:
        self._rooms = rooms
        self._followers = Places(FOLLOWERS_MAX)

    @Route(
        "POST",
        ROOMS,
        Role.OPERATOR,
        "Make a room, which collects recordings and streams",
        body=NewRoom,
        response=RoomResponse,
        status=201,
        audit="made",
        errors=(404, 422, 429),
    )
    async def create(self, request: web.Request) -> web.Response:
        """An empty body makes a room without a title."""
        order = await read_body(request, NewRoom) if request.can_read_body else NewRoom()
        room = await self._rooms.create(
            _title(order.title), order.template, order.language, token_name(request)
        )
        request[DETAIL] = room.row.id
        try:
            for job_id in order.job_ids:
                await self._rooms.add_job(room.row.id, job_id)
        except RequestError:
            await self._rooms.remove(room.row.id)
            raise
        found = await self._rooms.get(room.row.id)
        return json_response(body_of(found), 201, {"Location": f"{ROOMS}/{room.row.id}"})

    @Route("GET", ROOMS, Role.VIEWER, "The rooms, newest first", query=RoomsQuery, response=RoomsResponse)
    async def page(self, request: web.Request) -> web.Response:
        query = read_query(request, RoomsQuery)
        found = await self._rooms.page(query.before, query.limit)
        shown = found[: query.limit]
        next_before = shown[-1].row.number if len(found) > query.limit else None
        return json_response({"rooms": [entry_of(one) for one in shown], "next_before": next_before})

    @Route("GET", ROOM, Role.VIEWER, "A room with its summary", response=RoomResponse, errors=(404,))
    async def show(self, request: web.Request) -> web.Response:
        return json_response(body_of(await self._rooms.get(request.match_info["room"])))

    @Route(
        "DELETE",
        ROOM,
        Role.OPERATOR,
        "Remove a room and its summary; its recordings and their text stay",
        response=RoomRemoved,
        audit="removed",
        errors=(404,),
    )
    async def remove(self, request: web.Request) -> web.Response:
        room = request.match_info["room"]
        request[DETAIL] = room[:64]
        await self._rooms.remove(room)
        return json_response({"room_id": room, "is_removed": True})

    @Route(
        "POST",
        ROOM + "/members",
        Role.OPERATOR,
        "Add a recording that is there already",
        body=NewMember,
        response=RoomResponse,
        audit="changed",
        errors=(404, 422, 429),
    )
    async def add(self, request: web.Request) -> web.Response:
        order = await read_body(request, NewMember)
        room = request.match_info["room"]
        request[DETAIL] = f"{room[:64]} {order.job_id}"
        await self._rooms.add_job(room, order.job_id)
        return json_response(body_of(await self._rooms.get(room)))

    @Route(
        "POST",
        ROOM + "/summary",
        Role.OPERATOR,
        "Make the summary of a room now, of the text so far",
        response=RoomResponse,
        status=202,
        audit="summarized",
        errors=(404, 429),
    )
    async def summarize(self, request: web.Request) -> web.Response:
        room = request.match_info["room"]
        request[DETAIL] = room[:64]
        return json_response(body_of(await self._rooms.ask_summary(room)), 202)

    @Route(
        "GET",
        ROOM + "/events",
        Role.VIEWER,
        "A room whenever it changes, then its summary, as server-sent events",
        content_type="text/event-stream",
        errors=(404, 429),
        allow_head=False,
    )
    async def events(self, request: web.Request) -> web.StreamResponse:
        room = (await self._rooms.get(request.match_info["room"])).row.id
        return await follow(request, self._followers, "rooms", lambda _: self._followed(room))

    async def _followed(self, room_id: str) -> AsyncGenerator[JobEvent | None, None]:
        """The room now and at each change, until its summary was made or it is removed."""
        before, quiet_s = "", 0.0
        while True:
            try:
                room = await self._rooms.get(room_id)
            except RequestError:
                return
            entry = entry_of(room)
            if (text := json.dumps(entry)) != before:
                before, quiet_s = text, 0.0
                yield JobEvent("room", entry)
            if room.status in (Status.COMPLETED, Status.FAILED):
                yield JobEvent("final_summary", final_summary_of(room), END)
                return
            await asyncio.sleep(LOOK_S)
            quiet_s += LOOK_S
            if quiet_s >= COMMENT_S:
                quiet_s = 0.0
                yield None


def entry_of(room: Room) -> dict[str, Any]:
    """A room without its summary."""
    row = room.row
    return {
        "room_id": row.id,
        "title": row.title,
        "status": room.status.value,
        "template": row.template,
        "language": row.language,
        "created_wall": wall_of(row.created_wall_ms),
        "who": row.who,
        "members": [_member_of(one) for one in room.members],
    }


def body_of(room: Room) -> dict[str, Any]:
    row = room.row
    return {
        **entry_of(room),
        "summary": {
            "status": row.status,
            "revision": row.revision,
            "made_wall": None if row.made_wall_ms is None else wall_of(row.made_wall_ms),
            "maker": row.maker,
            "model": row.model,
            "prompt": row.prompt,
            "error": row.error,
            "content": None if row.body is None else content_of(row.body),
        },
    }


def final_summary_of(room: Room) -> dict[str, Any]:
    """The fields of `final_summary` for a room that is complete."""
    row, error = room.row, None
    if room.status is Status.FAILED:
        error = {"code": "no_text", "message": "no recording of the room has text"}
    content = None if row.body is None or row.status == "failed" else json.loads(row.body)
    result = {"content": content, "error": row.error}
    return {"room_id": row.id, **summary_fields(room.status.value, result, error), "warning": None}


def _member_of(member: Member) -> dict[str, Any]:
    row = member.row
    return {
        "type": row.kind,
        "id": row.id,
        "status": member.status.value,
        "title": row.job_title if row.kind == rows.JOB else None,
        "session": row.text_session,
        "channel": row.channel,
        "from_ms": row.from_ms,
        "to_ms": row.to_ms,
        "added_wall": wall_of(row.added_wall_ms),
    }


def _title(text: str) -> str:
    if not text.strip():
        return ""
    try:
        return name_of(text)
    except ValueError as error:
        raise RequestError("bad_name", f"`title` {error}", 422) from error
