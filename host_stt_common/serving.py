"""How both ports run their HTTP server: no body is unpacked, nothing is waited for longer than it must be.

Owns the settings of aiohttp's server that decide what a stranger may cost, and the refusal of compressed
bodies. Knows no route and no token.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

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
    _speak_plainly()
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


_handle_error = RequestHandler.handle_error
_SENTENCE = re.compile(r"[A-Z][A-Za-z ,-]{3,80}")


def _speak_plainly() -> None:
    """Have aiohttp answer what is no HTTP with our JSON, not with Python's `b'...'`. Twice is harmless."""
    RequestHandler.handle_error = _plain_refusal  # type: ignore[method-assign]


def _plain_refusal(
    self: RequestHandler,
    request: web.BaseRequest,
    status: int = 500,
    exc: BaseException | None = None,
    message: str | None = None,
) -> web.StreamResponse:
    """In place of the handler's own, which logs and decides that the connection ends."""
    _handle_error(self, request, status, exc, message)
    if status >= 500:
        code, text = "internal", "the server made a mistake; its log has the details"
    else:
        head = (message or "").partition("\n")[0].rstrip(": ")
        why = head[0].lower() + head[1:] if _SENTENCE.fullmatch(head) else "its address is not valid"
        code, text = "bad_request", f"the request cannot be read as HTTP: {why}"
    response = web.json_response({"error": {"code": code, "message": text}}, status=status)
    response.force_close()
    return response
