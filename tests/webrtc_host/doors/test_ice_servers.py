"""`GET /api/ice`: the client gets the servers of the configuration."""

from __future__ import annotations

from typing import Any

from tests.support.peers import Rig, app_of
from webrtc_host.config import IceServer, LimitsConfig, MediaConfig
from webrtc_host.doors.offer import OfferDoor


async def response_of_ice(aiohttp_client: Any, media: MediaConfig) -> Any:
    rig = Rig(LimitsConfig())
    client = await aiohttp_client(app_of(OfferDoor(rig.registry, media, lambda *_: None)))
    async with client.get("/api/ice") as response:
        assert response.status == 200
        body = await response.json()
    await rig.registry.close()
    return body


async def test_there_is_no_server_by_default(aiohttp_client: Any) -> None:
    assert await response_of_ice(aiohttp_client, MediaConfig()) == {"ice_servers": []}


async def test_a_turn_server_has_its_credential(aiohttp_client: Any) -> None:
    turn = IceServer(urls=("turn:turn.example:3478",), username="desk", credential="secret")
    body = await response_of_ice(aiohttp_client, MediaConfig(ice_servers=(turn,)))
    assert body["ice_servers"] == [
        {"urls": ["turn:turn.example:3478"], "username": "desk", "credential": "secret"}
    ]
