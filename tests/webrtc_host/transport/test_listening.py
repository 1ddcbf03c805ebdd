from __future__ import annotations

import errno
import socket
from contextlib import closing

import pytest

from host_stt_common.sockets import resolve
from webrtc_host.transport.listening import open_sockets, udp_address


def test_tcp_and_udp_get_the_same_port_also_when_any_port_is_allowed() -> None:
    listening = open_sockets("127.0.0.1", 0)
    try:
        numbers = {one.getsockname()[1] for one in (*listening.tcp, *listening.udp)}
        assert numbers == {listening.port}
        assert listening.is_local
        assert [one.getsockname()[0] for one in listening.tcp] == ["127.0.0.1"]
        assert [one.getsockname()[0] for one in listening.udp] == ["0.0.0.0"], "browsers of this machine send"
    finally:
        listening.close()


def test_an_address_of_the_network_is_bound_as_it_is() -> None:
    assert udp_address(socket.AF_INET, "192.0.2.5") == "192.0.2.5"
    assert udp_address(socket.AF_INET, "0.0.0.0") == "0.0.0.0"
    assert udp_address(socket.AF_INET6, "::1") == "::"
    listening = open_sockets("0.0.0.0", 0)
    listening.close()
    assert not listening.is_local


@pytest.mark.parametrize(
    ("kind", "name"), [(socket.SOCK_STREAM, "TCP"), (socket.SOCK_DGRAM, "UDP")], ids=["tcp", "udp"]
)
def test_the_error_of_a_used_port_names_the_protocol_and_no_socket_stays_open(
    kind: socket.SocketKind, name: str
) -> None:
    # The other program holds both numbers, so no test beside this one can take the one that must be free. A
    # TCP socket that does not listen stops nobody from binding: Linux allows it to sockets with SO_REUSEADDR.
    with closing(open_sockets("0.0.0.0", 0)) as other:
        if kind == socket.SOCK_STREAM:
            other.tcp[0].listen()
        expected = rf"{name} port {other.port} on .*: address already in use"
        with pytest.raises(OSError, match=expected) as caught:
            open_sockets("127.0.0.1", other.port)
        assert caught.value.errno == errno.EADDRINUSE


def test_a_host_name_is_bound_on_each_address_family_that_it_has() -> None:
    listening = open_sockets("localhost", 0)
    try:
        assert {one.getsockname()[0] for one in listening.tcp} <= {"127.0.0.1", "::1"}
        assert len(listening.tcp) == len(listening.udp) >= 1
        assert {one.getsockname()[1] for one in (*listening.tcp, *listening.udp)} == {listening.port}
    finally:
        listening.close()


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_two_colons_mean_every_address_of_both_families(family: socket.AddressFamily) -> None:
    listening = open_sockets("::", 0)
    target = "127.0.0.1" if family == socket.AF_INET else "::1"
    try:
        assert not listening.is_local
        assert [one.getsockname()[0] for one in listening.tcp] == ["::", "0.0.0.0"]
        assert [one.getsockname()[0] for one in listening.udp] == ["::", "0.0.0.0"]
        for one in listening.tcp:
            one.listen()
        with socket.create_connection((target, listening.port), timeout=5):
            accepting = next(one for one in listening.tcp if one.family == family)
            connection, (address, *_) = accepting.accept()
            connection.close()
            assert address == target, "never an IPv4-mapped address"
        with socket.socket(family, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"x", (target, listening.port))
            receiving = next(one for one in listening.udp if one.family == family)
            receiving.settimeout(5)
            _, (address, *_) = receiving.recvfrom(10)
            assert address == target
    finally:
        listening.close()


def test_a_port_that_is_used_on_one_family_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        number = other.getsockname()[1]
        with pytest.raises(OSError, match=rf"TCP port {number} on 0.0.0.0: address already in use"):
            open_sockets("::", number)


def test_an_unknown_host_name_is_an_os_error() -> None:
    with pytest.raises(OSError):
        resolve("no such name", 8082)
