"""Which addresses a webhook may be sent to. Private, loopback and link-local ones only when they are listed.

Without this check, a person who may add a webhook could reach services inside the network through this
server. Invariant: the address that is checked is the address that is connected to, because the resolver
checks what it gives to the connection, at every attempt. A change of DNS between two look-ups changes
nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult

from host_stt_common.public_addresses import Network, is_allowed

URL_CHARS_MAX = 2_000
LOOK_UPS_MAX = 40
LookUp = Callable[[str, int, int, int], list[Any]]
"""(host, port, family, kind of socket) -> as `socket.getaddrinfo`. Blocking."""


class AddressRefused(OSError):
    """The address is not allowed; the text says which one, and the way out."""


class Addresses:
    """The rule. allowed: networks of the configuration (`webhooks.allow`)."""

    def __init__(self, allowed: Sequence[Network] = ()) -> None:
        self._allowed = tuple(allowed)

    def check(self, address: str) -> None:
        """Raises AddressRefused. address: an IP address, also with a zone."""
        if not is_allowed(address, self._allowed):
            raise AddressRefused(
                f"the address {address} is not public; to allow it, list it in webhooks.allow"
            )

    def check_literal(self, url: str) -> None:
        """Check an address that stands in the URL itself, because no resolver is asked for it."""
        host = urlsplit(url).hostname or ""
        try:
            ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return
        self.check(host)


class CheckedResolver(AbstractResolver):
    """Resolves names for aiohttp, and gives it only addresses that the rule allows.

    Each look-up has a thread of its own, which nothing waits for at the stop: a DNS server that does not
    answer must not use up the threads that other parts of the server need.
    """

    def __init__(self, addresses: Addresses, look_up: LookUp = socket.getaddrinfo) -> None:
        self._addresses = addresses
        self._look_up = look_up
        self._waiting = 0  # look-ups that have not ended, also of attempts that gave up

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises AddressRefused when no address of the name is allowed, OSError when there is none."""
        if self._waiting >= LOOK_UPS_MAX:
            raise OSError(f"{LOOK_UPS_MAX} names are being looked up already; is the DNS server reachable?")
        found: list[ResolveResult] = []
        refused: AddressRefused | None = None
        for of_family, _, proto, _, sockaddr in await self._in_thread(host, port, family):
            address = str(sockaddr[0])
            try:
                self._addresses.check(address)
            except AddressRefused as error:
                refused = error
                continue
            found.append(
                ResolveResult(
                    hostname=host,
                    host=address,
                    port=port,
                    family=of_family,
                    proto=proto,
                    flags=socket.AI_NUMERICHOST,
                )
            )
        if not found and refused is not None:
            raise refused
        return found

    async def _in_thread(self, host: str, port: int, family: int) -> list[Any]:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[list[Any]] = loop.create_future()

        def end(found: list[Any], error: OSError | UnicodeError | None) -> None:
            self._waiting -= 1
            if done.done():
                return  # the attempt gave up
            if error is None:
                done.set_result(found)
            else:
                done.set_exception(error)

        def run() -> None:
            found: list[Any] = []
            failure: OSError | UnicodeError | None = None
            try:
                found = self._look_up(host, port, family, socket.SOCK_STREAM)
            except (OSError, UnicodeError) as error:
                failure = error
            with contextlib.suppress(RuntimeError):  # the server has stopped meanwhile
                loop.call_soon_threadsafe(end, found, failure)

        self._waiting += 1
        threading.Thread(target=run, name="webhook name look-up", daemon=True).start()
        return await done

    async def close(self) -> None:
        return None


def check_url(url: str) -> str:
    """The URL of a webhook. Raises ValueError (one sentence) for what no webhook can be sent to."""
    if len(url) > URL_CHARS_MAX or not url.isprintable() or " " in url:
        raise ValueError(f"is no URL, or has more than {URL_CHARS_MAX} characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError("is no URL") from error
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError("is not an address such as https://example.org/hook")
    if parts.username or parts.password:
        raise ValueError("has a user name or a password; the signature proves who sends")
    if parts.fragment or port == 0:
        raise ValueError("has a part behind #, or port 0")
    return url
