"""What all HTTP responses of 8082 share: the form of errors, CORS, security headers, the access log.

The middlewares and the access logger. Every error is `{"error":{"code","message"}}` with a matching status. A
bug is one traceback in the log and a 500 without details.
Invariant: no query string is logged, because it may contain the token.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from host_stt.contract import error_body
from host_stt_common.accepting import BodyStalled, count_request
from host_stt_common.openai_errors import openai_error_body
from host_stt_common.paths import ignore_spare_slashes
from host_stt_common.serving import EncodedBody, refuse_encoded_body
from webrtc_host.errors import Overloaded, RequestError, StoreError
from webrtc_host.http.audit import AUDIT, BROKEN_OFF, OUTCOME
from webrtc_host.http.auth import GATE as GATE
from webrtc_host.http.auth import SAFE_METHODS, Gate
from webrtc_host.http.routes import Handler, needs_token
from webrtc_host.transcript.event_codec import encode_json

logger = logging.getLogger(__name__)

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "font-src 'self'",
        "media-src 'self' blob:",
        "worker-src 'self' blob:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Frame-Options": "DENY",
}
CORS_METHODS = "GET, POST, PUT, PATCH, DELETE, OPTIONS"
CORS_HEADERS = (
    "Authorization, Content-Type, Idempotency-Key, If-Match, Last-Event-ID, Tus-Resumable, Upload-Length, "
    "Upload-Metadata, Upload-Offset, X-HTTP-Method-Override"
)
CORS_EXPOSED = (
    "Location, ETag, Link, Retry-After, Accept-Post, Accept-Patch, Host-STT-Session, Host-STT-Channel, "
    "Tus-Extension, Tus-Max-Size, Tus-Resumable, Tus-Version, Upload-Expires, Upload-Length, "
    "Upload-Metadata, Upload-Offset"
)
_HEADER_NAMES = re.compile(r"[A-Za-z0-9, -]{1,1000}")
STORE_RETRY_S = 5.0
LEFT_STATUS = 499
"""The status in the access log when the caller left before the response; nginx uses the same number."""
PREFLIGHT_S = 600  # how long a browser may keep the response to a preflight

OPENAI_PATHS = "/v1/"
"""Under it, OpenAI's clients read the errors."""

_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "wrong_type"}


