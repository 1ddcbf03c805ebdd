"""Plain words for the errors of an HTTP client: why a host could not be reached, or did not deliver."""

from __future__ import annotations

import aiohttp

from host_stt_common.plain import plain_error


def plain_connection_error(error: BaseException) -> str:
    """A part of a sentence for the error, without Python in it."""
    match error:
        case aiohttp.InvalidURL():
            return "that is not an address"
        case aiohttp.ClientConnectorDNSError():
            return "the name of the host is not known"
        case aiohttp.ClientSSLError():
            return "no encrypted connection could be made (TLS)"
        case aiohttp.ClientConnectorError():
            return plain_error(error.os_error, "the connection failed")
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError():
            return "the connection broke off"
        case TimeoutError():
            return "the other side did not answer in time"
        case aiohttp.ClientResponseError():
            return "the answer is not HTTP"
        case _:
            return plain_error(error, "the connection failed")
