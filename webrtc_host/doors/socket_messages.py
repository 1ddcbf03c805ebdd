"""Reading a client's WebSocket to the last message: no faster than its rate, and also when it has left."""

from __future__ import annotations

import asyncio
import contextlib

from aiohttp import WSMessage, WSMsgType, web

from host_stt_common.rates import FRAMES_PER_S, FrameRate
from webrtc_host.doors.control import FLOOD
from webrtc_host.errors import RequestError


async def receive(socket: web.WebSocketResponse, within_s: float, rate: FrameRate | None = None) -> WSMessage:
    """The next message that is no ping; frames that come too fast are read more slowly.

    A socket with a rate is made with `autoping=False`: pings cost as much as other frames, so they count as
    well. Raises TimeoutError when none came within the time, RequestError when they come too fast for long.
    """
    while True:
        try:
            message = await socket.receive(timeout=within_s)
        except ConnectionResetError:
            # aiohttp answered a ping of a client that has left. What it sent after its ping still waits to be
            # read, and the end of the connection after that.
            continue
        if rate is not None:
            await _slow_down(rate)
        if message.type is WSMsgType.PING:
            with contextlib.suppress(ConnectionError):  # as above: the rest is still to be read
                await socket.pong(message.data)
        elif message.type is not WSMsgType.PONG:
            return message


async def _slow_down(rate: FrameRate) -> None:
    wait_s = rate.wait_s(asyncio.get_running_loop().time())
    if rate.is_flood:
        raise RequestError(FLOOD, f"more than {FRAMES_PER_S:g} frames a second, and no end of them", 400)
    if wait_s > 0:
        await asyncio.sleep(wait_s)
