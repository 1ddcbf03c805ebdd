"""Access to 8081: check the Host and the origin of a request, its token, and what a page may read (CORS).

Contains these checks and their headers; `host_stt_common` has the rules that 8082 shares.
Programs send no `Origin`; pages do, and may call only where `engine.allowed_origins` names them.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from aiohttp import web

from host_stt.config import EngineConfig
from host_stt_common.accepting import mark_caller_known
from host_stt_common.pages import Pages
from host_stt_common.tokens import digest_of, given_token, is_one_of

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

OPEN_PATHS = frozenset({"/health"})
"""Paths without a token: supervisors of the process call them."""
CORS_METHODS = "GET, POST, OPTIONS"
CORS_EXPOSED = "Retry-After, X-Audio-Complete, X-Audio-Seconds, X-Audio-Announced-Seconds, X-Audio-Track"
PREFLIGHT_S = 600  # how long a browser may reuse the response
_HEADER_NAMES = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,2000}")
_NO_TOKEN = "a bearer token is required (Authorization: Bearer ..., or ?token=...)"


class EngineGate:
    """The checks of every request, from the configuration."""

    def __init__(self, config: EngineConfig) -> None:
        tokens = [*([config.token] if config.token else []), *config.tokens]
        self._digests = [digest_of(token.get_secret_value()) for token in tokens]
        self._pages = Pages(config.allowed_origins, host=config.host)

    def install(self, app: web.Application) -> None:
        """Add the checks to every route, and the headers to every response."""
        app.middlewares.append(self._check)
        app.on_response_prepare.append(self._add_headers)

    @web.middleware
    async def _check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not self._digests and not self._pages.knows_host(request.host):
            raise web.HTTPForbidden(
                text=f"this engine does not have the name {request.host[:100]!r}; call it by its address, or "
                "add the calling page's origin to engine.allowed_origins"
            )
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            return web.Response(status=204)  # `_add_headers` says whether the page may call
        if self._pages.is_foreign(request.headers):
            origin = request.headers.get("Origin", "other sites")[:100]
            raise web.HTTPForbidden(
                text=f"pages of {origin!a} may not call this engine; add the page's origin to "
                "engine.allowed_origins"
            )
        if self._digests and request.path not in OPEN_PATHS:
            self._check_token(request)
        if not self._digests or request.path not in OPEN_PATHS:
            mark_caller_known(request)
        return await handler(request)

    def _check_token(self, request: web.Request) -> None:
        """Raise HTTPUnauthorized unless the request has one of the tokens."""
        given = given_token(request.headers, request.query).strip()
        if not is_one_of(digest_of(given), self._digests):
            raise web.HTTPUnauthorized(text=_NO_TOKEN, headers={"WWW-Authenticate": "Bearer"})

    async def _add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """Signal `on_response_prepare`: CORS for the pages that may call, on errors and streams too."""
        response.headers["Server"] = "host-stt"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        origin = request.headers.get("Origin")
        if origin is None:
            return
        response.headers.add("Vary", "Origin")
        if not self._pages.allows(origin):
            return
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = CORS_EXPOSED
        if request.method == "OPTIONS":
            response.headers["Access-Control-Allow-Methods"] = CORS_METHODS
            response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_S)
            # Clients of OpenAI's library send a dozen `x-stainless-...` headers, so all requested ones are
            # allowed.
            asked = request.headers.get("Access-Control-Request-Headers", "")
            response.headers["Access-Control-Allow-Headers"] = (
                asked if _HEADER_NAMES.fullmatch(asked) else "Authorization, Content-Type"
            )
            if "Access-Control-Request-Private-Network" in request.headers:
                response.headers["Access-Control-Allow-Private-Network"] = "true"
