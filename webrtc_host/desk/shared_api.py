"""`/api/shared`: what people with the link of a range see and hear. `shares_api` makes the links.

The token of the link is sent in the header Authorization. Invariant: a link shows its own range and nothing
else, with audio only if its maker allowed that.
"""

from __future__ import annotations

import re
import time
from functools import partial
from typing import Any

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
from webrtc_host.http.requests import Query, read_query
from webrtc_host.http.responses import Response
from webrtc_host.http.roles import CALLER, Caller, Role
from webrtc_host.http.routes import OPEN_TO_ALL, Route
from webrtc_host.http.server import json_response
from webrtc_host.services.shares import Shares, channels_of
from webrtc_host.transcript import line_rows, records
from webrtc_host.transcript.records import Span
from webrtc_host.transcript.store import Store
from webrtc_host.transcript.timecode import timecode

LINES_MAX = 5000
"""Lines that one link shows."""
SEGMENT = re.compile(r"g_[0-9]{1,15}")


class SharedAudioQuery(Query):
    segment: str | None = Field(None, max_length=20, description="one line; default: the whole range")
    channel: str | None = Field(None, max_length=8, description="of the whole range")


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
    is_not_said: bool = Field(description="a person has marked the line as not said")


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


class SharedApi:
    def __init__(self, shares: Shares, store: Store, audio: AudioApi) -> None:
        self._shares, self._store, self._audio = shares, store, audio

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
        channels = channels_of(row)
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
        channels = channels_of(row)
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


def _span(row: Row[Any]) -> Span:
    return Span(row.session, channels_of(row), row.from_ms, row.to_ms)


def _is_inside(line: Row[Any], row: Row[Any], channels: frozenset[str] | None) -> bool:
    is_in_time = bool(line.end_ms > row.from_ms and line.start_ms < row.to_ms)
    return is_in_time and (channels is None or line.channel in channels)


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
