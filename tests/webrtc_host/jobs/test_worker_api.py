"""The calls of a transcription worker: the text of an address, the codes of its errors, the warm-up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from host_stt.contract import WindowError
from tests.support.desk import Desk
from tests.support.polling import until
from tests.support.web_server import serving
from tests.webrtc_host.jobs.helpers import a_server, talk, wav
from tests.webrtc_host.recovery.crashing import word_per_half_second
from tests.webrtc_host.speech.engine_server import EngineServer, engine_server
from webrtc_host.keys import READINESS

SHORT = wav(talk("alpha one"))
LOOPBACK: dict[str, Any] = {"jobs": {"url_networks": ["127.0.0.0/8"]}}


@pytest.fixture
async def host() -> AsyncIterator[str]:
    async def sound(request: web.Request) -> web.Response:
        return web.Response(body=SHORT)

    async def words(request: web.Request) -> web.Response:
        return web.Response(body=b"no recording" * 50)

    app = web.Application()
    app.router.add_get("/a.wav", sound)
    app.router.add_get("/words.wav", words)
    async with serving(app) as url:
        yield url


@pytest.fixture
async def engine() -> AsyncIterator[EngineServer]:
    async with engine_server(word_per_half_second) as engine:
        yield engine


async def post(desk: Desk, path: str, body: object) -> tuple[int, Any]:
    async with desk.client.post(f"{desk.url}/api/v1/{path}", json=body) as response:
        return response.status, await response.json()


async def state_of_job(desk: Desk) -> str | None:
    _, page = await desk.get("/api/jobs")
    return page["jobs"][0]["state"] if page["jobs"] else None


async def is_cancelled(desk: Desk) -> bool:
    return await state_of_job(desk) == "cancelled"


async def test_an_address_becomes_its_text(tmp_path: Path, host: str, engine: EngineServer) -> None:
    async with a_server(tmp_path, engine, **LOOPBACK) as desk:
        status, body = await post(desk, "transcriptions", {"audioUrl": f"{host}/a.wav", "other": 1})
        assert status == 200 and body.keys() == {"success", "data", "error"}, body
        assert body["success"] is True and body["error"] is None and body["data"].keys() == {"text"}
        words = body["data"]["text"].split()
        assert words and all(word.startswith("w") for word in words)
        assert {window.language for window in engine.windows} == {"ko"}
        assert await state_of_job(desk) == "completed"
        _, audit = await desk.get("/api/audit")
        assert [line["action"] for line in audit["lines"]].count("submitted") == 1

        for wrong, code, expected in (
            ({"audioUrl": "file:///etc/passwd"}, "INVALID_URL", 400),
            ({"audioUrl": 7}, "INVALID_URL", 400),
            ({}, "INVALID_URL", 400),
            ([], "INVALID_URL", 400),
            ({"audioUrl": f"{host}/words.wav"}, "UNSUPPORTED_FORMAT", 400),
            ({"audioUrl": f"{host}/missing.wav"}, "DOWNLOAD_FAILURE", 500),
        ):
            status, body = await post(desk, "transcriptions", wrong)
            assert (status, body["success"], body["data"]) == (expected, False, None), body
            assert body["error"]["code"] == code and body["error"]["message"]


async def test_an_address_that_is_not_public_is_invalid(tmp_path: Path, host: str) -> None:
    async with a_server(tmp_path) as desk:
        status, body = await post(desk, "transcriptions", {"audioUrl": f"{host}/a.wav"})
        assert (status, body["error"]["code"]) == (400, "INVALID_URL")


async def test_an_engine_that_refuses_is_an_stt_failure(
    tmp_path: Path, host: str, engine: EngineServer
) -> None:
    engine.reply = lambda window: WindowError(window.id, "decode_failed", "it broke", False)
    async with a_server(tmp_path, engine, **LOOPBACK) as desk:
        status, body = await post(desk, "transcriptions", {"audioUrl": f"{host}/a.wav"})
        assert (status, body["error"]["code"]) == (500, "STT_FAILURE"), body


async def test_the_wait_has_an_end_and_cancels_the_job(
    tmp_path: Path, host: str, engine: EngineServer
) -> None:
    engine.reply = lambda window: None
    async with a_server(tmp_path, engine, **LOOPBACK, doors={"worker": {"wait_s": 0.5}}) as desk:
        status, body = await post(desk, "transcriptions", {"audioUrl": f"{host}/a.wav"})
        assert (status, body["error"]["code"]) == (500, "STT_FAILURE")
        assert "doors.worker.wait_s" in body["error"]["message"]
        assert await state_of_job(desk) == "cancelled"


async def test_a_caller_that_leaves_cancels_its_job(tmp_path: Path, host: str, engine: EngineServer) -> None:
    engine.reply = lambda window: None
    async with a_server(tmp_path, engine, **LOOPBACK) as desk:
        call = asyncio.create_task(post(desk, "transcriptions", {"audioUrl": f"{host}/a.wav"}))
        await until(lambda: engine.windows)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await until(lambda: is_cancelled(desk))


async def test_the_warm_up_says_whether_the_engine_is_there(tmp_path: Path, engine: EngineServer) -> None:
    async with a_server(tmp_path, engine) as desk:
        await until(lambda: desk.app[READINESS].engine.status.is_reachable)
        async with desk.client.post(f"{desk.url}/api/v1/gpu/warmup") as response:
            assert (response.status, await response.json()) == (200, {"status": "WARMING_UP"})
    async with a_server(tmp_path / "no-engine") as desk:
        status, body = await post(desk, "gpu/warmup", {})
        assert (status, body["error"]["code"]) == (500, "WARMUP_FAILED")
