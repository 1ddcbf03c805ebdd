"""The HTTP interface to what is known: sessions, their finals, health, readiness, metrics.

Owns routes and the JSON of their answers; every fact is another room's. The record on disk (exports, search,
audio) is not here yet: what these routes tell is what is held in memory.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from webrtc_host.desk.auth import open_to_all
from webrtc_host.desk.health import RETRY_AFTER_S, Readiness
from webrtc_host.desk.http import json_response
from webrtc_host.desk.metrics import Metrics
from webrtc_host.desk.watching import CHANNEL, log_of
from webrtc_host.errors import RequestError
from webrtc_host.sessions import Session, SessionRegistry
from webrtc_host.transcript.event_log import iso_ms

SEGMENTS_PER_PAGE = 1000
MS_MAX = 2**53


class SessionApi:
    """`/api/sessions`."""

    def __init__(self, registry: SessionRegistry) -> None:
        self._registry = registry

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/api/sessions", self.list)
        app.router.add_get("/api/sessions/{session}", self.show)
        app.router.add_post("/api/sessions/{session}/end", self.end)
        app.router.add_get("/api/sessions/{session}/segments", self.segments)

    async def list(self, request: web.Request) -> web.Response:
        return json_response({"sessions": [session_body(session) for session in self._registry]})

    async def show(self, request: web.Request) -> web.Response:
        return json_response(session_body(self._session(request)))

    async def end(self, request: web.Request) -> web.Response:
        session = self._session(request)
        final_seq = await self._registry.end(session)
        return json_response({"session": session.id, "final_seq": final_seq})

    async def segments(self, request: web.Request) -> web.Response:
        """Finals in order; `after` pages on from the `next_after` of the last answer."""
        session = self._session(request)
        channel = request.query.get("channel")
        if channel is not None and not CHANNEL.fullmatch(channel):
            raise RequestError("bad_channel", f"a channel is C01, C02, ..., not {channel[:20]!r}")
        found = log_of(session).segments(
            channel,
            from_ms=_integer(request, "from_ms") or 0,
            to_ms=_integer(request, "to_ms"),
            after=_integer(request, "after") or 0,
            limit=SEGMENTS_PER_PAGE,
        )
        next_after = found[-1].seq if len(found) == SEGMENTS_PER_PAGE else None
        # The events' own JSON is put together as it is: encoded once, also here.
        parts = (b'{"session":"%b","segments":[' % session.id.encode(), b",".join(e.data for e in found))
        tail = b'],"next_after":%b}' % (b"null" if next_after is None else b"%d" % next_after)
        response = web.Response(body=b"".join((*parts, tail)), content_type="application/json")
        response.headers["Cache-Control"] = "no-store"
        return response

    def _session(self, request: web.Request) -> Session:
        return self._registry.get(request.match_info["session"])


class StatusApi:
    """`/health`, `/ready`, `/metrics`."""

    def __init__(self, readiness: Readiness, metrics: Metrics, version: str) -> None:
        self._readiness = readiness
        self._metrics = metrics
        self._version = version

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/health", self.health)
        app.router.add_get("/ready", self.ready)
        app.router.add_get("/metrics", self.metrics)

    @open_to_all
    async def health(self, request: web.Request) -> web.Response:
        return json_response(
            {"status": "ok", "version": self._version, "uptime_s": self._readiness.uptime_s()}
        )

    @open_to_all
    async def ready(self, request: web.Request) -> web.Response:
        is_ready, body = self._readiness.answer()
        if is_ready:
            return json_response(body)
        return json_response(body, 503, {"Retry-After": str(RETRY_AFTER_S)})

    async def metrics(self, request: web.Request) -> web.Response:
        response = web.Response(body=self._metrics.exposition())
        response.headers["Content-Type"] = "text/plain; version=0.0.4; charset=utf-8"
        return response


def session_body(session: Session) -> dict[str, Any]:
    log = session.log
    return {
        "session": session.id,
        "name": session.name,
        "t0_wall": iso_ms(session.started_wall),
        "now_ms": session.now_ms(),
        "is_ended": session.is_ended,
        "head_seq": log.head_seq,
        "channels": [
            {
                "channel": channel.id,
                "label": channel.label,
                "language": channel.language,
                "state": channel.state.value if channel.state else None,
                "connection": channel.connection.id if channel.connection else None,
            }
            for _, channel in sorted(session.channels.items())
        ],
    }


def _integer(request: web.Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is None or text == "":
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 16 or int(text) > MS_MAX:
        raise RequestError("bad_number", f"{name} is a whole number from 0 up, not {text[:20]!r}")
    return int(text)
