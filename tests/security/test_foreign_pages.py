"""Pages of other sites reach neither port: by a name that leads here, by a form, an image or a script."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from host_stt.config import EngineConfig
from host_stt.engines.fake import FakeEngine, script_of
from host_stt.server import create_app
from tests.host_stt.test_files_door import SECOND, form_of
from tests.support.desk import a_config, running_desk
from tests.support.engine_process import fake_backend
from tests.support.server import Server

TOKEN = "correct-horse-battery"
EVIL = "http://evil.example"
FRIEND = "http://localhost:3000"
FILES = "/v1/audio/transcriptions"
FOREIGN: list[Mapping[str, str]] = [
    {"Origin": EVIL},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://127.0.0.1:8081"},  # 8081 has no pages, so not even its own
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]
FOREIGN_NAMES = [
    "evil.example",
    "evil.example:8081",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "a@b",
]
OWN_NAMES = ["127.0.0.1:1", "localhost", "localhost.:8081", "desk.localhost", "[::1]:8081", "192.0.2.7"]

Client = TestClient[Any, Any]


@asynccontextmanager
async def engine(**settings: Any) -> AsyncIterator[Client]:
    """8081 with an engine that needs no model."""
    backend = fake_backend(FakeEngine(script_of("one two three")))
    app = create_app(EngineConfig(stop_grace_s=1, **settings), backend)
    async with TestClient(TestServer(app)) as client:
        headers = {"Authorization": f"Bearer {TOKEN}"} if "token" in settings else {}
        while (await client.get("/ready", headers=headers)).status != 200:
            pass
        yield client


async def status_of(client: Client, method: str, path: str, headers: Mapping[str, str]) -> int:
    async with client.request(method, path, headers=headers) as response:
        assert "Access-Control-Allow-Origin" not in response.headers
        body = await response.read()
        if response.status == 403:
            assert json.loads(body)["error"]["code"] == "forbidden"
        return response.status


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("settings", [{}, {"token": TOKEN}])
async def test_a_foreign_page_is_refused_at_8081(
    headers: Mapping[str, str], settings: dict[str, Any]
) -> None:
    headers = {**headers, "Authorization": f"Bearer {TOKEN}"}
    async with engine(**settings) as client:
        for method, path in (
            ("GET", "/ready"),
            ("GET", "/v1/models"),
            ("GET", "/metrics"),
            ("POST", "/warmup"),
            ("POST", FILES),
            ("GET", "/v1/windows"),
        ):
            assert await status_of(client, method, path, headers) == 403, path


@pytest.mark.parametrize("name", FOREIGN_NAMES)
async def test_without_a_token_8081_answers_to_no_foreign_name(name: str) -> None:
    async with engine() as client:
        for method, path in (("GET", "/ready"), ("GET", "/health"), ("POST", FILES), ("OPTIONS", FILES)):
            assert await status_of(client, method, path, {"Host": name}) == 403, path


@pytest.mark.parametrize("name", [*OWN_NAMES, socket.gethostname()])
async def test_8081_answers_to_addresses_and_its_own_names(name: str) -> None:
    async with engine() as client:
        assert await status_of(client, "GET", "/ready", {"Host": name}) == 200


async def test_with_a_token_any_host_name_is_accepted() -> None:
    async with engine(token=TOKEN) as client:
        headers = {"Host": "stt.example", "Authorization": f"Bearer {TOKEN}"}
        assert await status_of(client, "GET", "/ready", headers) == 200


@pytest.mark.parametrize("name", ["evil.example", "127.0.0.1.evil.example"])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "192.0.2.7"])
async def test_without_a_token_8082_answers_to_no_foreign_name_on_any_address(
    tmp_path: Path, name: str, host: str
) -> None:
    config = a_config(tmp_path, media={"host": host}).model_copy(update={"auth": "none"})
    async with running_desk(config) as desk:
        for path in ("/", "/ready", "/api/sessions"):
            async with desk.client.get(desk.url + path, headers={"Host": name}) as response:
                assert response.status == 403
                assert (await response.json())["error"]["code"] == "host_not_allowed"
        for own in (*OWN_NAMES, socket.gethostname()):
            async with desk.client.get(f"{desk.url}/ready", headers={"Host": own}) as response:
                assert response.status != 403, own


async def test_a_page_embeds_nothing_of_8082(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        desk.final("private words")
        path = f"{desk.url}/api/sessions/{desk.session.id}/export.txt"
        for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": EVIL}):
            async with desk.client.get(path, headers=headers) as response:
                assert response.status == 403
        async with desk.client.get(path) as response:
            assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
            assert response.headers["Server"] == "host-stt"


PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,x-stainless-os",
}


async def test_an_allowed_page_reads_everything_at_8081_errors_and_streams_too() -> None:
    async with engine(allowed_origins=(FRIEND,), token=TOKEN) as client:
        async with client.options(FILES, headers={"Origin": FRIEND, **PREFLIGHT}) as response:
            assert response.status == 204
            assert response.headers["Access-Control-Allow-Origin"] == FRIEND
            assert "POST" in response.headers["Access-Control-Allow-Methods"]
            assert response.headers["Access-Control-Allow-Headers"] == "authorization,x-stainless-os"
            assert response.headers["Vary"] == "Origin"
        key = {"Authorization": f"Bearer {TOKEN}"}
        asked: list[tuple[str, str, Any, dict[str, str], int]] = [
            ("GET", "/v1/models", None, key, 200),
            ("GET", "/v1/models", None, {}, 401),
            ("GET", "/nothing", None, key, 404),
            ("POST", FILES, None, key, 415),
            ("POST", FILES, form_of(SECOND), key, 200),
            ("POST", FILES, form_of(SECOND, stream="true"), key, 200),
        ]
        for method, path, data, headers, status in asked:
            headers = {"Origin": FRIEND, **headers}
            async with client.request(method, path, data=data, headers=headers) as response:
                await response.read()
                assert (path, response.status) == (path, status)
                assert response.headers["Access-Control-Allow-Origin"] == FRIEND
                assert "X-Audio-Complete" in response.headers["Access-Control-Expose-Headers"]
        assert (await client.get("/v1/windows", headers={"Origin": FRIEND, **key})).status in (403, 426)


async def test_the_preflight_of_a_page_that_is_not_allowed_allows_nothing() -> None:
    async with (
        engine(allowed_origins=("https://desk.example",)) as client,
        client.options(FILES, headers={"Origin": FRIEND, **PREFLIGHT}) as response,
    ):
        assert response.status == 204
        assert not [name for name in response.headers if name.lower().startswith("access-control-")]


@pytest.mark.net
async def test_8081_is_closed_where_only_named_tokens_are_set(tmp_path: Path) -> None:
    """8082 reaches it by a secret of the two; an administrator's token opens it as well."""
    viewer = "{name: a, token: viewer-token, role: viewer}"
    admin = "{name: b, token: admin-token, role: admin}"
    with Server(tmp_path, "--set", f"auth.tokens=[{viewer}, {admin}]", "--set", "log.level=info") as server:
        server.wait_ready()
        address = server.wait_for(r"the engine listens on (http://\S+)", lambda one: one.err)[1]
        async with aiohttp.ClientSession() as client:
            expected = {"": 401, "viewer-token": 401, "admin-token": 200}
            for token, status in expected.items():
                headers = {"Authorization": f"Bearer {token}"} if token else {}
                async with client.get(f"{address}/v1/models", headers=headers) as response:
                    assert response.status == status, token
        status, ready = await server.get("/ready")
        assert (status, ready["engine"]["is_starter"]) == (200, True)
