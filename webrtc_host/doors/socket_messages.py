"""Reading a client's WebSocket to the last message, also when the client is gone already."""

from __future__ import annotations

from aiohttp import WSMessage, web


async def receive(socket: web.WebSocketResponse, within_s: float) -> WSMessage:
    """The next message. Raises TimeoutError when none came within the time.

    aiohttp answers pings here, and raises when the client has left before the answer. What the client sent
    after its ping still waits to be read, and the end of the connection after that.
    """
    while True:
        try:
            return await socket.receive(timeout=within_s)
        except ConnectionResetError:
            continue
