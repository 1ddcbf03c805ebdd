"""A stand-in for 8082 for tests of the pages alone: an offer gets a real aiortc peer, events are the test's.

Used where the real server cannot be brought into the state under test (a blocked path, a chosen interim, a
break at a chosen moment). Words in the end-to-end tests come from the real processes, never from here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from aiohttp import web
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaBlackhole

from tests.support.polling import until
from webrtc_host.http.pages import add_pages
from webrtc_host.http.routes import needs_token

DEMO = Path(__file__).resolve().parents[2] / "demo"
READY: dict[str, Any] = {
    "ready": True,
    "status": "ready",
    "engine": {"is_reachable": True, "is_ready": True, "is_starter": False},
}
STARTER: dict[str, Any] = {
    **READY,
    "engine": {**READY["engine"], "is_starter": True, "model_reason": "the model hub cannot be reached"},
}
WALL = "2026-11-21T06:10:01.234Z"


class StubServer:
    def __init__(self) -> None:
        self.ready: dict[str, Any] = READY
        self.ready_status = 200
        self.token = ""
        self.refusal: tuple[int, str, dict[str, str]] | None = None
        self.is_reachable_by_media = True
        self.has_sockets = True
        self.swallows = ""  # requests to this path are never answered
        self.swallowed = self.unheard_max = 0  # how many of them wait, and waited at most
        self.ice_servers: list[dict[str, Any]] = []
        self.session = "s_stub"
        self.offers: list[dict[str, Any]] = []
        self.deleted: list[str] = []
        self.last_words: list[dict[str, Any]] = []
        self.glossary: dict[str, Any] = {
            "version": 1,
            "terms": [{"canonical": "Alpha-1", "channels": ["C01"]}],
            "glossary_version": 1,
        }
        self.events: list[dict[str, Any]] = []
        self.since_asked: list[int] = []
        self.resumed_since: int | None = None
        self.url = ""
        self.port = 0
        self._watchers: set[asyncio.Queue[dict[str, Any]]] = set()
        self._sockets: set[web.WebSocketResponse] = set()
        self._data: list[Any] = []
        self._peers: list[RTCPeerConnection] = []
        self._runner: web.AppRunner | None = None

    async def start(self, port: int = 0) -> None:
        app = web.Application(middlewares=[self._check_token])
        app.router.add_get("/ready", self._ready)
        app.router.add_get("/health", self._health)
        app.router.add_post("/offer", self._offer)
        app.router.add_delete("/offer/{connection}", self._delete)
        app.router.add_get("/api/ice", self._ice)
        app.router.add_get("/api/glossary", self._get_glossary)
        app.router.add_get("/api/glossary/terms", self._get_terms)
        app.router.add_get("/api/alerts", self._get_alerts)
        app.router.add_put("/api/glossary", self._put_glossary)
        app.router.add_get("/ws", self._ws)
        app.router.add_get("/events", self._sse)
        add_pages(app)
        self._runner = web.AppRunner(app, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}"

    async def stop(self) -> None:
        for peer in self._peers:
            await peer.close()
        self._peers.clear()
        for socket in list(self._sockets):
            await socket.close(code=1001)
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[StubServer]:
        await self.start()
        try:
            yield self
        finally:
            await self.stop()

    # --- what the test says -----------------------------------------------------------------------

    def say(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Send an event on every open data channel and to every watcher; stored ones get the next seq."""
        event: dict[str, Any] = {"v": 1, "session": self.session, "type": kind, "wall": WALL, **fields}
        if kind not in ("segment.interim", "error"):
            event = {**event, "seq": len(self.events) + 1}
            self.events.append(event)
        for channel in self._data:
            if channel.readyState == "open":
                channel.send(json.dumps(event))
        for queue in self._watchers:
            queue.put_nowait(event)
        return event

    def final(self, text: str, start_ms: int, end_ms: int, **fields: Any) -> dict[str, Any]:
        """A final, by default of an utterance of its own."""
        number = len(self.events)
        named = {"channel": "C01", "utterance": f"u_{number}", "segment": f"g_{number}", **fields}
        times = {"start_ms": start_ms, "end_ms": end_ms, "latency_ms": 800}
        return self.say("segment.final", **{**times, "text": text, "raw": text, "language": "en", **named})

    async def drop_watchers(self) -> None:
        for socket in list(self._sockets):
            await socket.close(code=1001)

    async def drop_peers(self) -> None:
        for peer in self._peers:
            await peer.close()
        self._data.clear()

    def forget_data_channels(self, only_closed: bool = False) -> None:
        """Keep the peers, but say nothing more on their data channels."""
        self._data = [one for one in self._data if only_closed and one.readyState != "closed"]

    async def data_channel_opened(self) -> None:
        await until(lambda: any(channel.readyState == "open" for channel in self._data))

    # --- the wire ---------------------------------------------------------------------------------

    @web.middleware
    async def _check_token(self, request: web.Request, handler: Any) -> web.StreamResponse:
        is_open = request.path == "/ready" or not needs_token(request)
        given = request.headers.get("Authorization", "") == f"Bearer {self.token}" or (
            request.query.get("token") == self.token
        )
        if self.token and not is_open and not given:
            return _error(401, "bad_token", "the token is missing or wrong")
        response: web.StreamResponse = await handler(request)
        return response

    async def _ready(self, request: web.Request) -> web.Response:
        return web.json_response(self.ready, status=self.ready_status)

    async def _health(self, request: web.Request) -> web.Response:
        await self._maybe_swallow(request)
        return web.json_response({})

    async def _maybe_swallow(self, request: web.Request) -> None:
        """As a network that is away does with requests: they wait until their sender gives up."""
        if request.path == self.swallows:
            self.swallowed += 1
            self.unheard_max = max(self.unheard_max, self.swallowed)
            while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            self.swallowed -= 1

    async def _ice(self, request: web.Request) -> web.Response:
        return web.json_response({"ice_servers": self.ice_servers})

    async def _offer(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.offers.append(body)
        await self._maybe_swallow(request)
        if self.refusal is not None:
            status, message, headers = self.refusal
            return _error(status, "refused", message, headers)
        if body.get("session", self.session) != self.session:
            return _error(404, "unknown_session", f"there is no session {body['session']}")
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._peers.append(peer)
        peer.on("datachannel", self._take_data_channel)
        sink = MediaBlackhole()
        peer.on("track", sink.addTrack)
        await peer.setRemoteDescription(RTCSessionDescription(body["sdp"], "offer"))
        await peer.setLocalDescription(await peer.createAnswer())
        await sink.start()
        sdp = peer.localDescription.sdp
        if not self.is_reachable_by_media:
            sdp = re.sub(r"a=candidate:.*\r\n", "", sdp)
            await peer.close()
        answer = {
            "sdp": sdp,
            "type": "answer",
            "session": self.session,
            "connection": f"c_{len(self.offers)}",
            "channels": [{"mid": "0", "channel": "C01"}],
            "resume": "r_1",
            "resumed": body.get("resume") == "r_1",
        }
        return web.json_response(answer)

    def _take_data_channel(self, channel: Any) -> None:
        self._data.append(channel)

        def take(message: str) -> None:
            body = json.loads(message)
            if body.get("type") == "resume":
                self.resumed_since = body["since"]

        channel.on("message", take)

    async def _delete(self, request: web.Request) -> web.Response:
        self.deleted.append(request.match_info["connection"])
        for words in self.last_words:
            self.final(**words)
        return web.json_response({"final_seq": len(self.events)})

    async def _get_glossary(self, request: web.Request) -> web.Response:
        return web.json_response(self.glossary)

    async def _get_alerts(self, request: web.Request) -> web.Response:
        return web.json_response({"alerts": [], "next_before": None})

    async def _get_terms(self, request: web.Request) -> web.Response:
        version = self.glossary["glossary_version"]
        terms = [{"display": {}, "alert": None, **term} for term in self.glossary["terms"]]
        return web.json_response({"terms": terms, "glossary_version": version})

    async def _put_glossary(self, request: web.Request) -> web.Response:
        version = self.glossary["glossary_version"] + 1
        if request.headers.get("If-Match") not in (None, f'"{version - 1}"'):
            return _error(412, "glossary_changed", "the glossary was changed by another person")
        self.glossary = {**await request.json(), "glossary_version": version}
        return web.json_response({"terms": self.glossary["terms"], "glossary_version": version})

    async def _ws(self, request: web.Request) -> web.StreamResponse:
        if not self.has_sockets:
            return _error(400, "no_upgrade", "a proxy took the upgrade away")
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        if request.query.get("session", self.session) != self.session:
            await socket.close(code=4404)
            return socket
        self._sockets.add(socket)
        sender = asyncio.create_task(self._pump(int(request.query.get("since", 0)), socket.send_json))
        try:
            async for _ in socket:
                pass
        finally:
            self._sockets.discard(socket)
            sender.cancel()
        return socket

    async def _sse(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        await response.prepare(request)

        async def send(event: dict[str, Any]) -> None:
            await response.write(b"data: %b\n\n" % json.dumps(event).encode())

        with contextlib.suppress(ConnectionResetError):
            await self._pump(int(request.query.get("since", 0)), send)
        return response

    async def _pump(self, since: int, send: Any) -> None:
        self.since_asked.append(since)
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        for event in self.events:
            if event["seq"] > since:
                queue.put_nowait(event)
        self._watchers.add(queue)
        try:
            while True:
                await send(await queue.get())
        finally:
            self._watchers.discard(queue)


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message}}, status=status, headers=headers)
