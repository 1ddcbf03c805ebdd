"""A model hub on loopback: the part of the hub's HTTP that a download needs, and faults that a test can set.

Serves the files of one folder under every repository id. Runs in a separate thread, so that blocking code
can send requests to it.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE_BYTES = 100_000
"""Files from this size on are large files: on another path, with a sha256."""


@dataclass
class FakeHub:
    """The files of the hub and its faults. `requests`: (method, path, Range header) of each request."""

    folder: Path
    repositories: tuple[str, ...]
    cut_after_bytes: int | None = None  # close the connection after so many bytes of a large file
    stall_at_byte: int | None = None  # send no large file further than this, and keep the connection
    spoil: bool = False  # send other bytes than announced
    ignore_ranges: bool = False
    without: tuple[str, ...] = ()  # files that the repository lacks
    status: int = 0  # the status of every response
    token: str = ""  # the token that the hub's own paths require
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    file_server_tokens: list[str] = field(default_factory=list)
    url: str = ""

    def ranges(self) -> list[str]:
        return [range_ for _, path, range_ in self.requests if range_ and path.startswith("/files/")]

    # --- routes ---

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path, request.headers.get("Range", "")))
        if self.status:
            return web.Response(status=self.status)
        if request.path.startswith("/files/"):
            self.file_server_tokens.append(request.headers.get("Authorization", ""))
            return await self._file(request, request.path.removeprefix("/files/"))
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.Response(status=401)
        repository = next((r for r in self.repositories if f"/{r}/" in request.path + "/"), None)
        if repository is None:
            return web.Response(status=401, headers={"X-Error-Code": "RepoNotFound"})
        if request.path.startswith("/api/models/"):
            tree = [self._entry(path) for path in self._files()]
            if "/tree/" in request.path:
                return web.json_response(tree)
            siblings = [
                {"rfilename": e["path"], "size": e["size"], "blobId": e["oid"], **_lfs_of(e)} for e in tree
            ]
            return web.json_response({"id": repository, "sha": COMMIT, "siblings": siblings})
        return await self._resolve(request)

    async def _resolve(self, request: web.Request) -> web.StreamResponse:
        name = request.path.rsplit("/", 1)[-1]
        path = self.folder / name
        if path not in self._files():
            return web.Response(status=404, headers={"X-Error-Code": "EntryNotFound"})
        entry = self._entry(path)
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{entry["oid"]}"'}
        if "lfs" not in entry:
            if request.method == "HEAD":
                return web.Response(headers={**headers, "Content-Length": str(entry["size"])})
            return await self._file(request, name, headers)
        headers |= {
            "X-Linked-Etag": f'"{entry["lfs"]["oid"]}"',
            "X-Linked-Size": str(entry["size"]),
            # Another name for the same machine; a client treats it as another server.
            "Location": f"{self.url.replace('127.0.0.1', 'localhost')}/files/{name}",
        }
        return web.Response(status=302, headers=headers)

    async def _file(
        self, request: web.Request, name: str, headers: dict[str, str] | None = None
    ) -> web.StreamResponse:
        data = (self.folder / name).read_bytes()
        first = 0
        range_ = request.headers.get("Range", "")
        if range_ and not self.ignore_ranges:
            first = int(range_.removeprefix("bytes=").split("-")[0])
        is_large = len(data) >= LARGE_BYTES
        response = web.StreamResponse(status=206 if first else 200, headers=headers)
        response.content_length = len(data) - first
        if first:
            response.headers["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
        await response.prepare(request)
        body = data[first:]
        if self.spoil and is_large:
            body = bytes(len(body))
        if is_large and self.stall_at_byte is not None:
            await response.write(body[: max(0, self.stall_at_byte - first)])
            await asyncio.Event().wait()  # until the server stops
        if is_large and self.cut_after_bytes is not None and self.cut_after_bytes < len(body):
            await response.write(body[: self.cut_after_bytes])
            if request.transport:
                request.transport.close()
            return response
        await response.write(body)
        return response

    def _files(self) -> list[Path]:
        return sorted(p for p in self.folder.iterdir() if p.is_file() and p.name not in self.without)

    def _entry(self, path: Path) -> dict[str, Any]:
        data = path.read_bytes()
        oid = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        entry: dict[str, Any] = {"type": "file", "oid": oid, "size": len(data), "path": path.name}
        if len(data) >= LARGE_BYTES:
            sha256 = hashlib.sha256(data).hexdigest()
            entry["lfs"] = {"oid": sha256, "size": len(data), "pointerSize": 134}
        return entry


def _lfs_of(entry: dict[str, Any]) -> dict[str, Any]:
    if "lfs" not in entry:
        return {}
    lfs = entry["lfs"]
    return {"lfs": {"sha256": lfs["oid"], "size": lfs["size"], "pointerSize": lfs["pointerSize"]}}


@contextmanager
def serving(hub: FakeHub) -> Iterator[FakeHub]:
    """The hub on a free port of 127.0.0.1, in a thread, until the block ends."""
    loop = asyncio.new_event_loop()
    started = threading.Event()

    async def start() -> web.AppRunner:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", hub.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        hub.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    def run() -> None:
        asyncio.set_event_loop(loop)
        runner = loop.run_until_complete(start())
        started.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=run, name="fake-hub")
    thread.start()
    started.wait(10)
    try:
        yield hub
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
