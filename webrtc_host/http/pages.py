"""The browser pages: package data of `demo`, read once at start, served from memory.

Owns paths, content types and caching; nothing of what the pages do. `/` is mic.html, `/watch` is watch.html,
`/reference` is reference.html, every other file lies under its own name. They are open to all: without them
nobody could type a token.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath

from aiohttp import web

from webrtc_host.http.auth import open_to_all

CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".flac": "audio/flac",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".md": "text/plain; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wav": "audio/wav",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
"""Written down here, not asked of the system: its table differs from machine to machine."""
NAMED = {
    "/": "mic.html",
    "/watch": "watch.html",
    "/health-page": "health-page.html",
    "/reference": "reference.html",
}


@dataclass(frozen=True, slots=True)
class Page:
    content: bytes
    content_type: str
    etag: str

    @open_to_all
    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = {"Cache-Control": "no-cache", "ETag": f'"{self.etag}"'}
        if any(known.value in (self.etag, "*") for known in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        return web.Response(body=self.content, headers=headers | {"Content-Type": self.content_type})


def add_pages(app: web.Application, package: str = "demo") -> None:
    """A route for every file of the package that has a known content type."""
    pages = {name: _page(name, resource) for name, resource in _walk(files(package))}
    for path, name in NAMED.items():
        if name in pages:
            app.router.add_get(path, pages[name].handle)
    for name, page in pages.items():
        app.router.add_get(f"/{name}", page.handle)


def _walk(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        if entry.is_dir():
            yield from _walk(entry, f"{prefix}{entry.name}/")
        elif PurePosixPath(entry.name).suffix in CONTENT_TYPES:
            yield f"{prefix}{entry.name}", entry


def _page(name: str, resource: Traversable) -> Page:
    content = resource.read_bytes()
    suffix = PurePosixPath(name).suffix
    return Page(content, CONTENT_TYPES[suffix], hashlib.sha256(content).hexdigest()[:32])
