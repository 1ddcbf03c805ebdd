"""The HTTP interface to kept sound: a segment's words again, any range of a channel, and holds on both.

Owns routes, the checks of what is asked, and byte ranges; what is kept is the archive's, what is held the
record's. Answers are Ogg Opus with the packets as they came. Invariant: no path comes from a caller; ids are
looked up, never joined.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from webrtc_host.desk.watching import CHANNEL
from webrtc_host.errors import Overloaded, RequestError
from webrtc_host.seams import SAMPLES_PER_MS
from webrtc_host.sessions import Session, SessionRegistry
from webrtc_host.transcript.archive import Archive
from webrtc_host.transcript.archive_writer import Place
from webrtc_host.transcript.playing import ROLL_SAMPLES, ogg_file

LEAD_MS = 300
"""Heard before the first word of a segment; engines' word times are off by up to 200 ms."""
TRAIL_MS = 300
LEAD_MS_MAX = 10_000
MS_MAX = 2**53
SEGMENT = re.compile(r"g_\d{1,18}")
READS_MAX = 8
"""Answers made at one time; each may hold an hour of sound."""
RETRY_AFTER_S = 2.0
BYTE_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")


@dataclass(frozen=True, slots=True)
class SegmentPlace:
    """Where a final lies."""

    session: str
    channel: str
    start_ms: int
    end_ms: int


FindSegment = Callable[[str], Awaitable[SegmentPlace | None]]


class AudioApi:
    def __init__(self, registry: SessionRegistry, archive: Archive | None, find_segment: FindSegment) -> None:
        """archive: None when the configuration keeps no sound."""
        self._registry = registry
        self._archive = archive
        self._find_segment = find_segment
        self._reading = 0

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/api/segments/{segment}/audio", self.segment)
        app.router.add_get("/api/sessions/{session}/channels/{channel}/audio", self.range)

    async def segment(self, request: web.Request) -> web.StreamResponse:
        """The words of one final, with a little before and after; `lead_ms` and `trail_ms` change how
        much.
        """
        segment = request.match_info["segment"]
        lead_ms = _integer(request, "lead_ms", LEAD_MS, LEAD_MS_MAX)
        trail_ms = _integer(request, "trail_ms", TRAIL_MS, LEAD_MS_MAX)
        place = await self._find_segment(segment) if SEGMENT.fullmatch(segment) else None
        if place is None:
            raise RequestError("unknown_segment", f"there is no segment {segment[:40]!r}", 404)
        from_ms, to_ms = max(0, place.start_ms - lead_ms), place.end_ms + trail_ms
        return await self._answer(request, Place(place.session, place.channel), from_ms, to_ms, segment)

    async def range(self, request: web.Request) -> web.StreamResponse:
        session = self._registry.get(request.match_info["session"])
        channel = request.match_info["channel"]
        if not CHANNEL.fullmatch(channel):
            raise RequestError("bad_channel", f"a channel is C01, C02, ..., not {channel[:20]!r}", 404)
        if channel not in session.channels:
            raise RequestError("unknown_channel", f"session {session.id} has no channel {channel}", 404)
        from_ms, to_ms = self._range_of(request, session)
        name = f"{session.id}_{channel}_{from_ms}-{to_ms}"
        return await self._answer(request, Place(session.id, channel), from_ms, to_ms, name)

    def _range_of(self, request: web.Request, session: Session) -> tuple[int, int]:
        from_ms = _integer(request, "from_ms", 0, MS_MAX)
        longest_ms = 1000 * (self._archive.config.range_s_max if self._archive else 1)
        until_now = min(session.now_ms(), from_ms + longest_ms)
        to_ms = _integer(request, "to_ms", max(until_now, from_ms), MS_MAX)
        if to_ms <= from_ms:
            message = f"to_ms ({to_ms}) lies at or before from_ms ({from_ms}); a range goes forward"
            raise RequestError("bad_range", message, 400)
        if to_ms - from_ms > longest_ms:
            message = (
                f"{to_ms - from_ms} ms are asked for; one answer holds {longest_ms} ms "
                "(archive.range_s_max), ask in parts"
            )
            raise RequestError("range_too_long", message, 413)
        return from_ms, to_ms

    async def _answer(
        self, request: web.Request, place: Place, from_ms: int, to_ms: int, name: str
    ) -> web.StreamResponse:
        archive = self._archive
        if archive is None:
            raise RequestError("no_archive", "this server keeps no sound (archive.enabled is false)", 404)
        if self._reading >= READS_MAX:
            message = f"{READS_MAX} answers with sound are being made already"
            raise Overloaded("audio_busy", message, retry_after_s=RETRY_AFTER_S)
        self._reading += 1
        try:
            data = await asyncio.to_thread(_ogg_of, archive, place, from_ms, to_ms)
        finally:
            self._reading -= 1
        if data is None:
            message = f"no sound of {place.channel} is kept from {from_ms} to {to_ms} ms"
            raise RequestError("no_audio", message, 404)
        return _response(request, data, name)


def _ogg_of(archive: Archive, place: Place, from_ms: int, to_ms: int) -> bytes | None:
    """Blocking. None when nothing of the range is kept."""
    from_sample, to_sample = from_ms * SAMPLES_PER_MS, to_ms * SAMPLES_PER_MS
    packets = archive.packets(place, max(0, from_sample - ROLL_SAMPLES), to_sample)
    if not any(packet.end_sample > from_sample for packet in packets):
        return None
    comments = {"TITLE": place.channel, "SESSION": place.session, "START_MS": str(from_ms)}
    return ogg_file(packets, from_sample, to_sample, comments)


def _response(request: web.Request, data: bytes, name: str) -> web.Response:
    """All of it, or the one byte range that a player asked for."""
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-store",
        "Content-Disposition": f'inline; filename="{name}.opus"',
        "Content-Type": "audio/ogg; codecs=opus",
    }
    wanted = BYTE_RANGE.fullmatch(request.headers.get("Range", ""))
    if wanted is None or not any(wanted.groups()):
        return web.Response(body=data, headers=headers)
    first, last = wanted.groups()
    start = int(first) if first else max(0, len(data) - int(last))
    end = min(int(last) + 1, len(data)) if first and last else len(data)
    if start >= end:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
    return web.Response(status=206, body=data[start:end], headers=headers)


def _integer(request: web.Request, name: str, default: int, largest: int) -> int:
    text = request.query.get(name, "")
    if text == "":
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > 16 or int(text) > largest:
        raise RequestError("bad_number", f"{name} is a whole number from 0 to {largest}, not {text[:20]!r}")
    return int(text)
