"""`GET /api/clients`: settings for the address of the caller, and the channels that clients hold."""

from __future__ import annotations

from pathlib import Path

from tests.support.desk import a_config, running_desk
from webrtc_host.wires.clients_api import ClientsResponse

TOKEN = "a-token-of-an-admin"
VIEWER = {"name": "looks", "token": "a-token-of-a-viewer", "role": "viewer"}


async def test_the_settings_have_the_address_of_the_caller(tmp_path: Path) -> None:
    config = a_config(tmp_path, token=TOKEN, tokens=(VIEWER,), doors={"vosk": {"enabled": False}})
    async with running_desk(config, headers={"Authorization": f"Bearer {VIEWER['token']}"}) as desk:
        status, body = await desk.get("/api/clients", base="https://stt.example.org/radio")
        assert status == 200
        ClientsResponse.model_validate(body)
        clients = {client["id"]: client for client in body["clients"]}
        assert clients["openai-files"]["address"] == "https://stt.example.org/radio/v1"
        assert "vosk" not in clients
        assert (body["asks_token"], body["feeds"]) == (True, [])
        assert TOKEN not in str(body)
        _, body = await desk.get("/api/clients")
        assert desk.url in str(body)
        for wrong in ("ftp://x", "https://x/$(id)", 'https://x/"', "https://x/'", "x" * 301):
            assert (await desk.get("/api/clients", base=wrong))[0] == 400, wrong


async def test_a_channel_that_a_client_holds_is_listed(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        async with desk.client.ws_connect(f"{desk.url}/vosk/C05") as socket:
            await socket.send_str('{"config": {"sample_rate": 16000}}')
            await socket.send_bytes(bytes(3200))
            await socket.receive()
            _, body = await desk.get("/api/clients")
        assert body["asks_token"] is False
        (feed,) = body["feeds"]
        assert (feed["door"], feed["channel"], feed["session"]) == ("vosk", "C05", desk.session.id)
