"""The HTTP interface to the archive: the audio of a segment, a range of a channel, and a channel's hold.

The routes, the checks of the requests, and byte ranges. `archive` reads the audio; the record has the holds.
Responses are Ogg Opus with the packets as they arrived. Invariant: no file path contains text from a caller;
ids are only looked up.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from aiohttp import web
from pydantic import Field

from host_stt_common.channel_ids import is_channel_id
from host_stt_common.places import NoPlace, Places
from webrtc_host.archive.archive import Archive
from webrtc_host.archive.playing import ROLL_SAMPLES, ogg_file
from webrtc_host.archive.segment_file import ChannelKey
from webrtc_host.errors import Overloaded, RequestError
from webrtc_host.http.audit import BROKEN_OFF, OUTCOME
from webrtc_host.http.auth import key_of
from webrtc_host.http.requests import Body, Query, Whole, read_body, read_query
from webrtc_host.http.responses import HoldResponse
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import json_response
from webrtc_host.seams import SAMPLES_PER_MS
from webrtc_host.transcript.records import SegmentLocation

LEAD_MS = 300
"""Audio before the first word of a segment and after its last one; word times are off by up to 200 ms."""
LEAD_MS_MAX = 10_000
SEGMENT = re.compile(r"g_\d{1,18}")
READS_MAX = 8
"""Responses in progress at a time; each may hold an hour of audio, 15 MB."""
PIECE_BYTES = 64 * 1024
RETRY_AFTER_S = 2.0
BYTE_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")
CONTENT_TYPE = "audio/ogg"
CHANNEL = "/api/sessions/{session}/channels/{channel}"


class Records(Protocol):
    """The parts of the record that the audio routes use."""

    async def find_segment(self, segment: str) -> SegmentLocation | None:
        """Raises StoreError, as the other methods do."""
        ...

    async def has_channel(self, place: ChannelKey) -> bool | None:
        """None: there is no such session."""
        ...

    async def set_hold(self, place: ChannelKey, is_held: bool) -> None: ...


class SegmentQuery(Query):
    lead_ms: Whole = Field(LEAD_MS, le=LEAD_MS_MAX, description="audio before the first word")
    trail_ms: Whole = Field(LEAD_MS, le=LEAD_MS_MAX, description="audio after the last word")


class RangeQuery(Query):
    from_ms: Whole = Field(0, description="since the session's t = 0")
    to_ms: Whole | None = Field(None, description="not included; default: the end of the audio that is kept")


class Hold(Body):
    is_held: bool = Field(description="nothing of the channel's audio or text is removed")


class AudioApi:
    def __init__(self, archive: Archive | None, records: Records) -> None:
        """archive: None when the configuration keeps no audio."""
        self._archive = archive
        self._records = records
        self._places = Places(READS_MAX)

    @Route(
        "GET",
        "/api/segments/{segment}/audio",
        Role.LISTENER,
        "The audio of a final, as it arrived",
        audit="listened",
        query=SegmentQuery,
        content_type=CONTENT_TYPE,
        errors=(404, 503),
    )
    async def segment(self, request: web.Request) -> web.StreamResponse:
        query = read_query(request, SegmentQuery)
        segment = request.match_info["segment"]
        place = await self._records.find_segment(segment) if SEGMENT.fullmatch(segment) else None
        if place is None:
            raise RequestError("unknown_segment", f"there is no segment {segment[:40]!r}", 404)
        from_ms, to_ms = max(0, place.start_ms - query.lead_ms), place.end_ms + query.trail_ms
        return await self.answer(request, ChannelKey(place.session, place.channel), from_ms, to_ms, segment)

    @Route(
        "GET",
        f"{CHANNEL}/audio",
        Role.LISTENER,
        "The audio of a range of a channel, as it arrived",
        audit="listened",
        query=RangeQuery,
        content_type=CONTENT_TYPE,
        errors=(404, 413, 422, 503),
    )
    async def range(self, request: web.Request) -> web.StreamResponse:
        query = read_query(request, RangeQuery)
        place = await self._place(request)
        archive = self._kept()
        longest_ms = archive.config.range_s_max * 1000
        to_ms = query.to_ms
        if to_ms is None:
            end_ms = await asyncio.to_thread(archive.end_before, place, 1 << 60) // SAMPLES_PER_MS
            to_ms = max(query.from_ms + 1, min(end_ms, query.from_ms + longest_ms))
        if to_ms <= query.from_ms:
            message = f"to_ms is {to_ms}, from_ms {query.from_ms}; a range ends after it begins"
            raise RequestError("inverted_range", message, 422)
        name = f"{place.session}_{place.channel}_{query.from_ms}-{to_ms}"
        return await self.answer(request, place, query.from_ms, to_ms, name)

    @Route(
        "PUT",
        f"{CHANNEL}/hold",
        Role.SUPERVISOR,
        "Set or lift the hold of a channel",
        audit="held or freed",
        body=Hold,
        response=HoldResponse,
        errors=(404, 422),
    )
    async def hold(self, request: web.Request) -> web.Response:
        hold = await read_body(request, Hold)
        place = await self._place(request)
        await self._records.set_hold(place, hold.is_held)
        return json_response({"session": place.session, "channel": place.channel, "is_held": hold.is_held})

    async def _place(self, request: web.Request) -> ChannelKey:
        """Raises RequestError 404."""
        session, channel = request.match_info["session"], request.match_info["channel"]
        place = ChannelKey(session, channel)
        known = await self._records.has_channel(place) if is_channel_id(channel) else False
        if known is None:
            raise RequestError("unknown_session", f"there is no session {session[:40]!r}", 404)
        if not known:
            message = f"session {session[:40]} has no channel {channel[:20]!r}"
            raise RequestError("unknown_channel", message, 404)
        return place

    def _kept(self) -> Archive:
        if self._archive is None:
            raise RequestError("no_archive", "this server keeps no audio (archive.enabled is false)", 404)
        return self._archive

    async def answer(
        self, request: web.Request, place: ChannelKey, from_ms: int, to_ms: int, name: str
    ) -> web.StreamResponse:
        """The audio of a range that the caller may hear. Raises RequestError 404 and 413, Overloaded."""
        archive = self._kept()
        longest_ms = archive.config.range_s_max * 1000
        if to_ms - from_ms > longest_ms:
            message = (
                f"the range is {to_ms - from_ms} ms long, and one response holds {longest_ms} ms "
                "(archive.range_s_max); request it in parts"
            )
            raise RequestError("range_too_long", message, 413)
        # The place is held until the caller has taken the last byte: the rest of the audio is in memory.
        with self._one_more(key_of(request)):
            data = await asyncio.to_thread(_ogg_of, archive, place, from_ms, to_ms)
            if data is None:
                message = f"no audio of {place.channel} is kept from {from_ms} to {to_ms} ms"
                raise RequestError("no_audio", message, 404)
            return await _send(request, data, name)

    @contextmanager
    def _one_more(self, caller: str) -> Iterator[None]:
        try:
            with self._places.take(caller):
                yield
        except NoPlace as error:
            message = f"{error.held} responses with audio {error.who} are in progress; try again in a moment"
            raise Overloaded("audio_busy", message, retry_after_s=RETRY_AFTER_S) from error


def _ogg_of(archive: Archive, place: ChannelKey, from_ms: int, to_ms: int) -> bytes | None:
    """The range as a file. Blocking. None when none of its audio is kept."""
    from_sample, to_sample = from_ms * SAMPLES_PER_MS, to_ms * SAMPLES_PER_MS
    packets = archive.packets(place, max(0, from_sample - ROLL_SAMPLES), to_sample)
    if not any(packet.end_sample > from_sample for packet in packets):
        return None
    comments = {"TITLE": place.channel, "SESSION": place.session, "START_MS": str(from_ms)}
    return ogg_file(packets, from_sample, to_sample, comments)


async def _send(request: web.Request, data: bytes, name: str) -> web.StreamResponse:
    """Send all of it, or the one byte range of the request, in pieces, as fast as the caller takes them."""
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-store",
        "Content-Disposition": f'inline; filename="{name}.opus"',
        "Content-Type": CONTENT_TYPE,
    }
    wanted = BYTE_RANGE.fullmatch(request.headers.get("Range", ""))
    if wanted is None or not any(wanted.groups()):
        return await _send_pieces(request, memoryview(data), 200, headers)
    first, last = wanted.groups()
    start = int(first) if first else max(0, len(data) - int(last))
    end = min(int(last) + 1, len(data)) if first and last else len(data)
    if start >= end:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
    return await _send_pieces(request, memoryview(data)[start:end], 206, headers)


async def _send_pieces(
    request: web.Request, data: memoryview, status: int, headers: dict[str, str]
) -> web.StreamResponse:
    """OUTCOME notes a caller that leaves. `connections` closes the connection of one that takes nothing."""
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = len(data)
    try:
        await response.prepare(request)
        if request.method != "HEAD":
            for start in range(0, len(data), PIECE_BYTES):
                await response.write(bytes(data[start : start + PIECE_BYTES]))
        await response.write_eof()
    except ConnectionError:
        request[OUTCOME] = BROKEN_OFF
    return response
