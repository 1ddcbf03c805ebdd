"""The form of every response: errors, headers, and the log lines."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import NoReturn

import pytest
from aiohttp import web

from tests.support.desk import a_config, received, running_desk
from webrtc_host.errors import Overloaded
from webrtc_host.http.server import errors_to_responses

TOKEN = "correct-horse-battery"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing/here", 404, "not_found"),
        ("POST", "/health", 405, "method_not_allowed"),
        ("GET", "/api/sessions/s_none", 404, "unknown_session"),
        ("POST", "/api/sessions/s_none/end", 404, "unknown_session"),
        ("DELETE", "/offer/c_none", 404, "unknown_connection"),
        ("GET", "/events?since=x", 400, "bad_since"),
        ("GET", "/events?session=s_none", 404, "unknown_session"),
    ],
)
async def test_refusals_have_one_shape(
    tmp_path: Path, method: str, path: str, status: int, code: str
) -> None:
    async with (
        running_desk(a_config(tmp_path)) as desk,
        desk.client.request(method, desk.url + path) as response,
    ):
        body = await response.json()
        assert (response.status, body["error"]["code"]) == (status, code)
        assert body["error"]["message"]
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        if status == 405:
            assert "GET" in response.headers["Allow"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health/", 200),
        ("GET", "//api/sessions/", 200),
        ("GET", "/whip/C01/", 204),
        ("POST", "/sessions/create/", 200),
        ("POST", "/push/", 415),
        ("GET", "/nothing/here/", 404),
    ],
)
async def test_extra_slashes_lead_to_the_same_route(
    tmp_path: Path, method: str, path: str, status: int
) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        async with desk.client.request(method, desk.url + path, allow_redirects=False) as response:
            assert response.status == status
            assert response.headers["X-Content-Type-Options"] == "nosniff"
        async with desk.client.get(f"{desk.url}/watch/", allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (308, "/watch")


async def test_a_trailing_slash_does_not_bypass_the_token(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path, token=TOKEN)) as desk:
        for method, path in (("GET", "/api/sessions/"), ("POST", "/push/"), ("GET", "//metrics")):
            async with desk.client.request(method, desk.url + path) as response:
                assert response.status == 401


async def test_a_body_that_is_too_large_is_413(tmp_path: Path) -> None:
    config = a_config(tmp_path, limits={"body_bytes": 2000})
    async with (
        running_desk(config) as desk,
        desk.client.put(f"{desk.url}/api/glossary", data=b"[" * 5000) as response,
    ):
        assert response.status == 413
        assert (await response.json())["error"]["code"] == "too_large"


async def _broken(_: web.Request) -> NoReturn:
    raise KeyError("secret detail")


async def _busy(_: web.Request) -> NoReturn:
    raise Overloaded("too_many", "try later", retry_after_s=1.2, status=429)


async def test_an_exception_gives_one_traceback_and_a_500_without_details(
    aiohttp_client: object, caplog: pytest.LogCaptureFixture
) -> None:
    app = web.Application(middlewares=[errors_to_responses])
    app.router.add_get("/broken", _broken)
    app.router.add_get("/busy", _busy)
    client = await aiohttp_client(app)  # type: ignore[operator]  # pytest-aiohttp's fixture has no exported type
    response = await client.get("/broken?token=secret")
    assert response.status == 500
    assert await response.json() == {
        "error": {"code": "internal", "message": "the server failed on this request; its log has the details"}
    }
    (record,) = [r for r in caplog.records if r.exc_info]
    assert record.getMessage() == "GET /broken failed"
    busy = await client.get("/busy")
    assert (busy.status, busy.headers["Retry-After"]) == (429, "2")


async def test_no_token_and_no_text_is_logged_above_debug(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with running_desk(a_config(tmp_path, token=TOKEN)) as desk:
        socket = await desk.watch(token=TOKEN, since=0)
        desk.final("very private words")
        await received(socket, 2)
        await socket.close()
        async with desk.client.get(f"{desk.url}/events", params={"token": TOKEN, "since": 0}) as stream:
            await stream.content.readuntil(b"private")
        for path in ("/api/sessions", "/nothing", "/offer", "/api/glossary/prompt"):
            await desk.get(path, token=TOKEN)
            await desk.get(path, token=TOKEN + "x")
        async with desk.client.post(f"{desk.url}/offer?token={TOKEN}", data=b"very private words") as refused:
            assert refused.status == 400
        await _malformed(desk.url, f"GET /?token={TOKEN} HTTP/9.9\r\n\r\n")
        await _malformed(desk.url, f"GET /?token={TOKEN} HTTP/1.1\r\nbad header {TOKEN}\r\n\r\n")
    text = "\n".join(json.dumps([r.name, r.getMessage(), r.exc_text]) for r in caplog.records)
    assert "127.0.0.1 GET /ws -> 101" in text, "the access log was on"
    assert text.count("a request was not valid HTTP") == 2
    assert TOKEN not in text
    assert "private" not in text


async def _malformed(url: str, request: str) -> None:
    """Send what is no HTTP and wait for the refusal."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    writer.write(request.encode())
    assert b"400" in await reader.readline()
    writer.close()
    await writer.wait_closed()
