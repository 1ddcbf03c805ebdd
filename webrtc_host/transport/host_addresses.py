"""Finds the addresses of this machine: which ones peers are given, and which sources are on this machine.

The list of network interfaces is read again after five seconds, so a peer that comes later gets the address
of a Wi-Fi network that changed.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import ifaddr

KEPT_S = 5.0
WILDCARDS = ("0.0.0.0", "::")


def _interfaces() -> tuple[str, ...]:
    """Every address of every interface, with loopback, without link-local IPv6."""
    found: list[str] = []
    for adapter in ifaddr.get_adapters():
        for entry in adapter.ips:
            if isinstance(entry.ip, str):
                found.append(entry.ip)
            elif entry.ip[2] == 0:  # a scope means link-local: usable only with the name of an interface
                found.append(entry.ip[0])
    return tuple(dict.fromkeys(found))


@dataclass
class HostAddresses:
    announced: Sequence[str] = ()
    """Addresses from the configuration, used in place of the found ones."""
    look: Callable[[], tuple[str, ...]] = _interfaces
    clock: Callable[[], float] = time.monotonic
    _found: tuple[str, ...] = ()
    _until_s: float = float("-inf")

    def found(self) -> tuple[str, ...]:
        if self.clock() >= self._until_s:
            self._found = self.look()
            self._until_s = self.clock() + KEPT_S
        return self._found

    def is_own(self, address: str) -> bool:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback or address in self.found()

    def candidates(self, bound: Iterable[str], *, with_loopback: bool) -> tuple[str, ...]:
        """The addresses that a peer is given for sockets bound to `bound`: networks first, loopback last.

        with_loopback: loopback also when there are others. When there are no others, it is always given.
        """
        if self.announced:
            return tuple(dict.fromkeys(self.announced))
        found: dict[str, None] = {}
        for address in bound:
            found.update(dict.fromkeys(self._of_family(address) if address in WILDCARDS else (address,)))
        networks = [a for a in found if not _is_loopback(a)]
        loopback = [a for a in found if _is_loopback(a)]
        return tuple(networks + loopback) if with_loopback or not networks else tuple(networks)

    def _of_family(self, wildcard: str) -> list[str]:
        is_ipv6 = wildcard == "::"
        return [a for a in self.found() if (":" in a) == is_ipv6] or ["::1" if is_ipv6 else "127.0.0.1"]


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback
