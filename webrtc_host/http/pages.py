"""The browser pages: package data of `demo`, read once at start, served from memory.

Only paths, content types and caching; the pages themselves are in `demo/`. `/` is mic.html, `/watch` is
watch.html, and so on (`NAMED`); every other file has its own name as its path. The pages are open
to all, because a page has to load before it can show the field for the token.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath

from aiohttp import web

from webrtc_host.http.routes import OPEN_TO_ALL, Route, add_route

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
"""A table of our own, because the table of the system differs from machine to machine."""
NAMED = {
    "/": "mic.html",
    "/desk": "desk.html",
    "/watch": "watch.html",
    "/recordings": "recordings.html",
    "/glossary": "glossary.html",
    "/health-page": "health-page.html",
    "/reference": "reference.html",
}

SUBPAGES = {"/alerts": "alerts.html", "/capture": "capture.html", "/connect": "connect.html"}
"""Pages that other pages link to, and that are not in the navigation."""
WITHOUT_NAVIGATION = {"/shared": "shared.html"}
"""Pages for people who have no token: they lead to no other page."""


@dataclass(frozen=True, slots=True)
class Page:
    content: bytes
    content_type: str
    etag: str

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = {"Cache-Control": "no-cache", "ETag": f'"{self.etag}"'}
        if any(known.value in (self.etag, "*") for known in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        return web.Response(body=self.content, headers=headers | {"Content-Type": self.content_type})


def add_pages(app: web.Application, package: str = "demo") -> None:
    """A route for every file of the package that has a known content type."""
    pages = _pages_of(package)
    for path, name in (NAMED | SUBPAGES | WITHOUT_NAVIGATION).items():
        if name in pages:
            add_route(app, _route(path), pages[name].handle)
    for name, page in pages.items():
        add_route(app, _route(f"/{name}"), page.handle)


@cache
def _pages_of(package: str) -> Mapping[str, Page]:
    """The files of the package by path. They are read once for each process."""
    return {name: _page(name, resource) for name, resource in _walk(files(package))}


def _route(path: str) -> Route:
    return Route("GET", path, OPEN_TO_ALL, "A file of a page", is_documented=False)


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
