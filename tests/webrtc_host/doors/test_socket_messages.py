"""What a client sent before it left is read, also behind a ping that can no longer be answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import WSMsgType, web

from webrtc_host.doors.socket_messages import receive

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
PING, BINARY = b"\x89\x80\0\0\0\0", b"\x82\x82\0\0\0\0"


@asynccontextmanager
async def serving(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[int]:
    app = web.Application()
    app.router.add_get("/", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def test_audio_behind_a_ping_is_read_when_the_client_has_left() -> None:
    left, read = asyncio.Event(), []
    done = asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await left.wait()
        assert request.transport is not None
        request.transport.close()  # as it is once the client's end has come
        while (message := await receive(socket, 5)).type is WSMsgType.BINARY:
            read.append(message.data)
        done.set()
        return socket

    async with serving(handle) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HANDSHAKE)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(PING + BINARY + b"ab" + PING + BINARY + b"cd")
        await writer.drain()
        await asyncio.sleep(0)
        async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}/none"):
            pass  # a turn of the server's loop: the frames have been taken
        left.set()
        await asyncio.wait_for(done.wait(), 10)
        writer.close()
    assert read == [b"ab", b"cd"]
