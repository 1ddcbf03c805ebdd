"""Routes are declared once: the router of the application has no other ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import hdrs, web
from pytest_aiohttp.plugin import AiohttpClient

from tests.support.desk import a_config, silent
from webrtc_host.app import build_app
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import (
    OPEN_TO_ALL,
    ROUTES,
    Route,
    add_route,
    add_routes,
    route_of,
)


def routed(app: web.Application) -> set[tuple[str, str]]:
    """(method, path template) of every route of the router; HEAD belongs to GET."""
    found = set()
    for route in app.router.routes():
        assert route.resource is not None
        if route.method != hdrs.METH_HEAD:
            found.add((route.method, route.resource.canonical))
    return found


def test_every_route_of_the_router_is_declared(tmp_path: Path) -> None:
    """Fails when a route was added with `app.router.add_...` in place of `add_routes`."""
    app = build_app(a_config(tmp_path))
    assert routed(app) == app[ROUTES].keys()


def test_only_what_has_to_work_without_a_token_is_open_to_all(tmp_path: Path) -> None:
    routes = build_app(a_config(tmp_path))[ROUTES]
    assert {key for key, route in routes.items() if route.role is OPEN_TO_ALL and route.is_documented} == {
        ("GET", "/health"),
        ("GET", "/ready"),
        ("GET", "/api/shared"),  # the token of the link is checked
        ("GET", "/api/shared/audio"),
        ("OPTIONS", "/whip/{channel}"),
        ("OPTIONS", "/whip/{channel}/{publication}"),
        ("OPTIONS", "/api/uploads"),
        ("OPTIONS", "/api/uploads/{upload}"),
    }


def test_each_request_that_changes_or_exports_something_names_its_audit_action(tmp_path: Path) -> None:
    """Except the ones that send audio: their handlers write the line when the feed begins. A trial of the
    glossary changes nothing.
    """
    routes = build_app(a_config(tmp_path))[ROUTES].values()
    changes = [route for route in routes if route.method not in ("GET", "OPTIONS")]
    without = {route.key for route in changes if route.audit is None}
    assert without == {
        ("POST", "/offer"),
        ("POST", "/api/offer"),
        ("PATCH", "/api/offer"),
        ("DELETE", "/offer/{connection}"),
        ("POST", "/whip/{channel}"),
        ("PATCH", "/whip/{channel}/{publication}"),
        ("DELETE", "/whip/{channel}/{publication}"),
        ("POST", "/sessions/create"),
        ("POST", "/push"),
        ("POST", "/api/alerts/try"),
        ("POST", "/v1/listen"),
        ("POST", "/api/glossary/try"),
        ("POST", "/api/simulation"),  # sends audio too
        ("PUT", "/api/me/settings"),  # changes only what the caller sees
        # A desk: the line of each channel is written when the desk first hears it.
        ("POST", "/api/listening"),
        ("PUT", "/api/listening/{listener}"),
        ("DELETE", "/api/listening/{listener}"),
        ("POST", "/api/call-upload"),
        ("POST", "/api/trunk-recorder-call-upload"),
        ("POST", "/{short_name}/upload"),
        ("POST", "/v1/realtime"),
        ("POST", "/v1/realtime/calls"),
        ("POST", "/v1/realtime/calls/{call}/hangup"),
        ("POST", "/{short_name}/authorize"),  # changes nothing
        ("POST", "/api/v1/gpu/warmup"),  # changes nothing
        # Pieces of an upload: its line was written when it began.
        ("PATCH", "/api/uploads/{upload}"),
        ("POST", "/api/uploads/{upload}"),
    }
    exports = [route for route in routes if route.path.startswith("/api/") and "/export." in route.path]
    assert len(exports) == 6
    assert {route.audit for route in exports} == {"exported"}


def test_the_configuration_turns_doors_off(tmp_path: Path) -> None:
    off = {name: {"enabled": False} for name in ("conversation", "openai_files", "radio_uploads", "worker")}
    missing = build_app(a_config(tmp_path / "all"))[ROUTES].keys() - (
        build_app(a_config(tmp_path / "off", doors=off))[ROUTES].keys()
    )
    assert missing == {
        ("POST", "/v1/audio/transcriptions"),
        ("POST", "/v1/audio/translations"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/{id}"),
        ("POST", "/api/call-upload"),
        ("POST", "/api/v1/conversation/request"),
        ("GET", "/api/v1/conversation/stream-events/{job_id}"),
        ("GET", "/api/v1/conversation/stream"),
        *((method, "/api/v1/conversation/rooms") for method in ("GET", "POST")),
        *((method, "/api/v1/conversation/rooms/{room}") for method in ("GET", "DELETE")),
        ("POST", "/api/v1/conversation/rooms/{room}/members"),
        ("POST", "/api/v1/conversation/rooms/{room}/summary"),
        ("GET", "/api/v1/conversation/rooms/{room}/events"),
        ("POST", "/api/v1/transcriptions"),
        ("POST", "/api/v1/gpu/warmup"),
        ("POST", "/api/v1/solo/submissions"),
        *((method, "/api/v1/solo/submissions/{attempt}") for method in ("GET", "DELETE")),
        ("POST", "/api/trunk-recorder-call-upload"),
        ("POST", "/{short_name}/upload"),
        ("POST", "/{short_name}/authorize"),
    }


class _Service:
    @Route("GET", "/first", Role.VIEWER, "The first")
    @Route("GET", "/second/{part}", OPEN_TO_ALL, "The second", allow_head=False)
    async def show(self, request: web.Request) -> web.Response:
        return web.Response(text="shown")


def test_one_handler_may_serve_several_routes() -> None:
    app = web.Application()
    add_routes(app, _Service())
    assert [route.key for route in app[ROUTES].values()] == [("GET", "/first"), ("GET", "/second/{part}")]
    methods = {(r.method, r.resource.canonical) for r in app.router.routes() if r.resource is not None}
    assert ("HEAD", "/first") in methods
    assert ("HEAD", "/second/{part}") not in methods


def test_a_route_cannot_be_declared_twice() -> None:
    app = web.Application()
    add_routes(app, _Service())
    with pytest.raises(ValueError, match="GET /first is declared twice"):
        add_route(app, Route("GET", "/first", Role.ADMIN, "Again"), _Service().show)


async def test_a_route_without_a_declaration_needs_an_administrator(
    tmp_path: Path, aiohttp_client: AiohttpClient
) -> None:
    tokens = tuple({"name": role, "token": f"{role}-secret", "role": role.value} for role in Role)

    async def handler(request: web.Request) -> web.Response:
        assert route_of(request) is None
        return web.Response(text="reached")

    app = build_app(a_config(tmp_path, tokens=tokens), make_pipeline=silent)
    app.router.add_get("/added", handler)
    client = await aiohttp_client(app)
    for token, status in (("", 401), ("supervisor-secret", 403), ("admin-secret", 200)):
        response = await client.get("/added", params={"token": token})
        assert response.status == status, token
