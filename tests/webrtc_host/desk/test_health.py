"""Readiness: what the engine says, cached, and what this process is doing."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from host_stt_common import __version__
from tests.support.desk import NOWHERE, a_config, running_desk
from tests.support.polling import until
from webrtc_host.app import READINESS
from webrtc_host.desk.health import EngineReading, EngineWatch, LoopLag, Readiness

READY = {"ready": True, "state": "ready", "model": "starter", "model_reason": "no hub", "is_starter": True}
LOADING = {
    "error": {"code": "engine_downloading", "message": "downloading 5 of 480 MB"},
    "state": "downloading",
    "progress": {"done_bytes": 5},
    "languages": ["en"],
}


@dataclass
class Engine:
    """What 8081 answers to /ready."""

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


async def test_ready_follows_the_engine_and_passes_on_its_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EngineWatch.__init__.__kwdefaults__ or {}, "poll_s", 0.02)
    async with (
        an_engine() as (engine, url),
        running_desk(a_config(tmp_path, engine_url=url, engine_token="t")) as desk,
    ):
        watch = desk.app[READINESS].engine
        await until(lambda: watch.reading.is_reachable)
        assert engine.token == "Bearer t"
        async with desk.client.get(f"{desk.url}/ready") as response:
            assert response.status == 503
            assert response.headers["Retry-After"] == "2"
            body = await response.json()
        assert (body["ready"], body["status"], body["degraded"]) == (False, "starting", False)
        assert body["error"] == {"code": "engine_not_ready", "message": "downloading 5 of 480 MB"}
        assert body["engine"]["progress"] == {"done_bytes": 5}

        engine.status, engine.body = 200, READY
        await until(lambda: watch.reading.is_ready)
        status, body = await desk.get("/ready")
        assert (status, body["ready"], body["status"]) == (200, True, "ready")
        assert body["engine"]["model_reason"] == "no hub"
        assert body["engine"]["is_starter"] is True

        engine.status, engine.body = 500, "not even JSON"
        await until(lambda: not watch.reading.is_ready)
        status, body = await desk.get("/ready")
        assert (status, body["status"], body["degraded"]) == (503, "degraded", True)


async def test_a_hundred_questions_ask_the_engine_no_oftener(tmp_path: Path) -> None:
    async with an_engine() as (engine, url), running_desk(a_config(tmp_path, engine_url=url)) as desk:
        await until(lambda: engine.asked > 0)
        for _ in range(100):
            await desk.get("/ready")
        assert engine.asked < 10


async def test_without_an_engine_it_is_up_but_not_ready(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path, engine_url=NOWHERE)) as desk:
        status, body = await desk.get("/health")
        assert (status, body["status"], body["version"]) == (200, "ok", __version__)
        status, body = await desk.get("/ready")
        assert (status, body["error"]["code"]) == (503, "engine_unreachable")


def test_a_stopping_server_is_not_ready_whatever_the_engine_says() -> None:
    engine = EngineWatch(NOWHERE)
    engine.reading = EngineReading(is_reachable=True, is_ready=True)
    readiness = Readiness(engine, LoopLag())
    assert readiness.answer()[0]
    readiness.stop()
    is_ready, body = readiness.answer()
    assert (is_ready, body["status"]) == (False, "stopping")


async def test_a_blocked_loop_is_seen(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        lag = desk.app[READINESS].lag
        await until(lambda: lag.max_ms() >= 0)
        time.sleep(0.4)  # noqa: ASYNC251  # the lag to be measured
        await until(lambda: lag.max_ms() >= 200)
