from __future__ import annotations

import pytest

from webrtc_host.transport.host_addresses import KEPT_S, HostAddresses

FOUND = ("127.0.0.1", "::1", "192.168.1.5", "10.8.0.2", "2001:db8::5")


def hosts(*announced: str, found: tuple[str, ...] = FOUND) -> HostAddresses:
    return HostAddresses(announced, look=lambda: found)


@pytest.mark.parametrize(
    ("bound", "with_loopback", "told"),
    [
        (["0.0.0.0"], False, ("192.168.1.5", "10.8.0.2")),
        (["0.0.0.0"], True, ("192.168.1.5", "10.8.0.2", "127.0.0.1")),
        (["::"], False, ("2001:db8::5",)),
        (["0.0.0.0", "::"], True, ("192.168.1.5", "10.8.0.2", "2001:db8::5", "127.0.0.1", "::1")),
        (["10.8.0.2"], False, ("10.8.0.2",)),
    ],
)
def test_peers_get_the_addresses_that_the_socket_listens_on(
    bound: list[str], with_loopback: bool, told: tuple[str, ...]
) -> None:
    assert hosts().candidates(bound, with_loopback=with_loopback) == told


def test_a_machine_without_a_network_offers_loopback() -> None:
    lonely = hosts(found=("127.0.0.1",))
    assert lonely.candidates(["0.0.0.0"], with_loopback=False) == ("127.0.0.1",)
    assert hosts(found=()).candidates(["0.0.0.0"], with_loopback=False) == ("127.0.0.1",)
    assert hosts(found=()).candidates(["::"], with_loopback=False) == ("::1",)


def test_announced_addresses_replace_all_others() -> None:
    told = hosts("203.0.113.9", "203.0.113.9", "2001:db8::9").candidates(["0.0.0.0"], with_loopback=True)
    assert told == ("203.0.113.9", "2001:db8::9")


def test_which_addresses_belong_to_this_machine() -> None:
    own = hosts()
    assert all(own.is_own(address) for address in (*FOUND, "127.9.9.9"))
    assert not own.is_own("192.168.1.6")
    assert not own.is_own("fe80::1%eth0")


def test_a_changed_network_is_noticed_after_a_few_seconds() -> None:
    now_s = 100.0
    found = ["192.168.1.5"]
    own = HostAddresses((), look=lambda: tuple(found), clock=lambda: now_s)
    assert own.candidates(["0.0.0.0"], with_loopback=False) == ("192.168.1.5",)
    found[:] = ["192.168.7.7"]
    assert own.candidates(["0.0.0.0"], with_loopback=False) == ("192.168.1.5",)
    now_s += KEPT_S
    assert own.candidates(["0.0.0.0"], with_loopback=False) == ("192.168.7.7",)


def test_the_interfaces_of_this_machine_are_read() -> None:
    assert "127.0.0.1" in HostAddresses().found()
