"""`POST /offer` behind a real port on loopback (HTTP, ICE over TCP, UDP), and unusual clients."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import aiohttp
import aioice.stun
from aiohttp import web
from aioice.candidate import Candidate
from aiortc import MediaStreamTrack, RTCSessionDescription

from host_stt_common.connections import ConnectionLimits, Connections
from tests.support.peers import Client, Rig, app_of
from webrtc_host.config import LimitsConfig, MediaConfig
from webrtc_host.doors.offer import OfferDoor
from webrtc_host.transport.first_byte import OnePortSite
from webrtc_host.transport.host_addresses import HostAddresses
from webrtc_host.transport.muxed_peer import MuxedPeer
from webrtc_host.transport.one_port import OnePort


class WatchedPort(OnePort):
    """Keeps the attached peers in their order, for tests that inspect one."""

    def __init__(self, hosts: HostAddresses, *, is_proxied: bool) -> None:
        super().__init__(hosts, is_proxied=is_proxied)
        self.attached: list[MuxedPeer] = []

    def attach(self, peer: MuxedPeer) -> list[Candidate]:
        self.attached.append(peer)
        return super().attach(peer)


@dataclass
class Served:
    rig: Rig
    port: WatchedPort
    number: int
    http: aiohttp.ClientSession
    hosts: HostAddresses
    clients: list[Client] = field(default_factory=list)

    async def connect(self, *tracks: MediaStreamTrack, **fields: Any) -> tuple[Client, dict[str, Any]]:
        client = Client(tracks)
        self.clients.append(client)
        return client, await client.connect(self.http, **fields)

    async def connect_through(self, relay: Relay, *tracks: MediaStreamTrack) -> tuple[Client, dict[str, Any]]:
        """A client that can reach the server only through `relay`; the server can reach it only so too."""
        client = Client(tracks)
        self.clients.append(client)
        offer = await client.offer()
        offer["sdp"] = without_candidates(offer["sdp"])
        async with self.http.post("/offer", json=offer) as response:
            client.answer = await response.json()
            assert response.status == 200, client.answer
        sdp = relay.in_sdp(client.answer["sdp"])
        await client.pc.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
        return client, client.answer

    def figure(self, name: str) -> float:
        return self.port.statistics()[name]


@asynccontextmanager
async def serving(
    media: MediaConfig | None = None, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[Served]:
    media = media or MediaConfig()
    rig = Rig(LimitsConfig())
    hosts = HostAddresses(media.announce)
    port = WatchedPort(hosts, is_proxied=bool(media.trusted_proxies))
    door = OfferDoor(rig.registry, media, lambda *_: None, port=port)
    runner = web.AppRunner(app_of(door))
    await runner.setup()
    listening = port.open(host, 0)
    connections = Connections(ConnectionLimits(), clock=time.monotonic)
    await OnePortSite(
        runner, listening.tcp, port.ice_tcp, connections=connections, ssl_context=tls, backlog=16
    ).start()
    loopback = "[::1]" if ":" in host else "127.0.0.1"
    base = f"{'https' if tls else 'http'}://{loopback}:{listening.port}"
    connector = aiohttp.TCPConnector(ssl=False, force_close=True)
    async with aiohttp.ClientSession(base, connector=connector) as http:
        served = Served(rig, port, listening.port, http, hosts)
        try:
            yield served
        finally:
            for client in served.clients:
                await client.close()
            await rig.registry.close()
            await runner.cleanup()
            port.close()


@dataclass(frozen=True)
class Ice:
    """The ICE credentials of the offer and the answer."""

    remote_ufrag: str
    ufrag: str
    password: str
    candidates: tuple[str, ...]

    @classmethod
    def of(cls, offer: str, answer: str) -> Ice:
        found = values(answer, "candidate")
        return cls(
            values(offer, "ice-ufrag")[0],
            values(answer, "ice-ufrag")[0],
            values(answer, "ice-pwd")[0],
            tuple(dict.fromkeys(found)),
        )


def values(sdp: str, name: str) -> list[str]:
    return [line.partition(":")[2] for line in sdp.splitlines() if line.startswith(f"a={name}:")]


def binding_request(ice: Ice, *, password: str | None = None) -> bytes:
    """An ICE check as a browser sends it, signed with the server's password or another."""
    message = aioice.stun.Message(aioice.stun.Method.BINDING, aioice.stun.Class.REQUEST)
    message.attributes["USERNAME"] = f"{ice.ufrag}:{ice.remote_ufrag}"
    message.attributes["PRIORITY"] = 1
    message.attributes["ICE-CONTROLLING"] = 1
    message.add_message_integrity((password or ice.password).encode())
    return bytes(message)


