"""`/api/shares`: make, list and revoke links. `/api/shared`: what the link of a range shows.

Only the routes; `services.shares` keeps the links. The token of a link is sent in the header Authorization,
and in an address only behind `#`, which browsers send to no server. Invariant: a link shows its own range and
nothing else, with audio only if its maker allowed that.
"""

from __future__ import annotations

import json
import re
import time
from functools import partial
from typing import Any, Literal

from aiohttp import web
from pydantic import Field
from sqlalchemy import Row

from host_stt_common.tokens import given_token
from webrtc_host.archive.segment_file import ChannelKey
from webrtc_host.desk.audio_api import LEAD_MS, AudioApi
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
from webrtc_host.http.routes import OPEN_TO_ALL, Route
from webrtc_host.http.server import json_response
from webrtc_host.services.shares import Shares, Wish
from webrtc_host.transcript import line_rows, records
from webrtc_host.transcript.records import Span
from webrtc_host.transcript.storable import storable
from webrtc_host.transcript.store import Store
from webrtc_host.transcript.timecode import timecode

EXPIRES_S_MIN, EXPIRES_S_MAX = 60, 90 * 86_400
RANGE_MS_MAX = 24 * 3_600_000
"""The longest range of a link."""
LINES_MAX = 5000
"""Lines that one link shows."""
SEGMENT = re.compile(r"g_[0-9]{1,15}")


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


class SharedAudioQuery(Query):
    segment: str | None = Field(None, max_length=20, description="one line; default: the whole range")
    channel: str | None = Field(None, max_length=8, description="of the whole range")


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


class SharedChannel(Response):
    channel: str
    label: str


class SharedLine(Response):
    segment: str
    channel: str
    start_ms: int
    end_ms: int
    start: str
    end: str
    text: str
    language: str | None
    is_corrected: bool
    is_redacted: bool
    is_not_said: bool = Field(description="a person marked it: nobody said this")


class SharedResponse(Response):
    name: str
    session_name: str
    t0_wall: str
    from_ms: int
    to_ms: int
    has_audio: bool
    expires_wall: str
    channels: list[SharedChannel]
    lines: list[SharedLine] = Field(description="in the order of their time")
    is_truncated: bool = Field(description="the range has more lines than a link shows")


