"""A simulated bad network between a client and the server's port, for UDP and TCP.

It loses, delays, reorders and doubles datagrams, cuts the connection, and changes the address that the server
sees. Offers and answers must name the relay (`without_candidates`, `through`), else both sides connect
directly. Runs in a separate thread: a test that blocks its loop does not block the network.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

LOOPBACK = "127.0.0.1"
READ_BYTES = 65_536
CANDIDATE = re.compile(r"(a=candidate:\S+ \d+ (?:udp|tcp) \d+) \S+ \d+", re.IGNORECASE)


def without_candidates(offer: str) -> str:
    """Remove the client's addresses, so that the server cannot send past the relay; ICE still continues."""
    return re.sub(r"a=(candidate:.*|end-of-candidates)\r\n", "", offer)


@dataclass(slots=True)
class NetworkConditions:
    """Conditions that a test may change at any time, for each next datagram. Shares are between 0 and 1."""

    loss: float = 0.0
    delay_s: float = 0.0
    jitter_s: float = 0.0  # evenly between 0 and this, so packets overtake each other
    doubled: float = 0.0
    is_cut: bool = False  # nothing passes; TCP waits, as with an unplugged cable


class Relay:
    """`with Relay(port) as relay:`. Datagrams are counted by outcome."""

    def __init__(self, server_port: int, *, seed: int = 1) -> None:
        self.port = 0  # the relay's port
        self.conditions = NetworkConditions()
        self.passed = self.lost = 0
        self._server = (LOOPBACK, server_port)
        self._random = random.Random(seed)
        self._flows: dict[Any, _Upstream] = {}
        self._streams: set[asyncio.Future[Any]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def through(self, answer: str) -> str:
        """The server's answer with candidates that name the relay."""
        return CANDIDATE.sub(rf"\1 {LOOPBACK} {self.port}", answer)

    def __enter__(self) -> Relay:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @contextlib.contextmanager
    def cut(self) -> Iterator[None]:
        """Let nothing pass, in either direction, until the block ends."""
        self.conditions.is_cut = True
        try:
            yield
        finally:
            self.conditions.is_cut = False

    def change_address(self) -> None:
        """Act like a NAT that lost its table: the server sees the same clients at other ports."""
        self._loop.call_soon_threadsafe(self._forget_flows)

    def _forget_flows(self) -> None:
        flows, self._flows = self._flows, {}
        for flow in flows.values():
            flow.close()

    async def _start(self) -> None:
        self._tcp = await asyncio.start_server(self._serve_stream, LOOPBACK, 0)
        self.port = self._tcp.sockets[0].getsockname()[1]
        where = (LOOPBACK, self.port)
        self._udp, _ = await self._loop.create_datagram_endpoint(lambda: _Front(self), local_addr=where)

    async def _stop(self) -> None:
        self._forget_flows()
        for stream in self._streams:
            stream.cancel()
        if self._streams:
            await asyncio.wait(self._streams)
        assert self._tcp is not None and self._udp is not None
        self._tcp.close()
        self._udp.close()
        await asyncio.sleep(0.05)

    def up(self, data: bytes, client: Any) -> None:
        """From a client to the server."""
        flow = self._flows.get(client)
        if flow is None:
            flow = self._flows[client] = _Upstream(self, client)
            connecting = self._loop.create_datagram_endpoint(
                lambda: flow, local_addr=(LOOPBACK, 0), remote_addr=self._server
            )
            self._keep(asyncio.ensure_future(connecting, loop=self._loop))
        self._pass(lambda: flow.send(data))

    def down(self, data: bytes, client: Any) -> None:
        """From the server to a client."""
        udp = self._udp
        if udp is not None:
            self._pass(lambda: udp.sendto(data, client))

    def _pass(self, deliver: Callable[[], None]) -> None:
        conditions = self.conditions
        if conditions.is_cut or self._random.random() < conditions.loss:
            self.lost += 1
            return
        self.passed += 1
        for _ in range(2 if self._random.random() < conditions.doubled else 1):
            wait_s = conditions.delay_s + conditions.jitter_s * self._random.random()
            if wait_s > 0:
                self._loop.call_later(wait_s, deliver)
            else:
                deliver()

    def _keep(self, task: asyncio.Future[Any]) -> None:
        self._streams.add(task)
        task.add_done_callback(self._streams.discard)

    async def _serve_stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._keep(task)
        if self.conditions.is_cut:  # the SYN packet was lost: no connection is made
            await self._close_when_ended(reader, writer)
            return
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._server)
        except OSError:
            writer.close()
            return
        try:
            await asyncio.gather(self._pump(reader, server_writer), self._pump(server_reader, writer))
        except asyncio.CancelledError:
            return  # the relay stops
        finally:
            writer.close()
            server_writer.close()

    async def _close_when_ended(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while await reader.read(READ_BYTES):
                continue
        writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(READ_BYTES):
                while self.conditions.is_cut:  # noqa: ASYNC110  # a number that another thread changes
                    await asyncio.sleep(0.05)
                writer.write(data)
                await writer.drain()
        with contextlib.suppress(ConnectionError, OSError):
            writer.write_eof()


class _Front(asyncio.DatagramProtocol):
    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._relay.up(data, addr)


class _Upstream(asyncio.DatagramProtocol):
    """The socket that the server sees as one client."""

    def __init__(self, relay: Relay, client: Any) -> None:
        self._relay = relay
        self._client = client
        self._waiting: list[bytes] = []
        self._transport: asyncio.DatagramTransport | None = None
        self._is_closed = False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        for data in self._waiting:
            transport.sendto(data)
        if self._is_closed:
            transport.close()

    def send(self, data: bytes) -> None:
        if self._transport is None:
            self._waiting.append(data)
        elif not self._is_closed:
            self._transport.sendto(data)

    def close(self) -> None:
        self._is_closed = True
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._relay.down(data, self._client)

    def error_received(self, exc: Exception) -> None:
        """The server is not there (yet): the datagram is lost."""
