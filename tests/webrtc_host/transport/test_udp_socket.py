"""The shared UDP socket: while the loop is blocked no packet is lost; order is kept; queues are bounded."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.polling import until, until_blocking
from webrtc_host.transport import udp_socket
from webrtc_host.transport.udp_socket import Packet, UdpSocket


@asynccontextmanager
async def reading(host: str = "127.0.0.1") -> AsyncIterator[tuple[UdpSocket, list[Packet], socket.socket]]:
    """The socket, the packets that it passed on, and a client connected to it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind((host, 0))
    got: list[Packet] = []
    reader = UdpSocket(sock, got.extend)
    reader.start()
    loopback = "::1" if family == socket.AF_INET6 else "127.0.0.1"
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.connect((loopback, sock.getsockname()[1]))
        try:
            yield reader, got, client
        finally:
            reader.close()


def numbered(count: int, first: int = 0) -> list[bytes]:
    return [number.to_bytes(4, "big") + bytes(80) for number in range(first, first + count)]


async def test_packets_arrive_in_order_with_their_source() -> None:
    async with reading() as (reader, got, client):
        for data in numbered(100):
            client.send(data)
        await until(lambda: len(got) == 100)
        assert [packet.data for packet in got] == numbered(100)
        assert {packet.source for packet in got} == {client.getsockname()}
        assert {packet.own for packet in got} == {None}, "a socket with one address does not report it"
        assert reader.statistics()["packets"] == 100


async def test_while_the_loop_is_blocked_the_thread_reads_all_packets_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(udp_socket, "BUFFER_BYTES", 4096)  # the system's buffer holds a few packets
    monkeypatch.setattr(udp_socket, "_SO_RCVBUFFORCE", -1)
    async with reading() as (reader, got, client):
        sent = numbered(200)
        for start in range(0, 200, 4):  # the loop is blocked for as long as this takes
            for data in sent[start : start + 4]:
                client.send(data)
            until_blocking(lambda start=start: reader.statistics()["waiting"] >= start + 4)  # type: ignore[misc]
        assert reader.statistics()["rescued"] == 200
        client.send(numbered(1, 200)[0])
        await until(lambda: len(got) == 201)
        assert [packet.data for packet in got] == numbered(201)
        assert reader.statistics()["dropped"] == reader.statistics()["waiting"] == 0


async def test_packets_that_follow_closely_are_read_together_in_order() -> None:
    async with reading() as (reader, got, client):
        turns_gathering = 0
        for start in range(0, 600, 3):
            for data in numbered(3, start):
                client.send(data)
            await asyncio.sleep(0.001)
            turns_gathering += reader.is_gathering
        await until(lambda: len(got) == 600)
        assert [packet.data for packet in got] == numbered(600)
        assert turns_gathering > 0
        await until(lambda: not reader.is_gathering)
        client.send(numbered(1, 600)[0])
        await until(lambda: len(got) == 601)
        assert not reader.is_gathering, "a single packet is read at once"


async def test_the_thread_reads_also_while_the_timer_reads_packets() -> None:
    async with reading() as (reader, got, client):
        while not reader.is_gathering:
            client.send(b"first")
            await asyncio.sleep(0.001)  # the pace of packets that follow closely
        await until(lambda: not reader.statistics()["waiting"])
        for data in numbered(300):
            client.send(data)
        until_blocking(lambda: reader.statistics()["waiting"] >= 300)  # the event loop is blocked
        client.send(b"last")
        await until(lambda: got[-1].data == b"last")
        came = [packet.data for packet in got if packet.data != b"first"]
        assert came == [*numbered(300), b"last"]
        assert reader.statistics()["rescued"] >= 300


async def test_the_queue_is_bounded_and_the_newest_packets_are_counted_as_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(udp_socket, "WAITING_MAX", 50)
    async with reading() as (reader, got, client):
        for data in numbered(80):
            client.send(data)
        until_blocking(lambda: reader.statistics()["dropped"] >= 30)  # the event loop is blocked
        await until(lambda: len(got) == 50)
        assert [packet.data for packet in got] == numbered(50)
        assert reader.statistics()["dropped"] == 30


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
async def test_on_every_address_a_packet_has_its_destination_address(host: str) -> None:
    async with reading(host) as (reader, got, client):
        client.send(b"hello")
        await until(lambda: len(got) == 1)
        assert got[0].own == client.getpeername()[0]
        reader.send(b"back", got[0].source, got[0].own)
        assert client.recv(100) == b"back"


async def test_a_packet_is_sent_from_the_given_address() -> None:
    async with reading("0.0.0.0") as (reader, _, client):
        client.connect(("127.0.0.2", reader.sock.getsockname()[1]))
        client.settimeout(5)
        reader.send(b"wrong", client.getsockname(), "127.0.0.1")
        reader.send(b"right", client.getsockname(), "127.0.0.2")
        assert client.recv(100) == b"right", "a connected socket receives only packets of its peer"


async def test_packets_that_the_system_refuses_are_counted() -> None:
    async with reading() as (reader, _, _):
        reader.send(bytes(70_000), ("127.0.0.1", 9))
        assert reader.statistics()["unsent"] == 1


async def test_closing_ends_the_thread() -> None:
    async with reading() as (reader, _, _):
        before = reader.is_watched
        assert before
    assert not reader.is_watched
    await asyncio.sleep(0)