class SharesApi:
    def __init__(self, shares: Shares, store: Store, audio: AudioApi) -> None:
        self._shares, self._store, self._audio = shares, store, audio

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

    @Route(
        "GET",
        "/api/shared",
        OPEN_TO_ALL,
        "The text of the range of a link; its token is the bearer token",
        audit="opened link",
        response=SharedResponse,
        errors=(401, 404, 410, 429),
    )
    async def shared(self, request: web.Request) -> web.Response:
        row = await self._open(request)
        session = await self._store.read(lambda c: records.session(c, row.session))
        known = await self._store.read(lambda c: records.channels_of(c, [row.session]))
        lines = await self._store.read(
            partial(records.line_page, span=_span(row), after=(-1, 0), limit=LINES_MAX + 1)
        )
        if session is None:
            raise RequestError("unknown_link", "the session of this link was removed", 410)
        channels = _channels(row)
        return json_response(
            {
                "name": row.name,
                "session_name": session.name,
                "t0_wall": wall_of(session.t0_wall_ms),
                "from_ms": row.from_ms,
                "to_ms": row.to_ms,
                "has_audio": bool(row.has_audio),
                "expires_wall": wall_of(row.expires_wall_ms),
                "channels": [
                    {"channel": one.channel, "label": one.label}
                    for one in known.get(row.session, ())
                    if channels is None or one.channel in channels
                ],
                "lines": [_line(line) for line in lines[:LINES_MAX] if line.text.strip()],
                "is_truncated": len(lines) > LINES_MAX,
            }
        )

    @Route(
        "GET",
        "/api/shared/audio",
        OPEN_TO_ALL,
        "The audio of a line or a channel of the range of a link",
        audit="listened",
        query=SharedAudioQuery,
        content_type="audio/ogg",
        errors=(401, 403, 404, 410, 413, 429, 503),
    )
    async def audio(self, request: web.Request) -> web.StreamResponse:
        query = read_query(request, SharedAudioQuery)
        row = await self._open(request)
        if not row.has_audio:
            raise RequestError("no_audio_right", "this link is for reading; it has no audio", 403)
        channel, from_ms, to_ms = await self._part(row, query)
        request[DETAIL] = f"link {row.id} session={row.session} {channel} {from_ms}-{to_ms}"
        place = ChannelKey(row.session, channel)
        return await self._audio.answer(request, place, from_ms, to_ms, f"{channel}_{from_ms}-{to_ms}")

    async def _part(self, row: Row[Any], query: SharedAudioQuery) -> tuple[str, int, int]:
        """(channel, from_ms, to_ms) inside the range of the link. Raises RequestError 404."""
        channels = _channels(row)
        if query.segment is None:
            channel = query.channel or ""
            if not channel or (channels is not None and channel not in channels):
                raise RequestError("unknown_channel", f"this link has no channel {channel[:8]!r}", 404)
            return channel, row.from_ms, row.to_ms
        line = None
        if SEGMENT.fullmatch(query.segment):
            known = partial(line_rows.line, session=row.session, segment=query.segment)
            line = await self._store.read(known)
        if line is None or not _is_inside(line, row, channels):
            raise RequestError("unknown_segment", f"this link has no line {query.segment[:20]!r}", 404)
        return (
            line.channel,
            max(row.from_ms, line.start_ms - LEAD_MS),
            min(row.to_ms, line.end_ms + LEAD_MS),
        )

    async def _open(self, request: web.Request) -> Row[Any]:
        """The link of the request, whose name is then the caller's. Wrong tokens are counted as guesses."""
        gate = request.app[GATE]
        gate.check_page(request)
        token, key, now_s = given_token(request.headers, {}), gate.caller_key(request), time.monotonic()
        if not token:
            message = "send the token of the link: `Authorization: Bearer TOKEN`"
            raise RequestError("token_missing", message, 401)
        gate.limits.check_guess(key, now_s)
        try:
            row = await self._shares.open(token)
        except RequestError as error:
            if error.status == 404:
                gate.limits.count_guess(key, now_s)
            raise
        request[CALLER] = Caller(f"link {row.id}: {row.name}", Role.VIEWER)
        return row

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
        times = (body.from_ms, body.to_ms, body.audio)
        return Wish("range", body.name, body.expires_in_s, session, body.channels, *times)


def _caller(request: web.Request) -> Caller:
    caller: Caller = request.get(CALLER, ANYONE)
    return caller


def _channels(row: Row[Any]) -> frozenset[str] | None:
    return None if row.channels is None else frozenset(json.loads(row.channels))


def _span(row: Row[Any]) -> Span:
    return Span(row.session, _channels(row), row.from_ms, row.to_ms)


def _is_inside(line: Row[Any], row: Row[Any], channels: frozenset[str] | None) -> bool:
    is_in_time = bool(line.end_ms > row.from_ms and line.start_ms < row.to_ms)
    return is_in_time and (channels is None or line.channel in channels)


def _entry(row: Row[Any]) -> dict[str, Any]:
    channels = _channels(row)
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


def _line(row: Row[Any]) -> dict[str, Any]:
    return {
        "segment": row.id,
        "channel": row.channel,
        "start_ms": row.start_ms,
        "end_ms": row.end_ms,
        "start": timecode(row.start_ms),
        "end": timecode(row.end_ms),
        "text": row.text,
        "language": row.language,
        "is_corrected": row.revision is not None,
        "is_redacted": row.redacted_seq is not None,
        "is_not_said": row.is_not_said,
    }
