"""`/api/shares`: make, list and revoke links. `shared_api` has what the link of a range shows.

Only the routes; `services.shares` keeps the links. An address has the token of a link only behind `#`, where
browsers send it to no server.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any, Literal

from aiohttp import web
from pydantic import Field
from sqlalchemy import Row

from webrtc_host.desk.session_view import wall_of
from webrtc_host.errors import RequestError
from webrtc_host.http.audit import DETAIL
from webrtc_host.http.auth import GATE
from webrtc_host.http.requests import (
    Body,
    Channels,
    Ms,
    Name,
    Query,
    Whole,
    check_range,
    read_body,
    read_query,
)
from webrtc_host.http.responses import Response
from webrtc_host.http.roles import ANYONE, CALLER, Caller, Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import json_response
from webrtc_host.services.shares import Shares, Wish, channels_of
from webrtc_host.transcript import records
from webrtc_host.transcript.storable import storable
from webrtc_host.transcript.store import Store

EXPIRES_S_MIN, EXPIRES_S_MAX = 60, 90 * 86_400
RANGE_MS_MAX = 24 * 3_600_000
"""The longest range of a link."""


class ShareWish(Body):
    kind: Literal["range", "wall"] = Field("range", description="wall: live text of all channels, no audio")
    name: Name = Field(max_length=80, description="what the link is for")
    session: str | None = Field(None, max_length=64, description="of a range")
    channels: Channels | None = Field(None, description="of a range: C01, or C01,C02; default: all channels")
    from_ms: Ms | None = Field(None, description="of a range")
    to_ms: Ms | None = Field(None, description="of a range; not included")
    audio: bool = Field(False, description="whether people with the link may listen")
    expires_in_s: int = Field(ge=EXPIRES_S_MIN, le=EXPIRES_S_MAX, description="the life of the link")


class SharesQuery(Query):
    limit: int = Field(100, ge=1, le=500)
    before: Whole | None = Field(None, description="`next_before` of the previous page")


class ShareEntry(Response):
    id: int
    kind: Literal["range", "wall"]
    name: str
    state: Literal["valid", "expired", "revoked"]
    session: str | None
    channels: list[str] | None = Field(description="null: all")
    from_ms: int | None
    to_ms: int | None
    has_audio: bool
    who: str = Field(description="name of the token that made it")
    made_wall: str
    expires_wall: str
    used_wall: str | None = Field(description="when it was opened last; null: never, or a wall")


class MadeShareResponse(ShareEntry):
    token: str = Field(description="of the link; it is shown only this once")
    path: str = Field(description="the link, after the address of the server")


class SharesResponse(Response):
    shares: list[ShareEntry] = Field(description="newest first")
    next_before: int | None


class SharesApi:
    def __init__(self, shares: Shares, store: Store) -> None:
        self._shares, self._store = shares, store

    @Route(
        "POST",
        "/api/shares",
        Role.OPERATOR,
        "Make a link to a range; a supervisor: to the wall",
        audit="shared",
        body=ShareWish,
        response=MadeShareResponse,
        errors=(404, 409, 422),
    )
    async def make(self, request: web.Request) -> web.Response:
        """The response is the only one with the token of the link: the server keeps its hash."""
        body = await read_body(request, ShareWish)
        wish = await self._wish(request, body)
        row, token = await self._shares.make(wish, _caller(request).name)
        request[DETAIL] = f"link {row.id} {row.kind} audio={row.has_audio} session={row.session or '-'}"
        path = f"/shared#{token}" if row.kind == "range" else f"/desk#wall={token}"
        return json_response({**_entry(row), "token": token, "path": path})

    @Route(
        "GET",
        "/api/shares",
        Role.OPERATOR,
        "The links, newest first; without their tokens",
        query=SharesQuery,
        response=SharesResponse,
    )
    async def list(self, request: web.Request) -> web.Response:
        query = read_query(request, SharesQuery)
        found = await self._shares.page(query.limit + 1, query.before)
        shown = found[: query.limit]
        next_before = shown[-1].id if len(found) > query.limit else None
        return json_response({"shares": [_entry(row) for row in shown], "next_before": next_before})

    @Route(
        "DELETE",
        "/api/shares/{share}",
        Role.OPERATOR,
        "Revoke a link; an operator only own links",
        audit="revoked link",
        response=ShareEntry,
        errors=(404, 409),
    )
    async def revoke(self, request: web.Request) -> web.Response:
        text = request.match_info["share"]
        if not (text.isascii() and text.isdigit()) or len(text) > 15:
            raise RequestError("unknown_link", f"there is no link {text[:20]!r}", 404)
        row = await self._shares.revoke(int(text), _caller(request))
        request[DETAIL] = f"link {row.id} {row.kind}"
        return json_response({**_entry(row), "state": "revoked"})

    async def _wish(self, request: web.Request, body: ShareWish) -> Wish:
        """Raises RequestError 403, 404 and 422."""
        if body.kind == "wall":
            request.app[GATE].check_role(request, Role.SUPERVISOR)
            if body.audio:
                raise RequestError("wall_without_audio", "a link to the wall has no audio", 422)
            return Wish("wall", body.name, body.expires_in_s)
        if body.session is None or body.from_ms is None or body.to_ms is None:
            message = "a link to a range needs `session`, `from_ms` and `to_ms`"
            raise RequestError("range_missing", message, 422)
        check_range(body.from_ms, body.to_ms)
        if not 0 < body.to_ms - body.from_ms <= RANGE_MS_MAX:
            message = f"the range of a link is longer than 0 and at most {RANGE_MS_MAX} ms (a day)"
            raise RequestError("bad_range", message, 422)
        session = storable(body.session)
        if await self._store.read(lambda c: records.session(c, session)) is None:
            raise RequestError("unknown_session", f"there is no session {session[:40]!r}", 404)
        for channel in sorted(body.channels or ()):
            known = partial(records.has_channel, session_id=session, channel=channel)
            if not await self._store.read(known):
                message = f"session {session[:40]} has no channel {channel}"
                raise RequestError("unknown_channel", message, 404)
        times = (body.from_ms, body.to_ms, body.audio)
        return Wish("range", body.name, body.expires_in_s, session, body.channels, *times)


def _caller(request: web.Request) -> Caller:
    caller: Caller = request.get(CALLER, ANYONE)
    return caller


def _entry(row: Row[Any]) -> dict[str, Any]:
    channels = channels_of(row)
    is_expired = row.expires_wall_ms <= time.time() * 1000
    state = "expired" if is_expired else "valid"
    return {
        "id": row.id,
        "kind": row.kind,
        "name": row.name,
        "state": state if row.revoked_wall_ms is None else "revoked",
        "session": row.session,
        "channels": None if channels is None else sorted(channels),
        "from_ms": row.from_ms,
        "to_ms": row.to_ms,
        "has_audio": bool(row.has_audio),
        "who": row.who,
        "made_wall": wall_of(row.made_wall_ms),
        "expires_wall": wall_of(row.expires_wall_ms),
        "used_wall": None if row.used_wall_ms is None else wall_of(row.used_wall_ms),
    }
