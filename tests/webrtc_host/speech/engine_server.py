"""A small 8081 for tests: `GET /ready`, and `GET /v1/windows` over a real socket, answered by an engine or by
a rule of the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import WSMsgType, web

from host_stt.contract import Answer, Window, decode_window, encode_answer

Reply = Callable[[Window], Answer | None]
"""None: never answer."""


READY = {"state": "ready", "model": "test", "is_starter": False}


class EngineServer:
    """Start it, kill it (connections drop without a word), start it again on the same port."""

    def __init__(self, reply: Reply, token: str = "", ready: Mapping[str, Any] | None = READY) -> None:
        """ready: the body of `/ready`; None: there is no such page."""
        self.reply = reply
        self.ready = ready
        self.token = token
        self.windows: list[Window] = []
        self.port = 0
        self.received = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._sockets: set[web.WebSocketResponse] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/v1/windows", self._serve)
        if self.ready is not None:
            app.router.add_get("/ready", self._ready)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _ready(self, request: web.Request) -> web.Response:
        return web.json_response(self.ready)

    async def kill(self) -> None:
        for socket in list(self._sockets):
            transport = socket._req.transport if socket._req is not None else None
            if transport is not None:
                transport.abort()
        if self._runner is not None:
            await self._runner.cleanup()
        self._runner = None

    async def until(self, count: int) -> None:
        """Until `count` windows were received in all."""
        async with asyncio.timeout(20):
            while len(self.windows) < count:
                self.received.clear()
                await self.received.wait()

    async def answer(self, answer: Answer) -> None:
        for socket in self._sockets:
            await socket.send_str(encode_answer(answer))

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.Response(status=401)
        socket = web.WebSocketResponse(max_msg_size=16 * 1024 * 1024)
        await socket.prepare(request)
        self._sockets.add(socket)
        try:
            async for message in socket:
                if message.type is WSMsgType.BINARY:
                    await self._window(socket, decode_window(message.data))
        finally:
            self._sockets.discard(socket)
        return socket

    async def _window(self, socket: web.WebSocketResponse, window: Window) -> None:
        self.windows.append(window)
        self.received.set()
        answer = self.reply(window)
        if answer is not None:
            await socket.send_str(encode_answer(answer))


@asynccontextmanager
async def engine_server(reply: Reply, token: str = "") -> AsyncIterator[EngineServer]:
    server = EngineServer(reply, token)
    await server.start()
    try:
        yield server
    finally:
        await server.kill()
