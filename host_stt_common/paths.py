"""Accept paths with spare slashes: `/push/` and `//push` mean `/push`, on both ports and for every method.

The request is handled as if the path had been written correctly. There is no redirect, because programs do
not repeat an upload and WebSocket clients do not follow redirects. HTML pages are the exception: their
relative links need the correct address, so these requests are redirected.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web
from multidict import CIMultiDict

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def plain_path(path: str) -> str:
    """`path` with single slashes and without one at the end; `/` stays."""
    return re.sub("/{2,}", "/", path).rstrip("/") or "/"


@web.middleware
async def ignore_spare_slashes(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Handle a request for an unknown path with spare slashes like one without them. The first middleware."""
    unknown = request.match_info.http_exception
    path = plain_path(request.rel_url.raw_path)
    if unknown is None or unknown.status != 404 or path == request.rel_url.raw_path:
        return await handler(request)
    url = request.rel_url.with_path(path, encoded=True, keep_query=True)
    # `100 Continue` was already sent for the original path.
    headers = CIMultiDict(pair for pair in request.headers.items() if pair[0].title() != hdrs.EXPECT)
    # Run the whole chain again, from the router on: the access check depends on the route.
    response = await request.app._handle(request.clone(rel_url=url, headers=headers))
    if response.content_type == "text/html" and not response.prepared:
        raise web.HTTPPermanentRedirect(str(url))
    return response
