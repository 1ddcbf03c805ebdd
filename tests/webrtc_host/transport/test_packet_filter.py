"""The filter on a real socket: it drops the packets of blocked addresses, and all others arrive."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator

import pytest

from webrtc_host.transport.packet_filter import ADDRESSES_MAX, block, program

Sockets = tuple[socket.socket, list[socket.socket]]


@pytest.fixture(params=["127.0.0.1", "::1"], ids=["ipv4", "ipv6"])
def sockets(request: pytest.FixtureRequest) -> Iterator[Sockets]:
    """A server's socket, and three clients."""
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    made = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(4)]
    for one in made:
        one.bind((request.param, 0))
    made[0].settimeout(0.2)
    yield made[0], made[1:]
    for one in made:
        one.close()


def who_arrives(server: socket.socket, clients: list[socket.socket]) -> list[int]:
    for number, client in enumerate(clients):
        client.sendto(bytes([number]) * 100, server.getsockname())
    came: list[int] = []
    while True:
        try:
            came.append(server.recv(2048)[0])
        except TimeoutError:
            return came


def test_only_blocked_addresses_are_dropped_until_they_are_unblocked(sockets: Sockets) -> None:
    server, clients = sockets
    assert who_arrives(server, clients) == [0, 1, 2]
    assert block(server, [clients[1].getsockname()[:2]])
    assert who_arrives(server, clients) == [0, 2]
    assert block(server, [clients[1].getsockname()[:2], clients[0].getsockname()[:2]])
    assert who_arrives(server, clients) == [2]
    assert block(server, [])
    assert who_arrives(server, clients) == [0, 1, 2]
    assert block(server, []), "to remove an empty filter is no error"


def test_the_kernel_accepts_the_longest_filter_program() -> None:
    addresses = [("2001:db8::1", port) for port in range(1000, 1000 + ADDRESSES_MAX)]
    steps = list(program(socket.AF_INET6, addresses))
    assert len(steps) < 4096
    assert max(max(step[1], step[2]) for step in steps) < 256
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as server:
        assert block(server, addresses) == (sys.platform == "linux")
