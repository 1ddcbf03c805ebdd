"""`GET /ws`: a session's events over a WebSocket.

Owns the socket's life: the upgrade, pings, close codes. A refusal is a close code after the upgrade, since a
browser shows a page nothing else; only a foreign origin is refused before it, with 403. What a watcher sends
is ignored.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from aiohttp import WSMsgType, web

from webrtc_host.desk.auth import checks_token_itself
from webrtc_host.desk.http import GATE
from webrtc_host.desk.subscribers import Watcher
from webrtc_host.desk.watching import (
    CLOSE_OF_END,
    REASON_OF_END,
    Watching,
    Wish,
    close_code,
    close_reason,
    pump,
)
from webrtc_host.errors import RequestError
from webrtc_host.transcript.event_log import Event

logger = logging.getLogger(__name__)

PING_S = 20.0
CLOSE_TIMEOUT_S = 2.0
"""A peer that does not read cannot be told why; after this long its connection is cut."""
WRITER_LIMIT_BYTES = 16 * 1024
"""Bytes written before `send` waits for a slow peer; the transport holds another 64 KiB."""
MESSAGE_BYTES_MAX = 4096
"""A watcher has nothing to say."""


class WatchSocket:
    """The route's handler."""

    def __init__(self, watching: Watching, *, ping_s: float = PING_S) -> None:
        self._watching = watching
        self._ping_s = ping_s

    @checks_token_itself
    async def handle(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(
            timeout=CLOSE_TIMEOUT_S,
            heartbeat=self._ping_s,
            compress=False,
            max_msg_size=MESSAGE_BYTES_MAX,
            writer_limit=WRITER_LIMIT_BYTES,
        )
        await socket.prepare(request)
        try:
            request.app[GATE].check_token(request)
            watcher = self._watching.join(Wish.from_query(request.query))
        except RequestError as error:
            await _close(request, socket, close_code(error), error.message)
            return socket
        try:
            await _serve(request, socket, watcher)
        finally:
            self._watching.subscribers.leave(watcher)
        return socket


async def _serve(request: web.Request, socket: web.WebSocketResponse, watcher: Watcher) -> None:
    """Until the watcher ends or its peer leaves: the reader sees it leave, the writer sends and closes."""
    writer = asyncio.create_task(_write(request, socket, watcher), name="watch socket writer")
    try:
        async for _ in socket:
            pass
    finally:
        writer.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionResetError):
            await writer


async def _write(request: web.Request, socket: web.WebSocketResponse, watcher: Watcher) -> None:
    async def send(event: Event) -> None:
        await socket.send_frame(event.data, WSMsgType.TEXT)

    end = await pump(watcher, send)
    await _close(request, socket, CLOSE_OF_END[end], REASON_OF_END[end])


async def _close(request: web.Request, socket: web.WebSocketResponse, code: int, reason: str) -> None:
    """Say why and close; cut the connection of a peer that does not listen."""
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await socket.close(code=code, message=close_reason(reason))
    except (TimeoutError, ConnectionResetError):
        if request.transport is not None:
            request.transport.abort()
