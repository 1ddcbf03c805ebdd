"""Reads the messages of a client's WebSocket up to the last one, and no faster than its allowed rate."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import Protocol

from aiohttp import WSMessage, WSMsgType, web

from host_stt_common.rates import FRAMES_PER_S, FrameRate
from webrtc_host.doors.control import FLOOD
from webrtc_host.errors import RequestError

READ_BYTES = 4096
"""Bytes read from a client's socket at a time: 20 ms of 48 kHz stereo PCM, or 500 frames of one sample."""


def read_in_small_pieces(request: web.Request) -> None:
    """Let the connection of a WebSocket read 4 KiB at a time, instead of asyncio's 256 KiB.

    aiohttp parses everything that was read at once: 256 KiB of one-sample frames are 32,000 messages, and
    forty such sockets blocked the event loop for 8 s. TLS decrypts larger records, and is not changed.
    """
    transport = request.transport
    if transport is not None and hasattr(transport, "max_size"):
        transport.max_size = READ_BYTES  # an attribute of asyncio, changed on this transport only


class Receiving(Protocol):
    """A socket whose frames are read; `web.WebSocketResponse` is one."""

    def receive(self, timeout: float | None = None) -> Awaitable[WSMessage]: ...

    async def pong(self, message: bytes = b"") -> None: ...


async def receive(
    socket: Receiving,
    within_s: float,
    rate: FrameRate | None = None,
    transport: asyncio.Transport | None = None,
) -> WSMessage:
    """The next message that is not a ping. Frames that come too fast are read more slowly.

    transport: of the connection. While a client is slowed, nothing is read from its socket: otherwise aiohttp
    would parse until 128 KiB of payload wait, which is 65,000 frames of one sample per socket.
    A socket with a rate is made with `autoping=False`: pings cost as much as other frames, so they count too.
    Raises TimeoutError when none came in time, RequestError when they come too fast for too long.
    """
    while True:
        if rate is not None and rate.is_turn_over():
            # Without this, frames that already wait would all be taken in one turn of the event loop.
            await asyncio.sleep(0)
        try:
            message = await socket.receive(timeout=within_s)
        except ConnectionResetError:
            # aiohttp answered a ping of a client that has disconnected. The messages after the ping still
            # wait to be read, and then the end of the connection.
            continue
        if rate is not None:
            await _slow_down(rate, transport)
        if message.type is WSMsgType.PING:
            with contextlib.suppress(ConnectionError):  # as above: later messages still wait to be read
                await socket.pong(message.data)
        elif message.type is not WSMsgType.PONG:
            return message


async def _slow_down(rate: FrameRate, transport: asyncio.Transport | None) -> None:
    wait_s = rate.wait_s(asyncio.get_running_loop().time())
    if rate.is_flood:
        raise RequestError(FLOOD, f"more than {FRAMES_PER_S:g} frames a second for too long", 400)
    if wait_s <= 0:
        return
    if transport is None:
        await asyncio.sleep(wait_s)
        return
    transport.pause_reading()
    try:
        await asyncio.sleep(wait_s)
    finally:
        if not transport.is_closing():
            transport.resume_reading()
