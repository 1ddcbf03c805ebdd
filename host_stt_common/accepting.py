"""Accept TCP connections on the listening sockets of both ports, and count them.

Contains the accept loop and a protocol object that sits between an asyncio transport and aiohttp's protocol.
The limits (how many connections may stay open, and how long) are in `connections`.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
import socket
import struct
import termios
from collections.abc import Callable, Sequence
from typing import cast

from aiohttp import web

from host_stt_common.connections import Connections, Place
from host_stt_common.descriptors import in_use
from host_stt_common.serving import Handler

logger = logging.getLogger(__name__)

SWEEP_S = 1.0
ACCEPT_PAUSE_S = 1.0
CLOSED_PER_TURN_MAX = 32
"""After so many connections were closed in one turn, to make space for newer ones, the loop must run: it
returns their file descriptors only in its next turn.
"""
_OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_TCP_INFO_BYTES_ACKED = 120  # offset in struct tcp_info, Linux 4.1 and later
_TCP_INFO_SIZE = 128

CONNECTIONS: web.AppKey[Connections] = web.AppKey("connections", Connections)
Take = Callable[[socket.socket, Place], None]


class BodyStalled(TimeoutError):
    """The rest of a request's body does not arrive. Raised in the handler that reads the body."""


class Acceptor:
    """Accepts connections on bound sockets, counts them, and passes each one to `take`."""

    def __init__(self, sockets: Sequence[socket.socket], connections: Connections, take: Take) -> None:
        """take: called with each connection that was admitted, non-blocking, and its place."""
        self.sockets = sockets
        self._connections = connections
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._sweeping: asyncio.TimerHandle | None = None

    def listen(self, backlog: int) -> None:
        for listener in self.sockets:
            listener.setblocking(False)
            listener.listen(backlog)
            self._loop.add_reader(listener, self._accept, listener, backlog)
        self._sweep()

    def close(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
        for listener in self.sockets:
            if listener.fileno() >= 0:
                self._loop.remove_reader(listener)
                listener.close()

    def _accept(self, listener: socket.socket, backlog: int) -> None:
        closed_before = self._connections.totals["closed"]
        for _ in range(backlog):
            try:
                connection, peer = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _OUT_OF_RESOURCES:
                    raise
                logger.error("no connection can be accepted for %.0f s: %s", ACCEPT_PAUSE_S, error)
                self._loop.remove_reader(listener)
                self._loop.call_later(ACCEPT_PAUSE_S, self._resume, listener, backlog)
                return
            self._admit(connection, str(peer[0]) if peer else "")
            if self._connections.totals["closed"] - closed_before >= CLOSED_PER_TURN_MAX:
                return

    def _admit(self, connection: socket.socket, address: str) -> None:
        """Pass the connection to `take`, or close it."""
        connection.setblocking(False)
        place = self._connections.admit(address, connection.close)
        if place is None:
            connection.close()
        else:
            self._take(connection, place)

    def _resume(self, listener: socket.socket, backlog: int) -> None:
        if listener.fileno() >= 0:
            self._loop.add_reader(listener, self._accept, listener, backlog)

    def _sweep(self) -> None:
        try:
            self._connections.count_others(in_use())
            self._connections.sweep()
        except Exception:
            logger.exception("checking the open connections failed")
        self._sweeping = self._loop.call_later(SWEEP_S, self._sweep)


class CountedSite(web.BaseSite):
    """Like aiohttp's SockSite, but its connections are counted."""

    def __init__(
        self, runner: web.AppRunner, listener: socket.socket, connections: Connections, backlog: int
    ) -> None:
        """listener: a socket that is bound and does not listen yet."""
        super().__init__(runner, backlog=backlog)
        self._listener = listener
        self._connections = connections
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        host, port = self._listener.getsockname()[:2]
        return f"http://{host}:{port}"

    async def start(self) -> None:
        await super().start()
        acceptor = Acceptor((self._listener,), self._connections, self._take)
        self._server = cast(asyncio.AbstractServer, acceptor)
        acceptor.listen(self._backlog)

    def _take(self, connection: socket.socket, place: Place) -> None:
        http = self._runner.server
        assert http is not None, "the runner is set up first"
        task = asyncio.get_running_loop().create_task(start_http(http, connection, place, self._connections))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def start_http(
    http: Callable[[], asyncio.Protocol], connection: socket.socket, place: Place, connections: Connections
) -> None:
    """Give an accepted connection to aiohttp's server, and keep it in the count."""
    loop = asyncio.get_running_loop()
    place.close_with(_nothing)  # `connection_made` closes it if the limits require that meanwhile
    try:
        await loop.connect_accepted_socket(lambda: CountedProtocol(http(), place, connections), connection)
    except OSError as error:
        logger.debug("x a connection ended before its transport was ready: %s", error)
        connections.leave(place)
        connection.close()


class CountedProtocol(asyncio.Protocol):
    """Passes the events of one connection to aiohttp's protocol, and reports them to `Connections`."""

    def __init__(self, inner: asyncio.Protocol, place: Place, connections: Connections) -> None:
        self._inner = inner
        self._place = place
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast(asyncio.Transport, transport)
        self._place.connect(stream.abort, HttpWire(stream))
        _places[self._inner] = self._place
        self._inner.connection_made(transport)
        if self._place not in self._connections:
            stream.abort()

    def data_received(self, data: bytes) -> None:
        self._connections.count_received(self._place, len(data))
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.leave(self._place)
        _places.pop(self._inner, None)
        self._inner.connection_lost(error)
        if isinstance(self._place.wire, HttpWire):
            self._place.wire.lost()


_places: dict[object, Place] = {}
"""The `Place` of each aiohttp protocol that is open. A handler can reach only the protocol of its connection.
"""


class HttpWire:
    """`connections.Wire` of an HTTP connection."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._socket: socket.socket | None = transport.get_extra_info("socket")
        self.request: web.Request | None = None
        self._on_lost: set[Callable[[], None]] = set()

    def unsent_bytes(self) -> int:
        return self._transport.get_write_buffer_size()

    def owed_bytes(self) -> int:
        return self.unsent_bytes() + _in_flight(self._socket)

    def taken_bytes(self) -> int:
        """Bytes that the caller's system has acknowledged. Where the system does not report them: minus the
        bytes not yet taken, a number that grows in the same way.
        """
        try:
            assert self._socket is not None
            info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
            return int(struct.unpack_from("=Q", info, _TCP_INFO_BYTES_ACKED)[0])
        except (AssertionError, AttributeError, OSError, struct.error):
            return -self.owed_bytes()

    def is_waiting_for_body(self) -> bool:
        request = self.request
        return request is not None and not request.content.is_eof() and self._transport.is_reading()

    def body_stalled(self) -> None:
        if self.request is not None:
            message = "the rest of the body did not come; send the request again"
            self.request.content.set_exception(BodyStalled(message))

    def when_lost(self, call: Callable[[], None]) -> Callable[[], None]:
        """Call `call` once when the connection ends. Returns a function that cancels this."""
        self._on_lost.add(call)
        return lambda: self._on_lost.discard(call)

    def lost(self) -> None:
        for call in list(self._on_lost):
            call()


def _in_flight(connection: socket.socket | None) -> int:
    """Bytes in the system's send queue that the other end has not acknowledged; 0 where this is not known."""
    if connection is None or connection.fileno() < 0:
        return 0
    try:
        return int(struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0])
    except (OSError, struct.error):
        return 0


