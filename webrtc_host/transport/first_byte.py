"""HTTP, HTTPS and ICE over TCP on one port: the first byte of a connection tells which it is.

A framed ICE packet (RFC 4571) begins with the high byte of its length, which is 0; TLS begins with 0x16, HTTP
with a letter. The byte is looked at, not taken, so whoever gets the connection reads it from the start, TLS
too. Owns connections until their kind is known; then they are aiohttp's or `IceTcp`'s. How many there may
be, and how long one may say nothing, is `host_stt_common.connections`'s.
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
from webrtc_host.transport.ice_tcp import IceTcp

logger = logging.getLogger(__name__)

_TLS = 0x16
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
        connections: Connections,
        ssl_context: ssl.SSLContext | None,
        backlog: int,
    ) -> None:
        """sockets: bound, not listening yet. ice: makes the protocol of one ICE connection."""
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
    """What aiohttp asks of a server: its sockets, and to be closed."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        http: Factory,
        ice: Factory,
        tls: ssl.SSLContext | None,
        connections: Connections,
    ) -> None:
        self.sockets = sockets  # aiohttp reads the addresses from here
        self._http = http
        self._ice = ice
        self._tls = tls
        self._connections = connections
        self._acceptor = Acceptor(sockets, connections, self._take)
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

    def _take(self, connection: socket.socket, place: Place) -> None:
        task = self._loop.create_task(self._decide(connection, place))

        def give_up() -> None:
            task.cancel()

        place.close = give_up
        self._undecided.add(task)

        def decided(task: asyncio.Task[None]) -> None:
            self._undecided.discard(task)
            if task.cancelled():  # here, because a task that is cancelled before it ran runs nothing
                self._connections.leave(place)
                connection.close()

        task.add_done_callback(decided)

    async def _decide(self, connection: socket.socket, place: Place) -> None:
        """Look at the first byte, then hand the connection over."""
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
                await self._hand_over(_SayHttps, connection, place)
        except (OSError, TimeoutError) as error:  # ssl.SSLError too: a handshake that failed is the caller's
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
        """ICE over TCP: the connection is a stranger's until a peer's password was shown on it."""

        def make() -> asyncio.Protocol:
            protocol = self._ice()
            if isinstance(protocol, IceTcp):
                protocol.on_owned = owned
            return protocol

        def owned() -> None:
            self._connections.request_began(place)
            self._connections.mark_known(place)

        return make

    async def _first_byte(self, connection: socket.socket) -> int | None:
        """None when the caller left without a word."""
        try:
            peeked = connection.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            spoke = self._loop.create_future()
            self._loop.add_reader(connection, _set, spoke)
            try:
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
