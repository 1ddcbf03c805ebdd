"""Settings of the HTTP server of both ports: no body is decompressed, and waiting times are short.

Contains the aiohttp settings that limit what a caller without a token can cost, and refuses compressed
bodies. Routes and tokens are handled elsewhere.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from host_stt_common.bad_requests import Runner

LINGER_S = 1.0
"""How long the rest of an unread body is received, so that the response arrives before the connection ends.
"""
IDLE_S = 75.0
"""How long a connection stays open without a request; the usual value of proxies and browsers."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class EncodedBody(web.HTTPUnsupportedMediaType):
    """415: the body is compressed. `code` is the code in the error's JSON."""

    code = "encoded_body"


def make_runner(app: web.Application, **settings: Any) -> web.AppRunner:
    """The runner of an application.

    Without `auto_decompress=False` aiohttp decompresses even a body that it discards, also for a caller
    without a token: 8 MB of gzip become 8 GB, which takes four seconds on the event loop.
    """
    settings |= {"auto_decompress": False, "lingering_time": LINGER_S, "keepalive_timeout": IDLE_S}
    return Runner(app, **settings)


@web.middleware
async def refuse_encoded_body(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Raises EncodedBody for every Content-Encoding except `identity`, for all routes and callers."""
    encodings = [
        part.strip().lower()
        for value in request.headers.getall("Content-Encoding", [])
        for part in value.split(",")
    ]
    if encoded := next((one for one in encodings if one not in ("", "identity")), None):
        raise EncodedBody(text=f"the body has Content-Encoding {encoded[:40]!r}; send the body uncompressed")
    return await handler(request)
