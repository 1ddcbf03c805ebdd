"""All data that a client sent before it disconnected is read, also after a ping without a possible pong."""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import WSMsgType, web

from host_stt_common.rates import FRAMES_PER_TURN, FrameRates
from webrtc_host.doors.socket_messages import read_in_small_pieces, receive

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


async def test_audio_after_a_ping_is_read_when_the_client_has_disconnected() -> None:
    left, read = asyncio.Event(), []
    done = asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await left.wait()
        assert request.transport is not None
        request.transport.close()  # the state after the client's close
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
            pass  # one turn of the server's loop: the frames have been read
        left.set()
        await asyncio.wait_for(done.wait(), 10)
        writer.close()
    assert read == [b"ab", b"cd"]


SAMPLE = b"\x82\x82\0\0\0\0ab"
"""A frame of one sample."""


def unread(transport: asyncio.Transport | None) -> int:
    """The number of received bytes of this connection that the process has not read yet."""
    assert transport is not None
    answer = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.FIONREAD, bytes(4))
    return int(struct.unpack("i", answer)[0])


async def flooded(rates: FrameRates, frames: int, until: int) -> tuple[int, int]:
    """A client sends all its frames at once; the server reads `until` of them.

    Returns the bytes that were still unread in the system then, and how often other tasks ran meanwhile.
    """
    found: asyncio.Future[tuple[int, int]] = asyncio.get_running_loop().create_future()

    async def handle(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        read_in_small_pieces(request)
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        with rates.socket("client") as rate:
            await receive(socket, 5, rate, request.transport)
            other = asyncio.create_task(others())
            for _ in range(until - 1):
                await receive(socket, 5, rate, request.transport)
            other.cancel()
            found.set_result((unread(request.transport), turns))
        return socket

    async with serving(handle) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HANDSHAKE)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SAMPLE * frames)
        result = await asyncio.wait_for(found, 20)
        writer.close()
    return result


async def test_a_slowed_client_is_not_read() -> None:
    left, _ = await flooded(FrameRates(of_socket=200.0), frames=20_000, until=500)
    assert left > 2_000 * len(SAMPLE), "a client that is not slowed is read to its last frame"


async def test_other_tasks_run_after_a_few_frames() -> None:
    _, turns = await flooded(FrameRates(), frames=600, until=400)
    assert turns >= 400 // FRAMES_PER_TURN - 2


async def test_a_busy_event_loop_still_reads_several_frames_in_each_turn() -> None:
    _, turns = await flooded(FrameRates(), frames=600, until=400)
    assert turns <= 200
