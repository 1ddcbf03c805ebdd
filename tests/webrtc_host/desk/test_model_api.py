"""`PUT /api/model`: only models that the engine lists, and only where this server started the engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.desk import Desk, a_config, running_desk
from tests.support.polling import until
from tests.support.ready_engine import an_engine
from webrtc_host.config import MediaProcessConfig
from webrtc_host.desk.model_api import ModelNotChanged
from webrtc_host.keys import READINESS

MODELS = [{"name": "base", "is_chosen": True}, {"name": "small", "is_chosen": False}]


class Changes:
    """Records the model changes that the API requests from `serve`, without an engine."""

    def __init__(self, refusal: str = "") -> None:
        self.names: list[str] = []
        self._refusal = refusal

    async def use(self, name: str) -> str:
        if self._refusal:
            raise ModelNotChanged(self._refusal)
        self.names.append(name)
        return f"restarted with {name}"


@asynccontextmanager
async def desk_of(config: MediaProcessConfig, changes: Changes | None) -> AsyncIterator[Desk]:
    """A server whose engine lists MODELS."""
    async with an_engine() as (engine, url):
        engine.status, engine.body = 200, {"ready": True, "model": "base", "models": MODELS}
        config = config.model_copy(update={"engine_url": url})
        change = None if changes is None else changes.use
        async with running_desk(config, change_model=change) as desk:
            await until(lambda: desk.app[READINESS].engine.status.is_ready)
            yield desk


async def put(desk: Desk, body: Any, **headers: str) -> tuple[int, Any]:
    async with desk.client.put(f"{desk.url}/api/model", json=body, headers=headers) as response:
        return response.status, await response.json()


@pytest.mark.parametrize("name", ["small", "auto"])
async def test_a_listed_model_and_auto_can_be_selected(tmp_path: Path, name: str) -> None:
    changes = Changes()
    async with desk_of(a_config(tmp_path), changes) as desk:
        assert await put(desk, {"model": name}) == (
            200,
            {"model": name, "message": f"restarted with {name}"},
        )
    assert changes.names == [name]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"model": "large-v3"}, 422, "unknown_model"),
        ({"model": "/etc"}, 422, "unknown_model"),
        ({"model": ""}, 422, "bad_field"),
        ({"model": "small", "more": 1}, 422, "bad_field"),
        ({}, 422, "bad_field"),
        ([], 400, "bad_json"),
    ],
)
async def test_any_other_name_changes_nothing(tmp_path: Path, body: Any, status: int, code: str) -> None:
    changes = Changes()
    async with desk_of(a_config(tmp_path), changes) as desk:
        answered, error = await put(desk, body)
    assert (answered, error["error"]["code"]) == (status, code)
    assert changes.names == []


async def test_the_message_of_a_refused_change_is_passed_on(tmp_path: Path) -> None:
    async with desk_of(a_config(tmp_path), Changes("the file is read-only")) as desk:
        assert await put(desk, {"model": "small"}) == (
            409,
            {"error": {"code": "model_not_changed", "message": "the file is read-only"}},
        )


async def test_a_server_with_a_separate_engine_says_where_to_change_the_model(tmp_path: Path) -> None:
    async with desk_of(a_config(tmp_path), None) as desk:
        status, body = await put(desk, {"model": "small"})
    assert (status, body["error"]["code"]) == (409, "engine_elsewhere")
    assert "host-stt model use" in body["error"]["message"]


async def test_only_an_administrator_changes_it(tmp_path: Path) -> None:
    changes = Changes()
    tokens = (
        {"name": "lead", "token": "supervisor-secret", "role": "supervisor"},
        {"name": "boss", "token": "admin-secret", "role": "admin"},
    )
    config = a_config(tmp_path, token="correct horse battery", tokens=tokens)
    async with desk_of(config, changes) as desk:
        assert (await put(desk, {"model": "small"}))[0] == 401
        assert (await put(desk, {"model": "small"}, Authorization="Bearer supervisor-secret"))[0] == 403
        assert (await put(desk, {"model": "small"}, Authorization="Bearer admin-secret"))[0] == 200
        async with aiohttp.ClientSession() as foreign:
            headers = {"Authorization": "Bearer admin-secret", "Origin": "https://elsewhere.example"}
            url = f"{desk.url}/api/model"
            async with foreign.put(url, json={"model": "small"}, headers=headers) as response:
                assert response.status == 403
    assert changes.names == ["small"]
