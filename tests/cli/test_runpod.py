"""`host-stt runpod`: jobs become calls of the server, errors become failed jobs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from click.testing import CliRunner

from host_stt_cli import runpod as runpod_module
from host_stt_cli.main import main
from host_stt_cli.runpod import Handler
from tests.support.web_server import serving

TEXT = {"success": True, "data": {"text": "알파 하나"}, "error": None}
REFUSED = {"success": False, "data": None, "error": {"code": "INVALID_URL", "message": "no"}}


@pytest.fixture
async def server() -> AsyncIterator[str]:
    """A stand-in for the server: the worker's calls. An attempt is done at the second look."""
    looks: list[str] = []

    async def transcribe(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer secret-token"
        body = await request.json()
        is_good = body["audioUrl"].startswith("https:")
        return web.json_response(TEXT if is_good else REFUSED, status=200 if is_good else 400)

    async def submit(request: web.Request) -> web.Response:
        attempt = (await request.json())["attemptId"]
        return web.json_response({"success": True, "data": entry(attempt, "PENDING"), "error": None})

    async def look(request: web.Request) -> web.Response:
        looks.append(attempt := request.match_info["attempt"])
        status = "PROCESSING" if len(looks) % 2 else "FAILED" if attempt == "a/b" else "COMPLETED"
        return web.json_response({"success": True, "data": entry(attempt, status), "error": None})

    async def warm_up(request: web.Request) -> web.Response:
        return web.json_response({"status": "WARMING_UP"})

    app = web.Application()
    app.router.add_post("/api/v1/transcriptions", transcribe)
    app.router.add_post("/api/v1/solo/submissions", submit)
    app.router.add_get("/api/v1/solo/submissions/{attempt}", look)
    app.router.add_post("/api/v1/gpu/warmup", warm_up)
    async with serving(app) as url:
        yield url


def entry(attempt: Any, status: str) -> dict[str, Any]:
    error = {"code": "LLM_FAILURE", "message": "no answer"} if status == "FAILED" else None
    return {"attemptId": attempt, "status": status, "feedback": None, "model": "m", "error": error}


async def test_each_kind_of_job_is_its_call(server: str) -> None:
    handler = Handler(server, "secret-token", look_s=0.0)
    assert await handler.handle({"id": "1", "input": {"audioUrl": "https://a/b.wav"}}) == TEXT
    assert await handler.handle({"input": {"action": "warmup"}}) == {"status": "WARMING_UP"}
    done = await handler.handle({"input": {"attemptId": 7, "userText": "x"}})
    assert done["data"]["status"] == "COMPLETED"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"audioUrl": "file:/etc/passwd"}, "INVALID_URL"),
        ({"attemptId": "a/b", "userText": "x"}, "LLM_FAILURE"),
        ({}, "INVALID_REQUEST"),
        (None, "INVALID_REQUEST"),
    ],
)
async def test_an_error_fails_the_job_with_the_envelope(server: str, given: Any, code: str) -> None:
    result = await Handler(server, "secret-token", look_s=0.0).handle({"input": given})
    envelope = json.loads(result["error"])
    assert (envelope["success"], envelope["data"], envelope["error"]["code"]) == (False, None, code)
    assert result["refresh_worker"] is False


async def test_a_worker_whose_server_is_gone_asks_for_a_new_one() -> None:
    handler = Handler("http://127.0.0.1:9", is_alive=lambda: False)
    result = await handler.handle({"input": {"audioUrl": "https://a/b.wav"}})
    assert json.loads(result["error"])["error"]["code"] == "STT_FAILURE"
    assert result["refresh_worker"] is True


def test_without_the_package_the_command_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(runpod_module, "import_module", missing)
    done = CliRunner().invoke(main, ["runpod", "--server", "http://127.0.0.1:9"])
    assert done.exit_code == 2 and "[runpod]'" in done.output
