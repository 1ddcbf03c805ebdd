"""What both ports answer to bytes that are no HTTP, and to what no handler took: the form of all errors.

Owns the part of aiohttp's server that speaks where no middleware is asked. aiohttp answers there in plain
text with a piece of the bytes, and logs each time an error with its traceback: a stranger could fill the
log.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from aiohttp import http_exceptions, web
from aiohttp.web_protocol import RequestHandler

logger = logging.getLogger(__name__)

_SENTENCE = "this is not a proper HTTP request: {}"


class Runner(web.AppRunner):
    """As aiohttp's, with connections that answer bad requests as all errors are answered."""

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(
            made.request_handler,
            request_factory=made.request_factory,
            handler_cancellation=made.handler_cancellation,
            loop=made._loop,
            **made._kwargs,
        )


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(RequestHandler):
    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """status: 400 for what the parser refuses, else of a handler that raised. Ends the connection."""
        is_ours = status >= 500
        if is_ours:
            self.log_exception("a request of %s failed", request.remote, exc_info=exc)
        else:
            logger.debug("x bad request from %s: %s", request.remote, message)
        if request.writer.output_size > 0:
            raise ConnectionError("a part of the answer has been sent; an error cannot follow it")
        said = HTTPStatus(status).phrase if is_ours else _SENTENCE.format(_what_is_wrong(exc, message))
        error: dict[str, Any] = {"code": "internal_error" if is_ours else "bad_request", "message": said}
        response = web.json_response({"error": error}, status=status)
        response.force_close()
        return response


def _what_is_wrong(exc: BaseException | None, message: str | None) -> str:
    """The parser's complaint without the bytes it was about."""
    if isinstance(exc, http_exceptions.LineTooLong):
        return f"a line of its head is longer than {exc.args[1]} bytes"
    if isinstance(exc, http_exceptions.InvalidHeader):
        return "a header cannot be read"
    lines = [line.strip() for line in (message or "").splitlines() if line.strip()]
    spoken = [line for line in lines[:2] if "'" not in line.replace("'Host'", "") and '"' not in line]
    return "; ".join(line.rstrip(":.").lower() for line in spoken)[:120] or "its head cannot be read"
