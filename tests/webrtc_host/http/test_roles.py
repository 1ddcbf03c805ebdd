"""Every route with every role, wrong tokens, and the lines of the audit."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import ValidationError

from tests.support.desk import Desk, a_config, close_code_and_reason, running_desk
from webrtc_host.app import build_app
from webrtc_host.config import AuthConfig
from webrtc_host.http.roles import ANYONE, Caller, Role
from webrtc_host.http.routes import ROUTES
from webrtc_host.http.server import GATE
from webrtc_host.keys import RECORD
from webrtc_host.transcript import records

TOKEN = "correct horse battery"
TOKENS = tuple({"name": f"the {role}", "token": f"{role}-secret", "role": role.value} for role in Role)
PARTS = {
    "session": "s_1",
    "connection": "c_1",
    "channel": "C01",
    "segment": "g_1",
    "publication": "p_1",
    "suggestion": "1",
    "short_name": "county",
    "id": "whisper-1",
    "job": "j_1",
    "job_id": "j_1",
    "alert": "a_1",
    "webhook": "w_1",
    "summary": "y_1",
    "room": "r_1",
    "attempt": "7",
    "upload": "j_00000000000f",
    "mark": "star",
    "share": "1",
    "listener": "l_1",
}


@pytest.fixture(scope="module")
def roles(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Role]:
    """(method, path template) -> role, of every route that needs a token in our own form, and is no
    WebSocket.
    """
    routes = build_app(a_config(tmp_path_factory.mktemp("roles")))[ROUTES].values()
    return {
        route.key: route.role
        for route in routes
        if route.role is not None and not route.is_websocket and not route.checks_key
    }


def path_of(template: str) -> str:
    return re.sub(r"{(\w+)}", lambda found: PARTS[found[1]], template)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_each_role_includes_the_roles_before_it() -> None:
    assert [role for role in Role if role.may(Role.OPERATOR)] == [Role.OPERATOR, Role.SUPERVISOR, Role.ADMIN]


async def test_every_route_refuses_lower_roles_and_requests_without_a_token(
    tmp_path: Path, roles: dict[tuple[str, str], Role]
) -> None:
    async with running_desk(a_config(tmp_path, token=TOKEN, tokens=TOKENS)) as desk:
        for (method, template), needed in roles.items():
            path = desk.url + path_of(template)
            async with desk.client.request(method, path) as response:
                assert response.status == 401, (method, template)
            for role in (role for role in Role if not role.may(needed)):
                async with desk.client.request(method, path, headers=bearer(f"{role}-secret")) as response:
                    assert response.status == 403, (method, template, role)
                    error = (await response.json())["error"]
                    assert error["code"] == "role_too_low"
                    assert needed in error["message"]
                    assert "secret" not in error["message"]


async def test_a_sufficient_role_is_accepted(tmp_path: Path, roles: dict[tuple[str, str], Role]) -> None:
    async with running_desk(a_config(tmp_path, tokens=TOKENS)) as desk:
        for (method, template), needed in roles.items():
            if template in ("/events", "/metrics"):
                continue
            path = desk.url + path_of(template)
            async with desk.client.request(method, path, headers=bearer(f"{needed}-secret")) as response:
                assert response.status not in (401, 403), (method, template)


async def test_a_websocket_is_closed_with_a_code_for_its_token_and_its_role(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path, tokens=TOKENS)) as desk:
        for path, token, code in (
            ("/ws", "", 4401),
            ("/ws", "no such token", 4401),
            ("/ws/pcm/C01", "viewer-secret", 4403),
            ("/ws/backfill/C01", "listener-secret", 4403),
        ):
            socket = await desk.client.ws_connect(f"{desk.url}{path}", params={"token": token})
            assert (await close_code_and_reason(socket))[0] == code, (path, token)
        socket = await desk.client.ws_connect(
            f"{desk.url}/ws", params={"token": "viewer-secret", "since": "0"}
        )
        desk.final()
        assert (await socket.receive()).type is aiohttp.WSMsgType.TEXT
        await socket.close()


async def test_the_single_token_is_an_administrator_and_without_tokens_every_caller_is(
    tmp_path: Path,
) -> None:
    async with (
        running_desk(a_config(tmp_path / "a", token=TOKEN)) as desk,
        desk.client.get(f"{desk.url}/api/audit", headers=bearer(TOKEN)) as response,
    ):
        assert response.status == 200
    async with running_desk(a_config(tmp_path / "b")) as desk:
        assert (await desk.get("/api/audit"))[0] == 200
    assert ANYONE == Caller("anyone", Role.ADMIN)


async def test_after_too_many_wrong_tokens_further_ones_are_refused_unchecked(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path, token=TOKEN)) as desk:
        statuses = []
        for number in range(25):
            async with desk.client.get(
                f"{desk.url}/api/sessions", headers=bearer(f"guess {number}")
            ) as response:
                statuses.append(response.status)
        assert statuses[:20] == [401] * 20
        assert statuses[-1] == 429
        assert int(response.headers["Retry-After"]) >= 1
        async with desk.client.get(f"{desk.url}/health") as response:
            assert response.status == 200


@pytest.mark.parametrize(
    ("tokens", "complaint"),
    [
        ([{"name": "a", "token": "12345678", "role": "viewer"}] * 2, "same name"),
        (
            [
                {"name": "a", "token": "12345678", "role": "viewer"},
                {"name": "b", "token": "12345678", "role": "admin"},
            ],
            "given twice",
        ),
        ([{"name": "a", "token": "short", "role": "viewer"}], "at least 8"),
        ([{"name": "a\nb", "token": "12345678", "role": "viewer"}], "pattern"),
        ([{"name": "a", "token": "12345678", "role": "king"}], "viewer"),
    ],
)
def test_invalid_tokens_in_the_configuration_are_refused(
    tokens: list[dict[str, str]], complaint: str
) -> None:
    with pytest.raises(ValidationError, match=complaint):
        AuthConfig.model_validate({"tokens": tokens})


def test_no_token_is_shown_when_the_configuration_is_printed() -> None:
    config = AuthConfig.model_validate({"token": TOKEN, "tokens": TOKENS})
    assert "secret" not in repr(config)
    assert TOKEN not in repr(config)


async def audit_lines(desk: Desk) -> list[Any]:
    rows = await desk.app[RECORD].store.read(lambda connection: records.audit_page(connection, 100))
    return [(row.who, row.action, row.session, row.channel) for row in reversed(rows)]


async def test_exports_ends_and_removals_are_written_to_the_audit_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "webrtc_host.http.audit")
    async with running_desk(a_config(tmp_path, tokens=TOKENS), headers=bearer("admin-secret")) as desk:
        session = desk.session
        desk.final("this is nobody's business")
        await desk.written()
        base = f"{desk.url}/api/sessions/{session.id}"
        for method, path in (
            ("GET", "/export.txt?channel=C01&token=viewer-secret"),
            ("GET", "/segments"),
            ("PATCH", ""),
            ("POST", "/end"),
            ("DELETE", ""),
            ("GET", "/export.srt"),
        ):
            body = {"name": "renamed"} if method == "PATCH" else None
            async with desk.client.request(method, base + path, json=body) as response:
                await response.read()
                assert (response.status == 200) is (path != "/export.srt"), (
                    method,
                    path,
                    await response.text(),
                )
        assert await audit_lines(desk) == [
            ("the admin", "exported", session.id, None),
            ("the admin", "changed", session.id, None),
            ("the admin", "ended", session.id, None),
            ("the admin", "deleted", session.id, None),
        ]
        status, body = await desk.get("/api/audit", limit=2)
        assert [line["action"] for line in body["lines"]] == ["deleted", "ended"]
        _, older = await desk.get("/api/audit", before=body["next_before"])
        assert [line["action"] for line in older["lines"]] == ["changed", "exported"]
        assert older["lines"][1]["detail"] == "export.txt channel='C01'"
    said = caplog.text
    assert "audit: the admin (admin) from 127.0.0.1 exported" in said
    assert "secret" not in said
    assert "business" not in said


async def test_a_refused_request_leaves_no_line_in_the_audit_log(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path, tokens=TOKENS), headers=bearer("viewer-secret")) as desk:
        session = desk.session
        async with desk.client.delete(f"{desk.url}/api/sessions/{session.id}") as response:
            assert response.status == 403
        assert (await desk.get("/api/sessions/s_none/export.txt"))[0] == 404
        assert await audit_lines(desk) == []
        assert desk.app[GATE].limits.refused == 0
