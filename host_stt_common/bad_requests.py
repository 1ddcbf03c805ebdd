"""What both ports answer to bytes that are no HTTP, and to what no handler took: the form of all errors.

Owns the part of aiohttp's server that speaks where no middleware is asked. aiohttp answers there in plain
text with a piece of the bytes, and logs each time an error with its traceback: a stranger could fill the
log.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from aiohttp import HttpVersion10, HttpVersion11, http_exceptions, web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from host_stt_common.garbage import forget_frames

logger = logging.getLogger(__name__)

_Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
_VERSION = web.RequestKey("refused_version", str)
_SENTENCE = "this is not a proper HTTP request: {}"


class Runner(web.AppRunner):
    """As aiohttp's, with connections that answer bad requests as all errors are answered."""

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(
            _answering_refusals(made.request_handler),
            request_factory=_in_http_1(made.request_factory),
            handler_cancellation=made.handler_cancellation,
            loop=made._loop,
            **made._kwargs,
        )


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


def _in_http_1(make: Callable[..., web.BaseRequest]) -> Callable[..., web.BaseRequest]:
    """Requests of other versions are marked, and answered in 1.1: aiohttp would answer in theirs."""

    def make_one(message: RawRequestMessage, *rest: Any) -> web.BaseRequest:
        if message.version in (HttpVersion10, HttpVersion11):
            return make(message, *rest)
        request = make(message._replace(version=HttpVersion11, should_close=True), *rest)
        request[_VERSION] = f"HTTP/{message.version.major}.{message.version.minor}"
        return request

    return make_one


def _answering_refusals(handle: _Handler) -> _Handler:
    """What is refused before the application's middlewares are asked: the version, the expectation."""

    async def handle_one(request: web.BaseRequest) -> web.StreamResponse:
        if version := request.get(_VERSION):
            return _refusal(400, _SENTENCE.format(f"this server speaks HTTP/1.1, not {version}"))
        try:
            response = await handle(request)
            _forget_frames_of_socket(response)
            return response
        except web.HTTPException as error:
            if error.status < 400 or error.content_type == "application/json":
                raise
            said = HTTPStatus(error.status).phrase.lower()
            if error.status == HTTPStatus.EXPECTATION_FAILED:
                said = "the only expectation that can be met is 100-continue"
            return _refusal(error.status, said)
        finally:
            _forget_frames_of(request)

    return handle_one


def _forget_frames_of(request: web.BaseRequest) -> None:
    """Its route and its body keep what they raise, and the frames that went through hold the request."""
    match = getattr(request, "_match_info", None)  # None: no route was looked for
    if match is not None:
        forget_frames(match.http_exception)
    forget_frames(request.content.exception())


def _forget_frames_of_socket(response: web.StreamResponse) -> None:
    """A WebSocket that has ended keeps why, and so does the queue of its messages."""
    if isinstance(response, web.WebSocketResponse):
        forget_frames(response.exception())
        if response._reader is not None:
            forget_frames(response._reader.exception())


def _refusal(status: int, message: str, code: str = "bad_request") -> web.Response:
    response = web.json_response({"error": {"code": code, "message": message}}, status=status)
    response.force_close()
    return response


class _Connection(RequestHandler):
    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """What the parser raised waits in a variable of the frame that it went through: a cycle that would
        hold the connection and these bytes, up to 256 kB, until the collector finds it.
        """
        super().data_received(data)
        for message, _ in self._messages:
            if isinstance(message, _ErrInfo):
                forget_frames(message.exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """status: 400 for what the parser refuses, else of a handler that raised. Ends the connection."""
        if isinstance(exc, ConnectionError):
            logger.debug("x %s left in the middle of its request: %s", request.remote, exc)
        elif status >= 500:
            self.log_exception("a request of %s failed", request.remote, exc_info=exc)
        else:
            self.logger.info("a request was no HTTP: %s", type(exc).__name__)  # its bytes may hold a token
        if request.writer.output_size > 0:
            raise ConnectionError("a part of the answer has been sent; an error cannot follow it")
        if status >= 500:
            return _refusal(status, "the server made a mistake; its log has the details", "internal")
        return _refusal(status, _SENTENCE.format(_what_is_wrong(exc, message)))


def _what_is_wrong(exc: BaseException | None, message: str | None) -> str:
    """The parser's complaint without the bytes it was about."""
    if isinstance(exc, http_exceptions.LineTooLong):
        return f"a line of its head is longer than {exc.args[1]} bytes"
    if isinstance(exc, http_exceptions.InvalidHeader):
        return "a header cannot be read"
    lines = [line.strip() for line in (message or "").splitlines() if line.strip()]
    spoken = [line for line in lines[:2] if "'" not in line.replace("'Host'", "") and '"' not in line]
    return "; ".join(line.rstrip(":.").lower() for line in spoken)[:120] or "its head cannot be read"
