"""HTTP, HTTPS and ICE over TCP on one port: the first byte of a connection decides which of them it is.

A framed ICE packet (RFC 4571) begins with the high byte of its length, which is 0. TLS begins with 0x16, HTTP
with a letter. The byte is only peeked at, so the protocol that gets the connection reads it too. This module
holds a connection until its kind is known; then aiohttp or `IceTcp` holds it. Limits on the number of
connections, and on the time without a first byte, are in `host_stt_common.connections`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import cast

from aiohttp import web

from host_stt_common.accepting import Acceptor, CountedProtocol
from host_stt_common.connections import Connections, Place

logger = logging.getLogger(__name__)

_TLS = 0x16
_SENTENCE = b"This port speaks https: write https:// in front of the address.\n"
_HTTPS_HINT = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s"
) % (len(_SENTENCE), _SENTENCE)

Factory = Callable[[], asyncio.Protocol]
IceFactory = Callable[[Callable[[], None]], asyncio.Protocol]
"""Makes the protocol of ICE over TCP. It calls its argument once, when a peer has shown its ICE password."""


class OnePortSite(web.BaseSite):
    """Like aiohttp's TCPSite, but ICE uses the same sockets."""

    def __init__(
        self,
        runner: web.AppRunner,
        sockets: Sequence[socket.socket],
        ice: IceFactory,
        *,
        connections: Connections,
        ssl_context: ssl.SSLContext | None,
        backlog: int,
    ) -> None:
        """sockets: bound, not yet listening. ice: makes the protocol of one ICE connection."""
        super().__init__(runner, ssl_context=ssl_context, backlog=backlog)
        self._sockets = sockets
        self._ice = ice
        self._connections = connections
        self._first_bytes: FirstByteServer | None = None

    @property
    def undecided(self) -> int:
        """Connections whose first byte has not come yet."""
        return 0 if self._first_bytes is None else self._first_bytes.undecided

    @property
    def name(self) -> str:
        host, port = self._sockets[0].getsockname()[:2]
        return f"{'https' if self._ssl_context else 'http'}://{host}:{port}"

    async def start(self) -> None:
        await super().start()
        http = self._runner.server
        assert http is not None, "the runner is set up first"
        server = FirstByteServer(self._sockets, http, self._ice, self._ssl_context, self._connections)
        self._server = cast(asyncio.AbstractServer, server)
        self._first_bytes = server
        server.listen(self._backlog)


class FirstByteServer:
    """The interface that aiohttp needs of a server: the sockets, and `close`."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        http: Factory,
        ice: IceFactory,
        tls: ssl.SSLContext | None,
        connections: Connections,
    ) -> None:
        self.sockets = sockets  # aiohttp reads the addresses from here
        self._http = http
        self._ice = ice
        self._tls = tls
        self._connections = connections
        self._acceptor = Acceptor(sockets, connections, self._on_connection)
        self._loop = asyncio.get_running_loop()
        self._undecided: set[asyncio.Task[None]] = set()

    @property
    def undecided(self) -> int:
        """Connections whose first byte has not come yet."""
        return len(self._undecided)

    def listen(self, backlog: int) -> None:
        self._acceptor.listen(backlog)

    def close(self) -> None:
        self._acceptor.close()
        for task in self._undecided:
            task.cancel()

    def _on_connection(self, connection: socket.socket, place: Place) -> None:
        task = self._loop.create_task(self._dispatch(connection, place))

        def give_up() -> None:
            task.cancel()

        place.close_with(give_up)
        self._undecided.add(task)

        def on_done(task: asyncio.Task[None]) -> None:
            self._undecided.discard(task)
            # A task that is cancelled before its first step runs no `finally`, so this is done here
            if task.cancelled():
                self._connections.leave(place)
                connection.close()

        task.add_done_callback(on_done)

    async def _dispatch(self, connection: socket.socket, place: Place) -> None:
        """Peek at the first byte, then give the connection to the protocol of that kind."""
        try:
            first = await self._first_byte(connection)
            self._connections.count_received(place, 0)
            if first is None:
                self._connections.leave(place)
                connection.close()
            elif first == 0:
                await self._hand_over(self._ice_of(place), connection, place)
            elif self._tls is None:
                await self._hand_over(self._http, connection, place)
            elif first == _TLS:
                await self._hand_over(self._http, connection, place, self._tls)
            else:
                await self._hand_over(_HttpsHint, connection, place)
        except (OSError, TimeoutError) as error:  # includes ssl.SSLError: the handshake failed
            logger.debug("x a connection ended before it began: %s", error)
            self._connections.leave(place)
            connection.close()

    async def _hand_over(
        self, make: Factory, connection: socket.socket, place: Place, tls: ssl.SSLContext | None = None
    ) -> None:
        await self._loop.connect_accepted_socket(
            lambda: CountedProtocol(make(), place, self._connections),
            connection,
            ssl=tls,
            ssl_handshake_timeout=self._connections.limits.head_s if tls is not None else None,
        )

    def _ice_of(self, place: Place) -> Factory:
        """ICE over TCP: the connection counts as unknown until a peer's ICE password was shown on it."""

        def on_bound() -> None:
            self._connections.request_began(place)
            self._connections.mark_known(place)

        return lambda: self._ice(on_bound)

    async def _first_byte(self, connection: socket.socket) -> int | None:
        """The first byte, left in the socket. None when the caller closed the connection without sending."""
        try:
            peeked = connection.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            readable = self._loop.create_future()
            self._loop.add_reader(connection, _set, readable)
            try:
                await readable
            finally:
                self._loop.remove_reader(connection)
            peeked = connection.recv(1, socket.MSG_PEEK)
        return peeked[0] if peeked else None


class _HttpsHint(asyncio.Protocol):
    """Plain HTTP on an HTTPS port: replies with one sentence, whatever the request is."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        # Not in connection_made: closing with unread data would reset the connection before the reply is
        # read.
        assert isinstance(self._transport, asyncio.WriteTransport)
        self._transport.write(_HTTPS_HINT)
        self._transport.close()


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