class Udp(asyncio.DatagramProtocol):
    """A client's UDP socket. Received datagrams are kept in a list, or passed to `on_data`."""

    def __init__(self) -> None:
        self.got: list[tuple[bytes, tuple[str, int]]] = []
        self.on_data: Callable[[bytes, tuple[str, int]], None] | None = None
        self.transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        if self.on_data is None:
            self.got.append((data, (addr[0], addr[1])))
        else:
            self.on_data(data, (addr[0], addr[1]))


@asynccontextmanager
async def udp(host: str = "127.0.0.1", remote: tuple[str, int] | None = None) -> AsyncIterator[Udp]:
    loop = asyncio.get_running_loop()
    local = None if remote else (host, 0)
    transport, protocol = await loop.create_datagram_endpoint(Udp, local_addr=local, remote_addr=remote)
    try:
        yield protocol
    finally:
        transport.close()


class Relay:
    """A relay between a UDP client and the server's port: UDP from a port that can change, or framed TCP.

    With it, a client that supports ICE over UDP only reaches the server over TCP. `move` acts like a NAT that
    lost its table.
    """

    def __init__(self, number: int, *, over_tcp: bool = False, host: str = "127.0.0.1") -> None:
        self._server = (host, number)
        self._over_tcp = over_tcp
        self._client: tuple[str, int] | None = None
        self._stack = contextlib.AsyncExitStack()
        self._outer: Udp | None = None
        self._writer: asyncio.StreamWriter | None = None
        self.on_way_out: Callable[[bytes], list[bytes]] = lambda data: [data]
        self.came_back = 0

    async def __aenter__(self) -> Relay:
        self._inner = await self._stack.enter_async_context(udp())
        self._inner.on_data = self._out
        self.address: tuple[str, int] = self._inner.transport.get_extra_info("sockname")[:2]
        if self._over_tcp:
            reader, self._writer = await asyncio.open_connection(*self._server)
            task = asyncio.create_task(self._read(reader))
            self._stack.push_async_callback(_cancelled, task)
            self._stack.callback(self._writer.close)
        else:
            await self.move()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def move(self) -> None:
        """From now on the server sees packets from another port."""
        if self._outer is not None:
            self._outer.transport.close()
        self._outer = await self._stack.enter_async_context(udp(remote=self._server))
        self._outer.on_data = lambda data, _: self._back(data)

    def in_sdp(self, sdp: str) -> str:
        """An answer whose only candidate is this relay."""
        candidate = f"a=candidate:1 1 udp 2130706431 {self.address[0]} {self.address[1]} typ host\r\n"
        return re.sub(r"(a=mid:.*\r\n)", rf"\1{candidate}", without_candidates(sdp))

    def _out(self, data: bytes, client: tuple[str, int]) -> None:
        self._client = client
        for piece in self.on_way_out(data):
            if self._writer is not None:
                self._writer.write(len(piece).to_bytes(2, "big") + piece)
            elif self._outer is not None and not self._outer.transport.is_closing():
                self._outer.transport.sendto(piece)

    def _back(self, data: bytes) -> None:
        self.came_back += 1
        if self._client is not None:
            self._inner.transport.sendto(data, self._client)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                length = int.from_bytes(await reader.readexactly(2), "big")
                self._back(await reader.readexactly(length))


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


def without_candidates(sdp: str) -> str:
    """The SDP of a browser that hides all its addresses; `a=end-of-candidates` stays, as in Firefox."""
    return re.sub(r"a=candidate:.*\r\n", "", sdp)