def json_response(body: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A JSON response that is never cached."""
    response = web.Response(body=encode_json(body), status=status, headers=headers)
    response.content_type = "application/json"
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def check_upgrade(request: web.Request) -> None:
    """Raises RequestError 400 when a request to a WebSocket does not have the headers for the upgrade."""
    connection = [part.strip() for part in request.headers.get("Connection", "").lower().split(",")]
    if request.headers.get("Upgrade", "").lower() != "websocket" or "upgrade" not in connection:
        raise RequestError(
            "bad_request",
            f"{request.path} is a WebSocket: the request needs the headers `Upgrade: websocket` and "
            f"`Connection: Upgrade`, and a proxy on the way has to pass them on",
            400,
        )


def body_of_error(request: web.BaseRequest | None, code: str, message: str, status: int) -> dict[str, Any]:
    """The body of an error; with OpenAI's further fields where its clients read it."""
    if request is not None and request.rel_url.raw_path.startswith(OPENAI_PATHS):
        return openai_error_body(code, message, status)
    return error_body(code, message)


def error_response(error: RequestError, request: web.BaseRequest | None = None) -> web.Response:
    """request: when given, the body has the form that its clients read."""
    response = json_response(body_of_error(request, error.code, error.message, error.status), error.status)
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(math.ceil(error.retry_after_s))
    if error.status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="host-stt"'
    return response


@web.middleware
async def errors_to_responses(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every error into a JSON response. A stream that has begun handles its own errors."""
    try:
        return await handler(request)
    except RequestError as error:
        return error_response(error, request)
    except EncodedBody as error:
        return error_response(RequestError(error.code, error.text or "", error.status), request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return _standard_error(request, error)
    except BodyStalled as error:
        return error_response(RequestError("upload_stalled", str(error), 408), request)
    except StoreError as error:
        logger.warning("%s %s: %s", request.method, request.rel_url.raw_path[:200], error)
        overloaded = Overloaded("record_unavailable", str(error), retry_after_s=STORE_RETRY_S)
        return error_response(overloaded, request)
    except asyncio.CancelledError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and has_left(request):
            # Not raised again, because aiohttp would log a traceback. The access log shows this status.
            return web.Response(status=LEFT_STATUS)
        logger.exception("%s %s failed", request.method, request.rel_url.raw_path)
        message = "the server failed on this request; its log has the details"
        return json_response(body_of_error(request, "internal", message, 500), 500)


def has_left(request: web.Request) -> bool:
    """Whether the caller's connection has ended."""
    return request.transport is None or request.transport.is_closing()


def _standard_error(request: web.Request, error: web.HTTPException) -> web.Response:
    """An error response of aiohttp in the form of this server."""
    message = {
        404: f"there is nothing at {request.rel_url.raw_path[:200]}",
        405: f"{request.method} is not possible here; {error.headers.get('Allow', 'nothing')} is",
        413: "the body is larger than this server accepts (limits.body_bytes)",
        415: "this content type is not accepted here",
    }.get(error.status, HTTPStatus(error.status).phrase.lower())
    code = _CODES.get(error.status, "bad_request" if error.status < 500 else "internal")
    response = json_response(body_of_error(request, code, message, error.status), error.status)
    if "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    return response


@web.middleware
async def limit_callers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a caller that is over a limit, before the request is handled."""
    gate = request.app[GATE]
    with gate.limits.request(gate.caller_key(request), time.monotonic()):
        return await handler(request)


@web.middleware
async def write_audit(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Write an audit line for a request that did not fail, or that was cut off; none for a refused one."""
    audit = request.app.get(AUDIT)
    if audit is None:
        return await handler(request)
    try:
        response = await handler(request)
    except (asyncio.CancelledError, OSError):
        request[OUTCOME] = BROKEN_OFF
        await asyncio.shield(audit.note(request))
        raise
    if response.status < 400:
        await audit.note(request)
    return response


@web.middleware
async def check_caller(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Respond to preflights. Refuse invalid tokens, and requests from pages of another origin that open a
    WebSocket or change something.
    """
    gate = request.app[GATE]
    gate.check_host(request)
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        gate.check_origin(request)
        if request.match_info.http_exception is None:  # the route has its own response (WHIP)
            return await handler(request)
        return web.Response(status=204, headers={"Access-Control-Max-Age": str(PREFLIGHT_S)})
    is_upgrade = request.headers.get("Upgrade", "").lower() == "websocket"
    if is_upgrade or request.method not in SAFE_METHODS:
        gate.check_origin(request)
    if request.match_info.http_exception is None and needs_token(request):
        gate.check_token(request)
    return await handler(request)


async def begin_audit(request: web.Request, response: web.StreamResponse) -> None:
    """Signal `on_response_prepare`: the audit line of a response in pieces, before its first byte."""
    audit = request.app.get(AUDIT)
    if audit is not None and response.status < 400 and not isinstance(response, web.Response):
        await audit.begin(request)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Signal `on_response_prepare`: security headers on all, CORS headers for allowed origins."""
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = "host-stt"  # in place of the versions of Python and aiohttp
    origin = request.headers.get("Origin")
    if origin is None:
        return
    response.headers.add("Vary", "Origin")
    if request.app[GATE].is_own_or_allowed(request):
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = CORS_EXPOSED
        if request.method == "OPTIONS":
            response.headers["Access-Control-Allow-Methods"] = CORS_METHODS
            response.headers["Access-Control-Allow-Headers"] = _cors_headers(request)


def _cors_headers(request: web.Request) -> str:
    """The request headers that a page may send. OpenAI's clients send more of their own."""
    asked = request.headers.get("Access-Control-Request-Headers", "")
    is_openai = request.rel_url.raw_path.startswith(OPENAI_PATHS)
    return asked if is_openai and _HEADER_NAMES.fullmatch(asked) else CORS_HEADERS


class AccessLogger(AbstractAccessLogger):
    """One line for each request, without its query. A stream is logged when it ends."""

    gate = Gate()

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        # In raw_path a line break stays escaped, so a caller cannot write its own lines into the log.
        path = request.rel_url.raw_path[:200]
        remote, elapsed_ms = self.gate.remote(request), time * 1000
        self.logger.info(
            "%s %s %s -> %s in %.0f ms", remote, request.method, path, response.status, elapsed_ms
        )


def access_logger(gate: Gate) -> type[AccessLogger]:
    """The access logger that trusts the proxies of this gate."""
    return type("GatedAccessLogger", (AccessLogger,), {"gate": gate})


server_logger = logging.getLogger(f"{__name__}.server")
"""The logger of aiohttp's server, in place of `aiohttp.server`."""


def install(app: web.Application, gate: Gate) -> None:
    """Add the middlewares and signals to an application."""
    app[GATE] = gate
    app.middlewares.extend(
        (
            count_request,
            ignore_spare_slashes,
            errors_to_responses,
            limit_callers,
            refuse_encoded_body,
            check_caller,
            write_audit,
        )
    )
    app.on_response_prepare.append(add_headers)
    app.on_response_prepare.append(begin_audit)
