"""Fetches the file of a job from an address, within limits of size and time.

Each connection goes to a numeric address that was checked (`addresses`): the check is in the resolver, whose
result is what aiohttp connects to, so a name that changes its address between check and connection changes
nothing. Redirects are followed by hand, and each new address is checked. Proxies of the environment are not
used: they would connect on their own.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from host_stt_common.connection_errors import plain_connection_error
from host_stt_common.public_addresses import Network, is_allowed
from webrtc_host.errors import RequestError
from webrtc_host.jobs.addresses import checked_url, shown
from webrtc_host.jobs.files import Incoming, JobFiles

logger = logging.getLogger(__name__)

REDIRECTS_MAX = 5
STALL_S = 30.0
CONNECT_S = 15.0
TRIES_MAX = 3
RETRY_S = 2.0
READ_BYTES = 256 * 1024
REDIRECTS = (301, 302, 303, 307, 308)


class FetchFailed(Exception):
    """code, message: for the job. is_passing: another try may succeed."""

    def __init__(self, code: str, message: str, *, is_passing: bool = False) -> None:
        super().__init__(message)
        self.code, self.message, self.is_passing = code, message, is_passing


class CheckedResolver(AbstractResolver):
    """Resolves names to allowed addresses only."""

    def __init__(self, allowed: Sequence[Network], resolver: AbstractResolver | None = None) -> None:
        self._allowed = allowed
        self._resolver = resolver or ThreadedResolver()
        self.refused: str | None = None  # the address that was refused last

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        good = [one for one in found if is_allowed(one["host"], self._allowed)]
        if not good:
            self.refused = found[0]["host"] if found else host
            raise OSError(f"{host} has no address that is allowed")
        return good

    async def close(self) -> None:
        await self._resolver.close()


class Fetcher:
    def __init__(
        self,
        files: JobFiles,
        allowed: Sequence[Network],
        total_s: float,
        resolver: AbstractResolver | None = None,
    ) -> None:
        """allowed: networks that are not public and still allowed. resolver: resolves names; None: the
        system.
        """
        self._files, self._allowed, self._total_s, self._resolver = files, allowed, total_s, resolver

    async def fetch(self, job_id: str, address: str) -> tuple[Path, str, int]:
        """(path, the file's name, its bytes). Raises FetchFailed, and RequestError 413 and 507."""
        try:
            async with asyncio.timeout(self._total_s):
                for number in range(1, TRIES_MAX + 1):
                    try:
                        return await self._try(job_id, address)
                    except FetchFailed as error:
                        if not error.is_passing or number == TRIES_MAX:
                            raise
                        logger.info("job %s: %s; another try follows", job_id, error.message)
                    await asyncio.sleep(RETRY_S * number)
        except TimeoutError as error:
            text = f"the file did not arrive within {self._total_s:g} s (jobs.url_s)"
            raise FetchFailed("fetch_timeout", text) from error
        raise AssertionError("the loop returns or raises")

    async def _try(self, job_id: str, address: str) -> tuple[Path, str, int]:
        resolver = CheckedResolver(self._allowed, self._resolver)
        connector = aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False, limit=1)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=STALL_S)
        try:
            async with aiohttp.ClientSession(
                connector=connector, timeout=timeout, auto_decompress=False, trust_env=False
            ) as client:
                return await self._follow(client, job_id, checked_url(address))
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            if resolver.refused is not None:
                raise _refused(resolver.refused) from error
            text = f"{shown(address)} cannot be fetched: {plain_connection_error(error)}"
            is_passing = not isinstance(error, aiohttp.InvalidURL)
            raise FetchFailed("fetch_failed", text, is_passing=is_passing) from error

    async def _follow(self, client: aiohttp.ClientSession, job_id: str, url: URL) -> tuple[Path, str, int]:
        for _ in range(REDIRECTS_MAX + 1):
            self._check_literal(url)
            async with client.get(
                url, allow_redirects=False, headers={"Accept-Encoding": "identity"}
            ) as response:
                if response.status in REDIRECTS and "Location" in response.headers:
                    url = _checked_redirect(url, response.headers["Location"])
                    continue
                if response.status != 200:
                    text = f"{shown(str(url))} responded with {response.status}"
                    raise FetchFailed("fetch_failed", text, is_passing=response.status >= 500)
                return await self._receive(response, job_id, url)
        raise FetchFailed("fetch_failed", f"more than {REDIRECTS_MAX} redirects")

    def _check_literal(self, url: URL) -> None:
        """A numeric host does not go through the resolver."""
        host = url.host or ""
        try:
            ip_address(host.partition("%")[0])
        except ValueError:
            return
        if not is_allowed(host, self._allowed):
            raise _refused(host)

    async def _receive(
        self, response: aiohttp.ClientResponse, job_id: str, url: URL
    ) -> tuple[Path, str, int]:
        announced = response.content_length
        async with self._files.incoming(job_id, announced) as incoming:
            await _pour(response, incoming)
            if announced is not None and incoming.size < announced:
                raise FetchFailed("fetch_failed", "the file broke off on its way", is_passing=True)
            path = await incoming.finish(job_id)
        return path, _name_of(url), incoming.size


async def _pour(response: aiohttp.ClientResponse, incoming: Incoming) -> None:
    pieces: Any = response.content.iter_chunked(READ_BYTES)
    async for piece in pieces:
        await incoming.add(piece)


def _checked_redirect(url: URL, location: str) -> URL:
    try:
        return checked_url(str(url.join(URL(location))))
    except (RequestError, ValueError) as error:
        raise FetchFailed("fetch_failed", "a redirect leads to something that is not http") from error


def _refused(address: str) -> FetchFailed:
    text = (
        f"the address {address} is not public, so nothing is fetched from it; the setting jobs.url_networks "
        "can allow its network"
    )
    return FetchFailed("address_refused", text)


def _name_of(url: URL) -> str:
    return PurePosixPath(unquote(url.path)).name[:200]