def _nothing() -> None:
    """Does nothing; stands in for `close` where the connection is closed in another way."""


def place_of(request: web.BaseRequest) -> Place | None:
    """The `Place` of the connection of a request; None if it is not counted, as in a test client's server."""
    return _places.get(request.protocol)


def wire_of(request: web.BaseRequest) -> HttpWire | None:
    place = place_of(request)
    return place.wire if place is not None and isinstance(place.wire, HttpWire) else None


def when_lost(request: web.BaseRequest, call: Callable[[], None]) -> Callable[[], None]:
    """Call `call` when the connection of this request ends. Returns a function that cancels this."""
    wire = wire_of(request)
    return wire.when_lost(call) if wire is not None else _nothing


def mark_caller_known(request: web.BaseRequest) -> None:
    """Mark the connection as one of a known caller: the caller may call, so stranger limits do not apply."""
    place = place_of(request)
    if place is not None and isinstance(request, web.Request):
        request.app[CONNECTIONS].mark_known(place)


@web.middleware
async def count_request(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The first middleware. The head is complete; the connection is busy until the handler returns."""
    connections, place = request.app.get(CONNECTIONS), place_of(request)
    if connections is None or place is None:
        return await handler(request)
    if isinstance(place.wire, HttpWire):
        place.wire.request = request
    connections.request_began(place)
    try:
        return await handler(request)
    finally:
        if isinstance(place.wire, HttpWire):
            place.wire.request = None
        connections.request_ended(place)
