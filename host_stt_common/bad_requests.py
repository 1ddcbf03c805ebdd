"""Answer bytes that are not HTTP, and errors outside of any handler, with the JSON of all other errors.

Replaces the part of aiohttp's server that responds before the middlewares run. aiohttp responds there in
plain text that repeats part of the bytes, and logs an error with a traceback each time, so strangers could
fill the log.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from aiohttp import HttpVersion10, HttpVersion11, http_exceptions, web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from host_stt_common.garbage import clear_tracebacks

logger = logging.getLogger(__name__)

_Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
_VERSION = web.RequestKey("refused_version", str)
_SENTENCE = "this is not a proper HTTP request: {}"


class Runner(web.AppRunner):
    """Like aiohttp's AppRunner, but bad requests get the same JSON errors as all others."""

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(
            _with_json_refusals(made.request_handler),
            request_factory=_in_http_1(made.request_factory),
            handler_cancellation=made.handler_cancellation,
            loop=made._loop,
            **made._kwargs,
        )


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


def _in_http_1(make: Callable[..., web.BaseRequest]) -> Callable[..., web.BaseRequest]:
    """Mark requests of other HTTP versions and respond in 1.1. aiohttp would respond in their version."""

    def make_one(message: RawRequestMessage, *rest: Any) -> web.BaseRequest:
        if message.version in (HttpVersion10, HttpVersion11):
            return make(message, *rest)
        request = make(message._replace(version=HttpVersion11, should_close=True), *rest)
        request[_VERSION] = f"HTTP/{message.version.major}.{message.version.minor}"
        return request

    return make_one


def _with_json_refusals(handle: _Handler) -> _Handler:
    """Handle what aiohttp refuses before the middlewares run: the HTTP version and the `Expect` header."""

    async def handle_one(request: web.BaseRequest) -> web.StreamResponse:
        if version := request.get(_VERSION):
            return _refusal(400, _SENTENCE.format(f"this server speaks HTTP/1.1, not {version}"))
        try:
            response = await handle(request)
            _clear_socket_tracebacks(response)
            return response
        except web.HTTPException as error:
            if error.status < 400 or error.content_type == "application/json":
                raise
            said = HTTPStatus(error.status).phrase.lower()
            if error.status == HTTPStatus.EXPECTATION_FAILED:
                said = "the only expectation that can be met is 100-continue"
            return _refusal(error.status, said)
        finally:
            _clear_request_tracebacks(request)

    return handle_one


def _clear_request_tracebacks(request: web.BaseRequest) -> None:
    """Drop the frames kept by a request's route and body. They hold the request itself, which is a cycle."""
    match = getattr(request, "_match_info", None)  # None: no route was looked for
    if match is not None:
        clear_tracebacks(match.http_exception)
    clear_tracebacks(request.content.exception())


def _clear_socket_tracebacks(response: web.StreamResponse) -> None:
    """Drop the frames kept by a WebSocket that has ended, and by the queue of its messages."""
    if isinstance(response, web.WebSocketResponse):
        clear_tracebacks(response.exception())
        if response._reader is not None:
            clear_tracebacks(response._reader.exception())


def _refusal(status: int, message: str, code: str = "bad_request") -> web.Response:
    response = web.json_response({"error": {"code": code, "message": message}}, status=status)
    response.force_close()
    return response


class _Connection(RequestHandler):
    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """Parse, then drop the frames of what the parser raised. A variable of the frame that the exception
        went through refers to the exception. Without this, the cycle would keep the connection and these
        bytes, up to 256 kB, until the collector finds it.
        """
        super().data_received(data)
        for message, _ in self._messages:
            if isinstance(message, _ErrInfo):
                clear_tracebacks(message.exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """status: 400 for what the parser refuses, else for a handler that raised. Closes the connection."""
        if isinstance(exc, ConnectionError):
            logger.debug("x %s closed the connection during its request: %s", request.remote, exc)
        elif status >= 500:
            self.log_exception("a request from %s failed", request.remote, exc_info=exc)
        else:
            # its bytes may hold a token
            self.logger.info("a request was not valid HTTP: %s", type(exc).__name__)
        if request.writer.output_size > 0:
            raise ConnectionError("a part of the response has been sent; an error cannot follow it")
        if status >= 500:
            return _refusal(status, "the server made a mistake; its log has the details", "internal")
        return _refusal(status, _SENTENCE.format(_what_is_wrong(exc, message)))


def _what_is_wrong(exc: BaseException | None, message: str | None) -> str:
    """The parser's message without the bytes that it quotes."""
    if isinstance(exc, http_exceptions.LineTooLong):
        return f"a line of its head is longer than {exc.args[1]} bytes"
    if isinstance(exc, http_exceptions.InvalidHeader):
        return "a header cannot be read"
    lines = [line.strip() for line in (message or "").splitlines() if line.strip()]
    spoken = [line for line in lines[:2] if "'" not in line.replace("'Host'", "") and '"' not in line]
    return "; ".join(line.rstrip(":.").lower() for line in spoken)[:120] or "its head cannot be read"
