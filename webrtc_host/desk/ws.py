"""`GET /ws`: a session's events over a WebSocket.

It upgrades the connection, answers pings and sends close codes. A refusal is a close code after the upgrade,
because a browser shows nothing else to a page; only a foreign origin is refused before it, with 403. Messages
of a watcher are ignored.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import replace

from aiohttp import WSMsgType, web

from host_stt_common.rates import MESSAGES_MAX, MESSAGES_WITHIN_S, watcher_messages
from webrtc_host.desk.levels import send_levels
from webrtc_host.desk.subscribers import End, Watcher
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
from webrtc_host.http.auth import key_of
from webrtc_host.http.roles import CALLER, Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import GATE, check_upgrade
from webrtc_host.transcript.event_log import EncodedEvent

logger = logging.getLogger(__name__)

PING_S = 20.0
CLOSE_POLL_S = 0.05
CLOSE_TIMEOUT_S = 0.7
"""A peer that does not read does not get the close frame; after this time its connection is cut."""
WRITER_LIMIT_BYTES = 16 * 1024
"""Bytes written before `send` waits for a slow peer; the transport holds another 64 KiB."""
MESSAGE_BYTES_MAX = 4096
"""Longest message of a watcher: watchers send only pings and close frames."""
CLOSE_FLOOD = 1008
FLOOD = f"more than {MESSAGES_MAX} messages in {MESSAGES_WITHIN_S:g} s; a watcher has nothing to say"


class WatchSocket:
    """The route's handler."""

    def __init__(self, watching: Watching, *, ping_s: float = PING_S) -> None:
        self._watching = watching
        self._ping_s = ping_s

    @Route("GET", "/ws", Role.VIEWER, "The events of a session, over a WebSocket", is_websocket=True)
    async def handle(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(
            timeout=CLOSE_TIMEOUT_S,
            heartbeat=self._ping_s,
            autoping=False,  # pings are counted with the other messages
            compress=False,
            max_msg_size=MESSAGE_BYTES_MAX,
            writer_limit=WRITER_LIMIT_BYTES,
        )
        check_upgrade(request)
        await socket.prepare(request)
        try:
            request.app[GATE].check_token(request)
            wish = Wish.from_query(request.query, can_have_levels=True)
            watcher = self._watching.join(wish, key_of(request))
        except RequestError as error:
            await _close(request, socket, close_code(error), error.message)
            return socket
        forget = request.app[GATE].issued.when_ended(request[CALLER], lambda: watcher.close(End.LEFT))
        try:
            async with self._levels(request, socket, wish, watcher.session):
                await _Conversation(request, socket, watcher).run()
        finally:
            forget()
            self._watching.subscribers.leave(watcher)
        return socket

    @contextlib.asynccontextmanager
    async def _levels(
        self, request: web.Request, socket: web.WebSocketResponse, wish: Wish, session_id: str
    ) -> AsyncIterator[None]:
        """Send the channels' levels while the body runs, if the watcher asked for them."""
        if not wish.has_levels:
            yield
            return
        session = self._watching.session_of(replace(wish, session=session_id))

        async def send(message: bytes) -> None:
            await socket.send_frame(message, WSMsgType.TEXT)

        sending = asyncio.create_task(
            send_levels(session, wish.channels, send, lambda: _is_slow(request)), name="watch socket levels"
        )
        try:
            yield
        finally:
            sending.cancel()
            await asyncio.wait({sending})


def _is_slow(request: web.Request) -> bool:
    """Whether the peer does not read: then levels are left out, because only the newest ones are of use."""
    return request.transport is None or request.transport.get_write_buffer_size() > 0


class _Conversation:
    """One socket with its watcher. The reader notices that the peer has left; the writer sends and closes."""

    def __init__(self, request: web.Request, socket: web.WebSocketResponse, watcher: Watcher) -> None:
        self._request = request
        self._socket = socket
        self._watcher = watcher
        self._is_closing = False
        self._is_flooding = False

    async def run(self) -> None:
        writer = asyncio.create_task(self._write(), name="watch socket writer")
        try:
            await self._read()
        finally:
            if not self._is_closing and not self._is_flooding:
                writer.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await writer

    async def _read(self) -> None:
        """Wait until the peer has left, or has sent more than a watcher needs to send."""
        loop, said = asyncio.get_running_loop(), watcher_messages()
        async for message in self._socket:
            if message.type is WSMsgType.PONG:
                continue
            if not said.take(1, loop.time()):
                self._is_flooding = True
                self._watcher.close(End.LEFT)
                return
            if message.type is WSMsgType.PING:
                with contextlib.suppress(ConnectionError):
                    await self._socket.pong(message.data)

    async def _write(self) -> None:
        end = await pump(self._watcher, self._send)
        self._is_closing = True
        code, reason = (CLOSE_FLOOD, FLOOD) if self._is_flooding else (CLOSE_OF_END[end], REASON_OF_END[end])
        await _close(self._request, self._socket, code, reason)

    async def _send(self, event: EncodedEvent) -> None:
        await self._socket.send_frame(event.data, WSMsgType.TEXT)


async def _close(request: web.Request, socket: web.WebSocketResponse, code: int, reason: str) -> None:
    """Send the reason and close. Cut the connection of a peer that does not read it in CLOSE_TIMEOUT_S.

    No drain: aiohttp keeps the future of a `send` that was given up, and the next drain would await that one.
    """
    with contextlib.suppress(ConnectionError):
        await socket.close(code=code, message=close_reason(reason), drain=False)
    # aiohttp closes the transport in order: it waits without a limit until a peer has read everything.
    deadline_s = asyncio.get_running_loop().time() + CLOSE_TIMEOUT_S
    while (transport := request.transport) is not None:
        if asyncio.get_running_loop().time() > deadline_s:
            transport.abort()
            return
        await asyncio.sleep(CLOSE_POLL_S)
