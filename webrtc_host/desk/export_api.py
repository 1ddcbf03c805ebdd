"""`GET /api/sessions/{session}/export.*`: a session, or a part of it, as a file.

The routes, the limit of exports in progress, and the sending; `transcript.export` makes the file.
Invariant: a file is sent while it is read. When reading fails, the response is cut off, so that it does not
look like a whole file.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from aiohttp import web
from pydantic import Field

from host_stt_common.places import NoPlace, Places
from webrtc_host.archive.archive import Archive
from webrtc_host.archive.playing import ROLL_SAMPLES, ogg_file
from webrtc_host.archive.segment_file import ChannelKey
from webrtc_host.desk.session_view import find_session, span_of
from webrtc_host.errors import Overloaded
from webrtc_host.http.audit import BROKEN_OFF, OUTCOME
from webrtc_host.http.auth import key_of
from webrtc_host.http.requests import RangeQuery, read_query
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route, route_of
from webrtc_host.seams import SAMPLES_PER_MS
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.transcript.export import Exporter, ExportRequest
from webrtc_host.transcript.export_formats import Clock, Format
from webrtc_host.transcript.store import Store

EXPORTS_MAX = 4
"""In progress at a time. Each reads pages of the record and, in a zip, ten minutes of audio at a time."""
RETRY_AFTER_S = 5.0

CONTENT_TYPES = {
    Format.TXT: "text/plain",
    Format.SRT: "application/x-subrip",
    Format.VTT: "text/vtt",
    Format.CSV: "text/csv",
    Format.JSONL: "application/jsonl",
}


EXPORT = "/api/sessions/{session}/export."


class ExportQuery(RangeQuery):
    clock: Clock = Field(Clock.SESSION, description="how times are written")


def _text_route(kind: Format) -> Route:
    return Route(
        "GET",
        f"{EXPORT}{kind}",
        Role.VIEWER,
        f"The text as {kind}",
        audit="exported",
        query=ExportQuery,
        content_type=CONTENT_TYPES[kind],
        errors=(404, 422, 503),
    )


class KeptAudio:
    """Implements `export.AudioReader` with the archive."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    async def ogg(self, session: str, channel: str, from_ms: int, to_ms: int) -> bytes | None:
        return await asyncio.to_thread(self._read, ChannelKey(session, channel), from_ms, to_ms)

    def _read(self, place: ChannelKey, from_ms: int, to_ms: int) -> bytes | None:
        from_sample, to_sample = from_ms * SAMPLES_PER_MS, to_ms * SAMPLES_PER_MS
        packets = self._archive.packets(place, max(0, from_sample - ROLL_SAMPLES), to_sample)
        if not any(packet.end_sample > from_sample for packet in packets):
            return None
        comments = {"TITLE": place.channel, "SESSION": place.session, "START_MS": str(from_ms)}
        return ogg_file(packets, from_sample, to_sample, comments)


class ExportApi:
    def __init__(self, registry: SessionRegistry, store: Store, archive: Archive | None) -> None:
        self._registry = registry
        self._store = store
        self._exporter = Exporter(store, KeptAudio(archive) if archive is not None else None)
        self._places = Places(EXPORTS_MAX)

    @_text_route(Format.TXT)
    @_text_route(Format.SRT)
    @_text_route(Format.VTT)
    @_text_route(Format.CSV)
    @_text_route(Format.JSONL)
    async def text(self, request: web.Request) -> web.StreamResponse:
        route = route_of(request)
        assert route is not None
        kind = Format(route.path.rpartition(".")[2])
        export = await self._export_request(request)
        return await self._send(request, self._exporter.text(export, kind), kind, CONTENT_TYPES[kind], export)

    @Route(
        "GET",
        f"{EXPORT}zip",
        Role.LISTENER,
        "The text in every format, the coverage and the audio, in a zip",
        audit="exported",
        query=ExportQuery,
        content_type="application/zip",
        errors=(404, 422, 503),
    )
    async def zip(self, request: web.Request) -> web.StreamResponse:
        export = await self._export_request(request)
        return await self._send(request, self._exporter.zip(export), "zip", "application/zip", export)

    async def _export_request(self, request: web.Request) -> ExportRequest:
        query = read_query(request, ExportQuery)
        found = await find_session(self._registry, self._store, request.match_info["session"])
        return ExportRequest(span_of(found.id, query), query.clock, found.t0_wall_ms, found.name)

    async def _send(
        self,
        request: web.Request,
        pieces: AsyncIterator[bytes],
        ending: str,
        content_type: str,
        export: ExportRequest,
    ) -> web.StreamResponse:
        with self._one_more(key_of(request)):
            response = web.StreamResponse()
            response.content_type = content_type
            if content_type.startswith("text/"):
                response.charset = "utf-8"
            response.headers["Cache-Control"] = "private, no-store"
            # The id and not the name, because the name of a session may need quoting.
            response.headers["Content-Disposition"] = f'attachment; filename="{export.span.session}.{ending}"'
            await response.prepare(request)
            try:
                if request.method != "HEAD":
                    async for piece in pieces:
                        if piece:
                            await response.write(piece)
                await response.write_eof()
            except ConnectionError:
                request[OUTCOME] = BROKEN_OFF  # the caller closed the connection
            return response

    @contextmanager
    def _one_more(self, caller: str) -> Iterator[None]:
        try:
            with self._places.take(caller):
                yield
        except NoPlace as error:
            message = f"{error.held} exports {error.who} are being made already; try again in a moment"
            raise Overloaded("export_busy", message, retry_after_s=RETRY_AFTER_S) from error
