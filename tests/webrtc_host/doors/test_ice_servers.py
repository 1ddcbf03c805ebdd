"""`GET /api/ice`: what the configuration offers to both sides reaches the client's side."""

from __future__ import annotations

from typing import Any

from tests.support.peers import Rig, app_of
from webrtc_host.config import IceServer, LimitsConfig, MediaConfig
from webrtc_host.doors.offer import OfferDoor


async def asked(aiohttp_client: Any, media: MediaConfig) -> Any:
    rig = Rig(LimitsConfig())
    client = await aiohttp_client(app_of(OfferDoor(rig.registry, media, lambda *_: None)))
    async with client.get("/api/ice") as response:
        assert response.status == 200
        body = await response.json()
    await rig.registry.close()
    return body


async def test_no_server_is_named_by_default(aiohttp_client: Any) -> None:
    assert await asked(aiohttp_client, MediaConfig()) == {"ice_servers": []}


async def test_a_turn_server_comes_with_its_credential(aiohttp_client: Any) -> None:
    turn = IceServer(urls=("turn:turn.example:3478",), username="desk", credential="secret")
    body = await asked(aiohttp_client, MediaConfig(ice_servers=(turn,)))
    assert body["ice_servers"] == [
        {"urls": ["turn:turn.example:3478"], "username": "desk", "credential": "secret"}
    ]
