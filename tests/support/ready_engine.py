"""The `/ready` of 8081, with the response that a test sets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

LOADING = {
    "error": {"code": "engine_downloading", "message": "downloading 5 of 480 MB"},
    "state": "downloading",
    "progress": {"done_bytes": 5},
    "languages": ["en"],
}


@dataclass
class Engine:
    """The response of 8081 to /ready."""

    status: int = 503
    body: Any = field(default_factory=lambda: dict(LOADING))
    asked: int = 0
    token: str | None = None

    async def ready(self, request: web.Request) -> web.Response:
        self.asked += 1
        self.token = request.headers.get("Authorization")
        if isinstance(self.body, str):
            return web.Response(text=self.body, status=self.status)
        return web.json_response(self.body, status=self.status)


@asynccontextmanager
async def an_engine() -> AsyncIterator[tuple[Engine, str]]:
    engine = Engine()
    app = web.Application()
    app.router.add_get("/ready", engine.ready)
    async with TestServer(app) as server:
        yield engine, str(server.make_url("")).rstrip("/")
