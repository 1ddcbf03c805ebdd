"""A server with `/ws/pcm` alone, and the steps of its clients, for the tests of that endpoint."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import numpy as np

from host_stt.contract import Float32Array
from tests.support.peers import Rig, app_of, tone_bursts
from webrtc_host.config import LimitsConfig, MediaConfig
from webrtc_host.http.auth import Gate
from webrtc_host.http.server import GATE
from webrtc_host.session.registry import MakeArchive
from webrtc_host.wires.pcm import PcmSocketDoor, SocketLimits

ONSETS = (0.1, 0.5)
SECONDS = 0.8
SOUND = tone_bursts(500, ONSETS, SECONDS)
RAW = {"encoding": "pcm_s16le", "sample_rate": 16_000}
TWENTY_MS = bytes(640)
BROKEN = b"\xf2\xfc\xff" + bytes(20)
"""An Opus packet of twice 10 ms whose first frame is said to be longer than the whole."""


class World:
    def __init__(self, aiohttp_client: Any) -> None:
        self._aiohttp_client = aiohttp_client
        self.http: Any = None
        self.rig = Rig()

    async def start(
        self,
        limits: SocketLimits | None = None,
        media: MediaConfig | None = None,
        make_archive: MakeArchive | None = None,
    ) -> None:
        self.rig = Rig(LimitsConfig(channels_per_process=100), make_archive=make_archive)
        self.door = PcmSocketDoor(self.rig.registry, media or MediaConfig(), limits)
        app = app_of(self.door)
        app[GATE] = Gate()
        self.http = await self._aiohttp_client(app)

    async def connect(self, channel: str = "C01", query: str = "") -> aiohttp.ClientWebSocketResponse:
        socket: aiohttp.ClientWebSocketResponse = await self.http.ws_connect(f"/ws/pcm/{channel}{query}")
        return socket

    async def begin(self, channel: str = "C01", **start: Any) -> aiohttp.ClientWebSocketResponse:
        socket = await self.connect(channel)
        await socket.send_json({**RAW, **start})
        answer = await socket.receive_json(timeout=10)
        assert answer["type"] == "started", answer
        return socket

    @property
    def log(self) -> Any:
        return next(iter(self.rig.logs.values()))


@asynccontextmanager
async def running(aiohttp_client: Any) -> AsyncIterator[World]:
    """A World with the default limits, until its sessions have ended."""
    made = World(aiohttp_client)
    await made.start()
    yield made
    await made.rig.registry.close()


async def stop(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    await socket.send_json({"type": "stop"})
    answer: dict[str, Any] = await socket.receive_json(timeout=20)
    assert await close_code(socket) == 1000
    return answer


async def close_code(socket: aiohttp.ClientWebSocketResponse) -> int:
    message = await socket.receive(timeout=10)
    assert message.type is aiohttp.WSMsgType.CLOSE, message
    return int(message.data)


async def error_of(socket: aiohttp.ClientWebSocketResponse) -> tuple[str, int]:
    answer = await socket.receive_json(timeout=10)
    assert answer["type"] == "error" and answer["v"] == 1 and answer["message"]
    return answer["code"], await close_code(socket)


def received_audio(world: World) -> Float32Array:
    """The samples that reached the channel."""
    return np.concatenate([block.samples for block in world.rig.pipelines[-1].blocks])
