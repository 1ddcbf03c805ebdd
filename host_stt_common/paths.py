"""Paths as clients write them: `/push/` and `//push` mean `/push`, on both ports and for every method.

The request is handled as if it had been written well. No redirect: programs do not repeat an upload, and
WebSocket clients do not follow. A page is the exception, because its relative links need its own address.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web
from multidict import CIMultiDict

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def plain_path(path: str) -> str:
    """`path` with single slashes and none at its end; the root stays."""
    return re.sub("/{2,}", "/", path).rstrip("/") or "/"


@web.middleware
async def forgive_slashes(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Handle a request for an unknown path with spare slashes as one without. Goes first of all."""
    unknown = request.match_info.http_exception
    path = plain_path(request.rel_url.raw_path)
    if unknown is None or unknown.status != 404 or path == request.rel_url.raw_path:
        return await handler(request)
    url = request.rel_url.with_path(path, encoded=True, keep_query=True)
    # `100 Continue` was sent for the path as it came.
    headers = CIMultiDict(pair for pair in request.headers.items() if pair[0].title() != hdrs.EXPECT)
    # The whole way again, from the router on: who may call is a matter of the route.
    response = await request.app._handle(request.clone(rel_url=url, headers=headers))
    if response.content_type == "text/html" and not response.prepared:
        raise web.HTTPPermanentRedirect(str(url))
    return response
