"""HTTP, HTTPS and ICE over TCP on one port: the first byte of a connection tells which it is.

A framed ICE packet (RFC 4571) begins with the high byte of its length, which is 0; TLS begins with 0x16, HTTP
with a letter. The byte is looked at, not taken, so whoever gets the connection reads it from the start, TLS
too. Owns the listening sockets and connections until their kind is known; then they are aiohttp's or
`IceTcp`'s. Invariant: a connection that says nothing is closed after 30 s, and only so many may say nothing
at a time.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import cast

from aiohttp import web

logger = logging.getLogger(__name__)

SILENT_S = 30.0  # browsers open connections ahead of need, and open another when one was closed
SILENT_MAX = 1024
HANDSHAKE_S = 20.0
NO_ROOM_PAUSE_S = 1.0
_TLS = 0x16
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_SENTENCE = b"This port speaks https: write https:// in front of the address.\n"
_SAY_HTTPS = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s"
) % (len(_SENTENCE), _SENTENCE)

Factory = Callable[[], asyncio.Protocol]


class OnePortSite(web.BaseSite):
    """As aiohttp's TCPSite, with a place for ICE on the same sockets."""

    def __init__(
        self,
        runner: web.AppRunner,
        sockets: Sequence[socket.socket],
        ice: Factory,
        *,
        ssl_context: ssl.SSLContext | None,
        backlog: int,
    ) -> None:
        """sockets: bound, not listening yet. ice: makes the protocol of one ICE connection."""
        super().__init__(runner, ssl_context=ssl_context, backlog=backlog)
        self._sockets = sockets
        self._ice = ice

    @property
    def name(self) -> str:
        host, port = self._sockets[0].getsockname()[:2]
        return f"{'https' if self._ssl_context else 'http'}://{host}:{port}"

    async def start(self) -> None:
        await super().start()
        http = self._runner.server
        assert http is not None, "the runner is set up first"
        server = FirstByteServer(self._sockets, http, self._ice, self._ssl_context)
        self._server = cast(asyncio.AbstractServer, server)
        server.listen(self._backlog)


class FirstByteServer:
    """What aiohttp asks of a server: its sockets, and to be closed."""

    def __init__(
        self, sockets: Sequence[socket.socket], http: Factory, ice: Factory, tls: ssl.SSLContext | None
    ) -> None:
        self.sockets = sockets  # aiohttp reads the addresses from here
        self._http = http
        self._ice = ice
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._undecided: set[asyncio.Task[None]] = set()

    def listen(self, backlog: int) -> None:
        for listener in self.sockets:
            listener.setblocking(False)
            listener.listen(backlog)
            self._loop.add_reader(listener, self._accept, listener, backlog)

    def close(self) -> None:
        for listener in self.sockets:
            if listener.fileno() >= 0:
                self._loop.remove_reader(listener)
                listener.close()
        for task in self._undecided:
            task.cancel()

    def _accept(self, listener: socket.socket, backlog: int) -> None:
        for _ in range(backlog):
            try:
                connection, _ = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    raise
                logger.error("no connection can be accepted for %.0f s: %s", NO_ROOM_PAUSE_S, error)
                self._loop.remove_reader(listener)
                self._loop.call_later(NO_ROOM_PAUSE_S, self._resume, listener, backlog)
                return
            if len(self._undecided) >= SILENT_MAX:
                connection.close()
                continue
            connection.setblocking(False)
            task = self._loop.create_task(self._decide(connection))
            self._undecided.add(task)
            task.add_done_callback(self._undecided.discard)

    def _resume(self, listener: socket.socket, backlog: int) -> None:
        if listener.fileno() >= 0:
            self._loop.add_reader(listener, self._accept, listener, backlog)

    async def _decide(self, connection: socket.socket) -> None:
        """Look at the first byte, then hand the connection over."""
        try:
            first = await self._first_byte(connection)
            if first is None:
                connection.close()
            elif first == 0:
                await self._loop.connect_accepted_socket(self._ice, connection)
            elif self._tls is None:
                await self._loop.connect_accepted_socket(self._http, connection)
            elif first == _TLS:
                await self._loop.connect_accepted_socket(
                    self._http, connection, ssl=self._tls, ssl_handshake_timeout=HANDSHAKE_S
                )
            else:
                await self._loop.connect_accepted_socket(_SayHttps, connection)
        except (OSError, TimeoutError) as error:  # ssl.SSLError too: a handshake that failed is the caller's
            logger.debug("x a connection ended before it began: %s", error)
            connection.close()
        except asyncio.CancelledError:
            connection.close()
            raise

    async def _first_byte(self, connection: socket.socket) -> int | None:
        """None when the caller left without a word."""
        try:
            peeked = connection.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            spoke = self._loop.create_future()
            self._loop.add_reader(connection, _set, spoke)
            try:
                async with asyncio.timeout(SILENT_S):
                    await spoke
            finally:
                self._loop.remove_reader(connection)
            peeked = connection.recv(1, socket.MSG_PEEK)
        return peeked[0] if peeked else None


class _SayHttps(asyncio.Protocol):
    """Plain http on a port of https: one sentence, and nothing of the request is looked at."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        # Only now: closing with the request unread would reset the connection before the answer is read.
        assert isinstance(self._transport, asyncio.WriteTransport)
        self._transport.write(_SAY_HTTPS)
        self._transport.close()


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
