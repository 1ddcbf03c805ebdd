"""How both ports run their HTTP server: no body is unpacked, nothing is waited for longer than it must be.

Owns the settings of aiohttp's server that decide what a stranger may cost, and the refusal of compressed
bodies. Knows no route and no token.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from host_stt_common.bad_requests import Runner

LINGER_S = 1.0
"""For the rest of a body that nobody reads, so that the answer arrives before the connection ends."""
IDLE_S = 75.0
"""A connection kept alive without a request; the usual value of proxies and browsers."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class EncodedBody(web.HTTPUnsupportedMediaType):
    """415: the body is compressed. `code` is what the error's JSON says."""

    code = "encoded_body"


def make_runner(app: web.Application, **settings: Any) -> web.AppRunner:
    """The runner of an application.

    Without `auto_decompress=False` aiohttp unpacks a body while it throws it away, also for a caller without
    a token: 8 MB of gzip are 8 GB, four seconds on the event loop.
    """
    settings |= {"auto_decompress": False, "lingering_time": LINGER_S, "keepalive_timeout": IDLE_S}
    return Runner(app, **settings)


@web.middleware
async def refuse_encoded_body(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Raises EncodedBody for every Content-Encoding but `identity`, whatever the route and the caller."""
    encodings = [
        part.strip().lower()
        for value in request.headers.getall("Content-Encoding", [])
        for part in value.split(",")
    ]
    if encoded := next((one for one in encodings if one not in ("", "identity")), None):
        raise EncodedBody(
            text=f"the body has Content-Encoding {encoded[:40]!r}; nothing is unpacked here, send it as it is"
        )
    return await handler(request)
