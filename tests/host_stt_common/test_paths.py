"""Spare slashes in a path, over a real server: the same answer, the same checks, the body intact."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from host_stt_common.paths import Handler, ignore_spare_slashes, plain_path


@web.middleware
async def only_named(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuses by route, as both servers do."""
    resource = request.match_info.route.resource
    if resource is not None and resource.canonical == "/secret":
        raise web.HTTPForbidden
    return await handler(request)


@pytest.fixture
async def client() -> AsyncIterator[TestClient[Any, Any]]:
    async def echo(request: web.Request) -> web.Response:
        return web.json_response([request.path, request.query_string, (await request.read()).decode()])

    async def page(request: web.Request) -> web.Response:
        return web.Response(text="<html>", content_type="text/html")

    async def talk(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(request.match_info["channel"])
        await socket.close()
        return socket

    app = web.Application(middlewares=[ignore_spare_slashes, only_named])
    app.router.add_get("/page", page)
    app.router.add_get("/ws/{channel}", talk)
    app.router.add_route("*", "/a/{name}", echo)
    app.router.add_post("/secret", echo)
    async with TestClient(TestServer(app)) as made:
        yield made


@pytest.mark.parametrize("path", ["/a/x", "/a/x/", "//a/x", "//a//x//"])
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
async def test_extra_slashes_lead_to_the_same_route(
    client: TestClient[Any, Any], method: str, path: str
) -> None:
    body = "x" * 200_000 if method != "GET" else ""
    headers = {"Expect": "100-continue"} if body else {}
    url = f"{client.make_url('')}{path}?q=a%20b"
    answer = await client.session.request(method, url, data=body, headers=headers)
    assert (answer.status, await answer.json()) == (200, ["/a/x", "q=a b", body])


async def test_a_websocket_is_opened(client: TestClient[Any, Any]) -> None:
    async with client.ws_connect("/ws/C01/") as socket:
        assert await socket.receive_str() == "C01"


async def test_the_checks_of_a_route_apply_to_other_spellings_too(client: TestClient[Any, Any]) -> None:
    assert (await client.post("/secret/")).status == 403
    assert (await client.get("/secret/")).status == 405
    assert (await client.get("/nowhere/")).status == 404


async def test_a_page_sends_to_its_own_address(client: TestClient[Any, Any]) -> None:
    answer = await client.session.get(f"{client.make_url('')}//page/?token=x", allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (308, "/page?token=x")


def test_no_path_leads_to_another_host() -> None:
    assert [plain_path(p) for p in ("/", "//", "//evil.example/", "/a//b/")] == [
        "/",
        "/",
        "/evil.example",
        "/a/b",
    ]
