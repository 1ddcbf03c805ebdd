"""Sends deliveries: one attempt, with a bounded time and without reading the response.

Redirects are not followed, because they lead to an address that no person has entered.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from host_stt_common import __version__
from host_stt_common.plain import plain_error
from webrtc_host.webhooks.addresses import Addresses, AddressRefused, CheckedResolver
from webrtc_host.webhooks.signing import headers_of

ERROR_CHARS_MAX = 200


@dataclass(frozen=True, slots=True)
class Outcome:
    """status: of the response; None: there was none. error: a sentence; None: it was delivered."""

    status: int | None
    error: str | None
    took_ms: int


class Sender:
    """Use it inside `running`."""

    def __init__(
        self, addresses: Addresses, timeout_s: float, wall_s: Callable[[], float] = time.time
    ) -> None:
        self._addresses = addresses
        self._timeout_s = timeout_s
        self._wall_s = wall_s
        self._client: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        # A connection for each attempt, and no cache of names: so every attempt is checked.
        connector = aiohttp.TCPConnector(
            resolver=CheckedResolver(self._addresses), use_dns_cache=False, force_close=True, limit=0
        )
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=self._timeout_s),
            headers={"User-Agent": f"host-stt/{__version__}"},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        ) as client:
            self._client = client
            try:
                yield
            finally:
                self._client = None

    def check(self, url: str) -> None:
        """Raises AddressRefused when the URL has an address in numbers that is not allowed."""
        self._addresses.check_literal(url)

    async def send(self, url: str, secret: str, delivery: str, event: str, body: bytes) -> Outcome:
        """Never raises, except CancelledError."""
        began_s = time.monotonic()
        status, error = await self._try(url, secret, delivery, event, body)
        return Outcome(status, error, round((time.monotonic() - began_s) * 1000))

    async def _try(
        self, url: str, secret: str, delivery: str, event: str, body: bytes
    ) -> tuple[int | None, str | None]:
        if self._client is None:
            return None, "the server is stopping"
        headers = headers_of(secret, delivery, event, body, int(self._wall_s()))
        try:
            self.check(url)
            async with self._client.post(url, data=body, headers=headers, allow_redirects=False) as response:
                return response.status, _refusal(response.status)
        except TimeoutError:
            return None, f"there was no answer within {self._timeout_s:g} s"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return None, _plain(error)


def _refusal(status: int) -> str | None:
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return f"the receiver answered {status}, a redirect, which is not followed; enter the final address"
    return f"the receiver answered {status}"


def _plain(error: BaseException) -> str:
    """One sentence. aiohttp wraps the error of the resolver, which has the reason."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, AddressRefused):
            return str(seen)
        seen = seen.__cause__ or getattr(seen, "os_error", None)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "the certificate of the receiver cannot be verified"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the name of the receiver cannot be resolved"
    reason = plain_error(getattr(error, "os_error", error), str(error) or type(error).__name__)
    return f"the receiver cannot be reached: {reason}"[:ERROR_CHARS_MAX]
