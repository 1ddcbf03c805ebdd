"""`/v1/audio/…` and `/v1/models` on 8082: requests of OpenAI's clients, handed through to the engine on 8081.

So one address serves everything. This module checks the caller and the number of files at the same time; the
engine checks the form and transcribes. The body of the request and of the response are passed on piece by
piece in both directions. Invariants: at most a few pieces of a file are in memory; the token of the caller
does not go to the engine; when the caller leaves, the request to the engine ends.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from http import HTTPStatus

import aiohttp
from aiohttp import hdrs, web

from host_stt_common.places import NoPlace, Places
from webrtc_host.errors import Overloaded, RequestError
from webrtc_host.http.audit import BROKEN_OFF, OUTCOME
from webrtc_host.http.auth import key_of
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import LEFT_STATUS, has_left

logger = logging.getLogger(__name__)

FILES_MAX = 16
"""Files that are handed through at the same time; the engine itself works on four."""
CONNECT_S = 5.0
LEFT_CHECK_S = 0.25
RETRY_AFTER_S = 2.0
PASSED_ON = (
    *(hdrs.CONTENT_TYPE, hdrs.CONTENT_LENGTH, hdrs.RETRY_AFTER, hdrs.CACHE_CONTROL, "X-Accel-Buffering"),
    *("X-Audio-Complete", "X-Audio-Seconds", "X-Audio-Track", "X-Audio-Announced-Seconds"),
)
"""Headers of the engine's response that the caller gets."""
_REFUSALS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_ERRORS = (408, 413, 415, 422)


class EngineFilesDoor:
    def __init__(self, engine_url: str, engine_token: str = "", files_max: int = FILES_MAX) -> None:
        """engine_url: of 8081, for example http://127.0.0.1:8081."""
        self._url = engine_url.rstrip("/")
        self._token = engine_token
        self._places = Places(files_max)

    @Route(
        "POST",
        "/v1/audio/transcriptions",
        Role.OPERATOR,
        "Transcribe a recording, as with OpenAI",
        audit="transcribed file",
        errors=_ERRORS,
    )
    @Route(
        "POST",
        "/v1/audio/translations",
        Role.OPERATOR,
        "Translate a recording into English, as with OpenAI",
        audit="translated file",
        errors=(404, *_ERRORS),
    )
    async def files(self, request: web.Request) -> web.StreamResponse:
        try:
            with self._places.take(key_of(request)):
                return await self._hand_through(request)
        except NoPlace as error:
            message = f"{error.held} files {error.who} are being transcribed already; send this one later"
            raise Overloaded("too_many", message, retry_after_s=RETRY_AFTER_S, status=429) from error

    @Route("GET", "/v1/models", Role.VIEWER, "The model in use, in OpenAI's form")
    @Route("GET", "/v1/models/{id}", Role.VIEWER, "The model in use, under any name", errors=(404,))
    async def models(self, request: web.Request) -> web.StreamResponse:
        return await self._hand_through(request)

    async def _hand_through(self, request: web.Request) -> web.StreamResponse:
        """Pass the request on and the response back. Raises RequestError."""
        body = _Body(request)
        work = asyncio.create_task(self._ask(request, body), name=f"to the engine: {request.path}")
        try:
            while not work.done():
                await asyncio.wait({work}, timeout=LEFT_CHECK_S)
                if not work.done() and has_left(request):
                    return web.Response(status=LEFT_STATUS)
            return await work
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            return _failed(request, body, error)
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def _ask(self, request: web.Request, body: _Body) -> web.StreamResponse:
        # One client for each request: files are few and large, and a new connection takes less than 1 ms.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)
        async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as client:
            answer = await client.request(
                request.method,
                self._url + request.rel_url.raw_path,
                headers=self._headers(request),
                data=body.pieces() if request.can_read_body else None,
                allow_redirects=False,
            )
            try:
                return await _pass_back(request, answer)
            finally:
                # Not `async with`: that would wait for the rest of the upload, after a refusal too.
                answer.close()

    def _headers(self, request: web.Request) -> dict[str, str]:
        names = (hdrs.CONTENT_TYPE, hdrs.CONTENT_LENGTH, hdrs.ACCEPT)
        headers = {str(name): request.headers[name] for name in names if name in request.headers}
        headers[hdrs.ACCEPT_ENCODING] = "identity"
        if self._token:
            headers[hdrs.AUTHORIZATION] = f"Bearer {self._token}"
        return headers


class _Body:
    """The body of a request on its way to the engine. error: what ended it too early."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.error: Exception | None = None

    async def pieces(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._request.content.iter_any():
                yield piece
        except Exception as error:
            self.error = error
            raise


async def _pass_back(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    """Send the engine's response to the caller, piece by piece."""
    if answer.status in _REFUSALS:
        raise RequestError(
            "engine_refuses", "the engine does not accept this server's token (engine.token)", 502
        )
    headers = {name: answer.headers[name] for name in PASSED_ON if name in answer.headers}
    if answer.status >= HTTPStatus.BAD_REQUEST:
        # Read whole: it is short. The rest of the upload is not read, so the connection ends with it.
        response = web.Response(status=answer.status, body=await answer.read(), headers=headers)
        if not request.content.is_eof():
            response.force_close()
        return response
    stream = web.StreamResponse(status=answer.status, headers=headers)
    await stream.prepare(request)
    try:
        async for piece in answer.content.iter_any():
            await stream.write(piece)
        await stream.write_eof()
    except (aiohttp.ClientError, ConnectionError) as error:
        # The response has begun, so its status cannot change. The caller sees that it ends too early.
        logger.warning("%s: the response broke off: %r", request.rel_url.raw_path[:200], error)
        request[OUTCOME] = BROKEN_OFF
        if request.transport is not None:
            request.transport.abort()
    return stream


def _failed(request: web.Request, body: _Body, error: Exception) -> web.StreamResponse:
    """The response when the engine could not be asked, or the caller's body ended too early. Raises."""
    if has_left(request):
        return web.Response(status=LEFT_STATUS)
    if body.error is not None:
        raise body.error
    logger.info("%s: the engine does not respond: %r", request.rel_url.raw_path[:200], error)
    message = "the speech engine does not respond; it may be restarting; send the request again"
    raise Overloaded("engine_unreachable", message, retry_after_s=RETRY_AFTER_S)
