"""Access checks: tokens, origins, forwarded headers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSServerHandshakeError
from aiohttp.test_utils import make_mocked_request

from tests.support.desk import a_config, running_desk
from webrtc_host.http.auth import Gate

TOKEN = "correct horse battery"


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ({"Authorization": f"Bearer {TOKEN}"}, {}, 200),
        ({"Authorization": f"bearer  {TOKEN}"}, {}, 200),
        ({}, {"token": TOKEN}, 200),
        ({"Authorization": "Bearer wrong"}, {"token": TOKEN}, 401),
        ({"Authorization": f"Basic {TOKEN}"}, {}, 401),
        ({"Authorization": "Bearer 토큰".encode().decode("latin-1")}, {}, 401),
        ({}, {}, 401),
    ],
)
async def test_the_token_comes_as_bearer_or_in_the_query(
    tmp_path: Path, headers: dict[str, str], query: dict[str, str], status: int
) -> None:
    async with (
        running_desk(a_config(tmp_path, token=TOKEN)) as desk,
        desk.client.get(f"{desk.url}/api/sessions", headers=headers, params=query) as response,
    ):
        assert response.status == status
        body = await response.json()
        if status == 401:
            assert body["error"]["code"] in ("token_missing", "token_wrong")
            assert TOKEN not in str(body)
            assert response.headers["WWW-Authenticate"].startswith("Bearer")


async def test_a_page_of_another_origin_can_read_and_change_nothing(tmp_path: Path) -> None:
    evil = {"Origin": "https://evil.example"}
    async with running_desk(a_config(tmp_path)) as desk:
        async with desk.client.get(f"{desk.url}/api/sessions", headers=evil) as response:
            assert "Access-Control-Allow-Origin" not in response.headers
        async with desk.client.put(f"{desk.url}/api/glossary", json={}, headers=evil) as response:
            assert response.status == 403
            assert "media.allowed_origins" in (await response.json())["error"]["message"]
        async with desk.client.options(
            f"{desk.url}/offer", headers={**evil, "Access-Control-Request-Method": "POST"}
        ) as response:
            assert response.status == 403


async def test_a_page_of_an_allowed_origin_may_call(tmp_path: Path) -> None:
    friend = {"Origin": "https://desk.example"}
    config = a_config(tmp_path, media={"allowed_origins": ["https://desk.example:443"]})
    async with running_desk(config) as desk:
        preflight = {**friend, "Access-Control-Request-Method": "PUT"}
        async with desk.client.options(f"{desk.url}/api/glossary", headers=preflight) as response:
            assert response.status == 204
            assert response.headers["Access-Control-Allow-Origin"] == "https://desk.example"
            assert "PUT" in response.headers["Access-Control-Allow-Methods"]
        async with desk.client.get(f"{desk.url}/api/nothing", headers=friend) as response:
            assert response.status == 404
            assert response.headers["Access-Control-Allow-Origin"] == "https://desk.example"
            assert response.headers["Vary"] == "Origin"


class _FakeTransport:
    def __init__(self, peer: str) -> None:
        self.peer = peer

    def get_extra_info(self, name: str, default: object = None) -> object:
        return (self.peer, 4711) if name == "peername" else default


def a_request(peer: str, **headers: str) -> object:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return make_mocked_request(
        "GET", "/", headers={"Host": "10.0.0.2:8082", **named}, transport=_FakeTransport(peer)
    )


@pytest.mark.parametrize(
    ("peer", "forwarded", "remote"),
    [
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # no proxy of ours: its header is hearsay
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1, 10.0.0.7", "198.51.100.1"),  # the nearest that is not ours
        ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "::ffff:198.51.100.1, ::ffff:10.0.0.7", "198.51.100.1"),
        ("::ffff:203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.1", "junk", "unknown"),
        ("10.0.0.1", "", "10.0.0.1"),
    ],
)
def test_forwarded_addresses_are_used_from_trusted_proxies_only(
    peer: str, forwarded: str, remote: str
) -> None:
    gate = Gate(trusted_proxies=["10.0.0.0/8"])
    assert gate.remote(a_request(peer, X_Forwarded_For=forwarded)) == remote  # type: ignore[arg-type]  # mocked


def test_a_proxy_may_be_named_by_its_mapped_address() -> None:
    gate = Gate(trusted_proxies=["::ffff:10.0.0.0/104"])
    assert gate.remote(a_request("10.0.0.1", X_Forwarded_For="198.51.100.1")) == "198.51.100.1"  # type: ignore[arg-type]  # mocked


def test_the_own_origin_behind_a_trusted_proxy_is_the_forwarded_one() -> None:
    headers = {
        "X_Forwarded_Proto": "https",
        "X_Forwarded_Host": "stt.example",
        "Origin": "https://stt.example",
    }
    gate = Gate(trusted_proxies=["10.0.0.1"])
    assert gate.is_own_or_allowed(a_request("10.0.0.1", **headers))  # type: ignore[arg-type]  # mocked
    assert not gate.is_own_or_allowed(a_request("203.0.113.9", **headers))  # type: ignore[arg-type]  # mocked


@pytest.mark.parametrize("origin", ["null", "", "https://", "http://[", "http://a:b"])
def test_an_invalid_origin_counts_as_foreign(origin: str) -> None:
    assert not Gate().is_own_or_allowed(a_request("127.0.0.1", Origin=origin))  # type: ignore[arg-type]  # mocked


@pytest.mark.parametrize(
    "host", ["127.0.0.1:1", "localhost:8082", "[::1]:8082", "192.168.1.7", "desk.example"]
)
async def test_a_local_server_accepts_its_addresses_and_configured_names(tmp_path: Path, host: str) -> None:
    config = a_config(tmp_path, media={"allowed_origins": ["https://desk.example"]})
    async with (
        running_desk(config) as desk,
        desk.client.get(f"{desk.url}/api/sessions", headers={"Host": host}) as response,
    ):
        assert response.status == 200


async def test_a_page_whose_name_was_made_to_resolve_here_is_refused(tmp_path: Path) -> None:
    rebound = {"Host": "evil.example:8082", "Origin": "http://evil.example:8082"}
    async with running_desk(a_config(tmp_path)) as desk:
        for path in ("/api/sessions", "/", "/ready"):
            async with desk.client.get(desk.url + path, headers=rebound) as response:
                assert response.status == 403
                assert (await response.json())["error"]["code"] == "host_not_allowed"
        with pytest.raises(WSServerHandshakeError):
            await desk.client.ws_connect(f"{desk.url}/ws", headers=rebound)


@pytest.mark.parametrize("config", [{"token": TOKEN}, {"media": {"trusted_proxies": ["127.0.0.1"]}}])
async def test_any_host_name_is_accepted_where_a_token_or_a_proxy_protects_the_server(
    tmp_path: Path, config: dict[str, Any]
) -> None:
    async with (
        running_desk(a_config(tmp_path, **config)) as desk,
        desk.client.get(f"{desk.url}/health", headers={"Host": "stt.example"}) as response,
    ):
        assert response.status == 200
