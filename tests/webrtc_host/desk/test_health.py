"""Readiness: what the engine says, cached, and what this process is doing."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from host_stt_common import __version__
from tests.support.desk import NOWHERE, a_config, running_desk
from tests.support.polling import until
from tests.support.ready_engine import an_engine
from webrtc_host.desk.health import EngineStatus, EngineWatch, LoopLag, Readiness
from webrtc_host.keys import READINESS

MODELS = [{"name": "starter", "is_chosen": True, "final_ms": 31}]
READY = {
    "ready": True,
    "state": "ready",
    "model": "starter",
    "model_reason": "no hub",
    "is_starter": True,
    "channels_expected": 4,
    "models": MODELS,
    "queue": {"worst_ms": 240},
    "gpu_loads": [43],
}


async def test_ready_follows_the_engine_and_passes_on_its_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EngineWatch.__init__.__kwdefaults__ or {}, "poll_s", 0.02)
    async with (
        an_engine() as (engine, url),
        running_desk(a_config(tmp_path, engine_url=url, engine_token="t")) as desk,
    ):
        watch = desk.app[READINESS].engine
        await until(lambda: watch.status.is_reachable)
        assert engine.token == "Bearer t"
        async with desk.client.get(f"{desk.url}/ready") as response:
            assert response.status == 503
            assert response.headers["Retry-After"] == "2"
            body = await response.json()
        assert (body["ready"], body["status"], body["degraded"]) == (False, "starting", False)
        assert body["error"] == {"code": "engine_not_ready", "message": "downloading 5 of 480 MB"}
        assert body["engine"]["progress"] == {"done_bytes": 5}

        engine.status, engine.body = 200, READY
        await until(lambda: watch.status.is_ready)
        status, body = await desk.get("/ready")
        assert (status, body["ready"], body["status"]) == (200, True, "ready")
        assert body["engine"]["model_reason"] == "no hub"
        assert body["engine"]["is_starter"] is True
        assert (body["engine"]["queue"], body["engine"]["gpu_loads"]) == ({"worst_ms": 240}, [43])
        assert (body["engine"]["models"], body["engine"]["channels_expected"]) == (MODELS, 4)

        engine.status, engine.body = 500, "not even JSON"
        await until(lambda: not watch.status.is_ready)
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
    engine.status = EngineStatus(is_reachable=True, is_ready=True)
    readiness = Readiness(engine, LoopLag())
    assert readiness.response()[0]
    readiness.stop()
    is_ready, body = readiness.response()
    assert (is_ready, body["status"]) == (False, "stopping")


async def test_a_blocked_loop_is_seen(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        lag = desk.app[READINESS].lag
        await until(lambda: lag.max_ms() >= 0)
        time.sleep(0.4)  # noqa: ASYNC251  # the lag to be measured
        await until(lambda: lag.max_ms() >= 200)
