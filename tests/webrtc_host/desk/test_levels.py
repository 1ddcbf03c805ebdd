"""The levels on a watcher's WebSocket: only on request, only of channels with audio."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from host_stt.contract import SAMPLE_RATE
from tests.support.desk import Desk, a_config, close_code_and_reason, received, running_desk
from webrtc_host.seams import Block
from webrtc_host.session.channel import ChannelSpec
from webrtc_host.session.channel_seams import DoorKind


async def ended(_: str) -> int:
    return 0


def feed(desk: Desk, channel_id: str, amplitude: float) -> None:
    """Half a second of audio that ends now."""
    connection = desk.registry.connect(desk.session, DoorKind.SOCKET, [ChannelSpec(channel_id)], ended)
    (channel,) = connection.channels
    channel.open()
    start = max(0, desk.session.now_sample() - SAMPLE_RATE // 2)
    channel.feed(Block(start, np.full(SAMPLE_RATE // 2, amplitude, np.float32)))


async def next_message(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    """The next message with levels; events may come before it."""
    while (message := (await received(socket, 1))[0])["type"] != "levels":
        pass
    return message


async def next_levels(socket: aiohttp.ClientWebSocketResponse) -> dict[str, list[float]]:
    levels: dict[str, list[float]] = (await next_message(socket))["levels"]
    return levels


async def test_levels_of_the_fed_channels_are_sent_on_request(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        feed(desk, "C01", 0.5)
        feed(desk, "C02", 0.05)
        socket = await desk.watch(levels=1, channels="C01")
        message = await next_message(socket)
        assert message["session"] == desk.session.id
        assert message["levels"] == {"C01": [-6.0, -6.0]}
        assert "seq" not in message


async def test_without_the_request_no_levels_are_sent(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        feed(desk, "C01", 0.5)
        socket = await desk.watch(since=desk.session.log.head_seq)
        desk.final("after")
        assert (await received(socket, 1))[0]["type"] == "segment.final"


async def test_a_message_without_levels_says_that_the_audio_has_stopped(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        feed(desk, "C01", 0.5)
        socket = await desk.watch(levels=1)
        while message := await next_levels(socket):
            assert message == {"C01": [-6.0, -6.0]}
        assert message == {}


async def test_levels_is_0_or_1(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        code, reason = await close_code_and_reason(await desk.watch(levels="yes"))
        assert (code, reason) == (4400, "levels is 0 or 1, not 'yes'")


async def test_server_sent_events_have_no_levels(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        status, body = await desk.get("/events", levels=1)
        assert status == 422
        assert "levels" in body["error"]["message"]
