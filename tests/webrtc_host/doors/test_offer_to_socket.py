"""A client with an answer but without a WebRTC connection continues over a WebSocket, on the same channel."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from tests.support.peers import Client, Rig, SampleTrack, app_of, tone_bursts
from tests.support.polling import until
from webrtc_host.config import MediaConfig
from webrtc_host.doors.offer import OfferDoor
from webrtc_host.http.auth import Gate
from webrtc_host.http.server import GATE
from webrtc_host.session.resume import ResumeTokens
from webrtc_host.wires.pcm import PcmSocketDoor


async def test_the_socket_gets_the_channel_of_the_offer_that_never_connected(aiohttp_client: Any) -> None:
    rig, media, tokens = Rig(), MediaConfig(), ResumeTokens(900.0)
    offers = OfferDoor(rig.registry, media, lambda *_: None, tokens)
    sockets = PcmSocketDoor(rig.registry, media, tokens=tokens)
    app = app_of(offers, sockets)
    app[GATE] = Gate()
    http = await aiohttp_client(app)
    client = Client([SampleTrack(tone_bursts(500, (0.1,), 1.0))])
    async with http.post("/offer", json=await client.offer()) as response:
        answer = await response.json()
    first = {"encoding": "pcm_s16le", "sample_rate": 16_000, "session": answer["session"]}
    async with http.ws_connect("/ws/pcm/C01") as socket:
        await socket.send_str(json.dumps(first))
        assert (await socket.receive_json())["code"] == "channel_fed"
    async with http.ws_connect("/ws/pcm/C01") as socket:
        await socket.send_str(json.dumps({**first, "resume": answer["resume"]}))
        started = await socket.receive_json()
        assert (started["type"], started["channel"]) == ("started", "C01")
        assert list(rig.registry.connections) == [started["connection"]]
        for _ in range(10):
            await socket.send_bytes(np.full(1600, 3000, "<i2").tobytes())
        await socket.send_str('{"type":"stop"}')
        assert (await socket.receive_json())["type"] == "stopped"
    assert sum(len(block.samples) for block in rig.pipeline("C01").blocks) >= 15_000
    await until(lambda: not rig.registry.connections)
    await client.close()
    await rig.registry.close()
