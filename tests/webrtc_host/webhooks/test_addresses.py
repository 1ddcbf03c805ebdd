"""Webhooks reach public addresses, and those that the configuration lists; nothing else."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest

from host_stt_common.public_addresses import networks_of
from webrtc_host.webhooks.addresses import LOOK_UPS_MAX, Addresses, AddressRefused, CheckedResolver, check_url

PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1%eth0",
    "fd00::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(AddressRefused, match=r"list it in webhooks\.allow"):
        Addresses().check(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34"])
def test_a_public_address_is_allowed(address: str) -> None:
    Addresses().check(address)


def test_a_listed_network_is_allowed_also_inside_of_ipv6() -> None:
    addresses = Addresses(networks_of(["10.0.0.0/8", "::1"]))
    for address in ("10.1.2.3", "::1", "::ffff:10.1.2.3"):
        addresses.check(address)
    with pytest.raises(AddressRefused):
        addresses.check("192.168.1.1")


def answering(*rounds: list[str]) -> CheckedResolver:
    """A resolver whose DNS gives the addresses of each round, one round for each question."""
    answers = iter(rounds)

    def look_up(host: str, port: int, family: int, kind: int) -> list[Any]:
        return [(socket.AF_INET, kind, 6, "", (address, port)) for address in next(answers)]

    return CheckedResolver(Addresses(), look_up)


async def test_a_name_is_checked_at_every_question() -> None:
    resolver = answering(["93.184.216.34"], ["127.0.0.1"])
    (found,) = await resolver.resolve("hook.example", 443)
    assert found["host"] == "93.184.216.34"
    with pytest.raises(AddressRefused, match=r"127\.0\.0\.1"):
        await resolver.resolve("hook.example", 443)


async def test_only_the_allowed_addresses_of_a_name_are_used() -> None:
    resolver = answering(["10.0.0.1", "93.184.216.34"])
    assert [one["host"] for one in await resolver.resolve("hook.example", 443)] == ["93.184.216.34"]


async def test_look_ups_that_never_end_are_bounded_and_use_no_thread_of_others() -> None:
    released = threading.Event()

    def hanging(host: str, port: int, family: int, kind: int) -> list[Any]:
        released.wait(30)
        raise OSError("no answer")

    resolver = CheckedResolver(Addresses(), hanging)
    asked = [asyncio.create_task(resolver.resolve("hook.example", 443)) for _ in range(LOOK_UPS_MAX)]
    await asyncio.sleep(0)
    assert await asyncio.to_thread(lambda: "free") == "free"
    with pytest.raises(OSError, match="is the DNS server reachable"):
        await resolver.resolve("hook.example", 443)
    released.set()
    ended = await asyncio.gather(*asked, return_exceptions=True)
    assert {str(one) for one in ended} == {"no answer"}
    with pytest.raises(OSError, match="no answer"):
        await resolver.resolve("hook.example", 443)


def test_an_address_in_the_url_is_checked_too() -> None:
    for url in ("http://127.0.0.1:81/x", "http://[::1]/", "https://[::ffff:10.0.0.1]/"):
        with pytest.raises(AddressRefused):
            Addresses().check_literal(url)
    Addresses().check_literal("https://hook.example/")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x.example/",
        "x.example/hook",
        "https://",
        "https://u:p@x.example/",
        "https://x.example/#a",
        "https://x.example:99999/",
        "https://x.example/a b",
        "https://x.example/" + "a" * 2000,
    ],
)
def test_a_url_that_no_webhook_can_use_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        check_url(url)
