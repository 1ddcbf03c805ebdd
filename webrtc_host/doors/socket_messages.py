"""Reading a client's WebSocket to the last message: no faster than its rate, and also when it has left."""

from __future__ import annotations

import asyncio
import contextlib

from aiohttp import WSMessage, WSMsgType, web

from host_stt_common.rates import FRAMES_PER_S, FrameRate
from webrtc_host.doors.control import FLOOD
from webrtc_host.errors import RequestError

READ_BYTES = 4096
"""Read from a client's socket at a time: 20 ms of 48 kHz stereo PCM, or 500 frames of one sample."""


def read_in_small_pieces(request: web.Request) -> None:
    """Let the connection of a WebSocket hand over 4 KiB at a time, where asyncio takes 256 KiB.

    aiohttp parses at once all that was read: 256 KiB of one-sample frames are 32,000 messages, and forty
    sockets of them kept the event loop for 8 s. TLS decrypts larger records at a time and is left as it is.
    """
    transport = request.transport
    if transport is not None and hasattr(transport, "max_size"):
        transport.max_size = READ_BYTES  # asyncio's own attribute, on this transport alone


async def receive(
    socket: web.WebSocketResponse,
    within_s: float,
    rate: FrameRate | None = None,
    transport: asyncio.Transport | None = None,
) -> WSMessage:
    """The next message that is no ping; frames that come too fast are read more slowly.

    transport: of the connection. While a caller is slowed, nothing is read from it: aiohttp alone would go on
    parsing until 128 KiB of payload wait, 65,000 frames of one sample for each socket.
    A socket with a rate is made with `autoping=False`: pings cost as much as other frames, so they count as
    well. Raises TimeoutError when none came within the time, RequestError when they come too fast for long.
    """
    while True:
        if rate is not None:
            # Frames that wait already would all be taken in one turn of the event loop, from every socket.
            await asyncio.sleep(0)
        try:
            message = await socket.receive(timeout=within_s)
        except ConnectionResetError:
            # aiohttp answered a ping of a client that has left. What it sent after its ping still waits to be
            # read, and the end of the connection after that.
            continue
        if rate is not None:
            await _slow_down(rate, transport)
        if message.type is WSMsgType.PING:
            with contextlib.suppress(ConnectionError):  # as above: the rest is still to be read
                await socket.pong(message.data)
        elif message.type is not WSMsgType.PONG:
            return message


async def _slow_down(rate: FrameRate, transport: asyncio.Transport | None) -> None:
    wait_s = rate.wait_s(asyncio.get_running_loop().time())
    if rate.is_flood:
        raise RequestError(FLOOD, f"more than {FRAMES_PER_S:g} frames a second, and no end of them", 400)
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
