from __future__ import annotations

import socket
from contextlib import closing

import pytest

from host_stt_cli.errors import StartError
from host_stt_cli.ports import check_free, free_port
from webrtc_host.transport.listening import open_sockets


def test_a_free_port_is_free() -> None:
    check_free("engine", "127.0.0.1", free_port("127.0.0.1"))
    check_free("media", "localhost", 0)


def test_a_port_in_use_is_one_sentence_with_the_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            StartError, match=rf"port {port} on 127.0.0.1 is already in use.*--set media\.port=PORT"
        ):
            check_free("media", "127.0.0.1", port)


def test_a_udp_port_in_use_is_reported_as_udp() -> None:
    # The TCP socket of the same number does not listen. It hinders no check, and no other test can take it.
    with closing(open_sockets("0.0.0.0", 0)) as other:
        check_free("engine", "127.0.0.1", other.port)
        with pytest.raises(StartError, match=rf"^UDP port {other.port} on 127.0.0.1 is already in use"):
            check_free("media", "127.0.0.1", other.port, with_udp=True)


def test_an_address_of_another_machine_is_one_sentence() -> None:
    with pytest.raises(StartError, match=r"192.0.2.77, which is not an address of this machine"):
        check_free("media", "192.0.2.77", 0)


def test_a_name_that_is_not_known_is_one_sentence() -> None:
    with pytest.raises(StartError, match=r"engine.host is 'no such name'"):
        check_free("engine", "no such name", 8081)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_two_colons_need_the_port_on_both_families(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    check_free("media", "::", free_port("::"), with_udp=True)
    with socket.create_server((host, 0), family=family) as other:
        port = other.getsockname()[1]
        with pytest.raises(StartError, match=rf"port {port} on :: is already in use"):
            check_free("media", "::", port)
