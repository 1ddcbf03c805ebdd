"""How a feed over `/ws/pcm` ends: stop, a close, a broken connection, silence, a handover."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.desk import abort_connection
from tests.support.polling import until
from tests.webrtc_host.doors.pcm_world import (
    RAW,
    TWENTY_MS,
    World,
    close_code,
    error_of,
    running,
    stop,
)
from webrtc_host.config import MediaConfig
from webrtc_host.doors.control import UNREADABLE_MAX
from webrtc_host.seams import ChannelState, CoverageState, EventType
from webrtc_host.session.channel import ChannelSpec
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.wires.pcm import SocketLimits

pytestmark = pytest.mark.slow


@pytest.fixture
async def world(aiohttp_client: Any) -> AsyncIterator[World]:
    async with running(aiohttp_client) as made:
        yield made


async def test_all_audio_of_a_client_that_disconnects_is_transcribed(world: World) -> None:
    socket = await world.begin()
    await socket.send_bytes(TWENTY_MS * 10)
    await socket.close()
    await until(lambda: not world.rig.registry.connections)
    assert sum(len(block.samples) for block in world.rig.pipelines[0].blocks) == 3200
    assert world.log.of(EventType.CHANNEL_CLOSED)[0]["reason"] == "peer_closed"


async def test_the_channel_of_a_broken_connection_is_lost_and_not_closed(world: World) -> None:
    """The TCP connection ends without the closing handshake of WebSocket."""
    socket = await world.begin()
    await socket.send_bytes(TWENTY_MS * 10)
    await until(lambda: bool(world.rig.pipelines[0].blocks))
    abort_connection(socket)
    await until(lambda: not world.rig.registry.connections)
    assert world.log.of(EventType.CHANNEL_CLOSED)[0]["reason"] == "connection_lost"
    assert world.rig.pipelines[0].channel.coverage.gap.state is CoverageState.LOST


async def test_stop_and_a_close_frame_leave_the_channel_closed(world: World) -> None:
    for channel, says_stop in (("C01", True), ("C02", False)):
        socket = await world.begin(channel)
        await socket.send_bytes(TWENTY_MS * 10)
        if says_stop:
            await socket.send_json({"type": "stop"})
            assert (await socket.receive_json())["type"] == "stopped"
        await socket.close()
        await until(lambda: not world.rig.registry.connections)
        gap = next(p for p in world.rig.pipelines if p.channel.id == channel).channel.coverage.gap
        assert gap.state is CoverageState.CLOSED, channel


async def test_a_socket_without_messages_is_4408_and_keepalive_prevents_it(world: World) -> None:
    await world.start(SocketLimits(idle_s=0.8, first_message_s=0.2))
    early = await world.connect()
    assert await error_of(early) == ("idle", 4408)
    socket = await world.begin()
    for _ in range(10):  # 1 s in total; each pause is far below `idle_s`, on a busy machine too
        await asyncio.sleep(0.1)
        await socket.send_json({"type": "keepalive"})
    assert world.rig.registry.connections
    assert await error_of(socket) == ("idle", 4408)


async def test_a_channel_with_a_sender_is_4409_and_one_without_is_handed_over(world: World) -> None:
    await world.start(media=MediaConfig(no_signal_after_s=0.3))
    first = await world.begin()
    for _ in range(5):
        await first.send_bytes(TWENTY_MS)
    second = await world.connect()
    await second.send_json(RAW)
    assert await error_of(second) == ("channel_fed", 4409)
    channel = world.rig.pipelines[0].channel
    await until(lambda: channel.state is ChannelState.NO_SIGNAL)
    third = await world.begin()
    assert (await first.receive_json())["reason"] == "taken_over"
    await third.send_bytes(TWENTY_MS * 10)
    await stop(third)
    assert [event["reason"] for event in world.log.of(EventType.CHANNEL_CLOSED)] == ["taken_over", "stopped"]


async def test_a_channel_with_a_time_of_its_own_keeps_its_signal_for_so_long(world: World) -> None:
    times = ({"channel": "C05", "no_signal_after_s": 600},)
    media = MediaConfig.model_validate({"no_signal_after_s": 0.3, "no_signal_after_s_of": times})
    await world.start(media=media)
    patient, usual = await world.begin("C05"), await world.begin("C01")
    for socket in (patient, usual):
        await socket.send_bytes(TWENTY_MS * 5)
    channels = world.rig.registry.current().channels
    await until(lambda: channels["C01"].state is ChannelState.NO_SIGNAL)
    assert channels["C05"].state is not ChannelState.NO_SIGNAL
    for socket in (patient, usual):
        await stop(socket)


async def test_a_page_keeps_its_channel(world: World) -> None:
    async def end(reason: str) -> int:
        return 0

    registry = world.rig.registry
    registry.connect(registry.current(), DoorKind.WEBRTC, [ChannelSpec("C01")], end)
    registry.current().channels["C01"].state = ChannelState.NO_SIGNAL
    socket = await world.connect()
    await socket.send_json(RAW)
    assert await error_of(socket) == ("channel_fed", 4409)


async def test_a_stopping_server_flushes_and_sends_the_reason(world: World) -> None:
    socket = await world.begin()
    await socket.send_bytes(bytes(64_000))  # 2 s at once: most of the audio still waits for its time
    await until(lambda: bool(world.rig.pipelines[0].blocks))
    ending = asyncio.create_task(world.rig.registry.close())
    answer = await socket.receive_json()
    assert (answer["type"], answer["reason"]) == ("stopped", "server_stopping")
    assert await close_code(socket) == 1001
    await ending
    assert world.rig.pipelines[0].is_closed


async def test_ending_the_session_ends_its_sockets(world: World) -> None:
    socket = await world.begin()
    session = world.rig.registry.current()
    ending = asyncio.create_task(world.rig.registry.end(session))
    assert (await socket.receive_json())["reason"] == "session_ended"
    assert await close_code(socket) == 1000
    await ending
    late = await world.connect()
    await late.send_json({**RAW, "session": session.id})
    assert await error_of(late) == ("session_ended", 4409)


async def test_sockets_that_connect_and_disconnect_leave_no_state(world: World) -> None:
    def tasks() -> int:
        return sum(
            task.get_name().split()[0] in ("read", "tick", "end", "feed") for task in asyncio.all_tasks()
        )

    for number in range(40):
        encoding = ("pcm_s16le", "webm", "opus", "ogg")[number % 4]
        socket = await world.connect()
        if number % 5:
            await socket.send_json({**RAW, "encoding": encoding})
        if number % 3:
            await socket.send_bytes(TWENTY_MS)
        await socket.close()
        await until(lambda: not world.rig.registry.connections)
    await until(lambda: tasks() == 0)
    assert not [t for t in threading.enumerate() if t.name.startswith("decode")]
    assert all(pipeline.is_closed for pipeline in world.rig.pipelines)


async def test_a_flood_of_invalid_messages_ends_the_feed(world: World) -> None:
    socket = await world.begin()
    for _ in range(UNREADABLE_MAX + 1):
        await socket.send_str("ping")
    codes = [(await socket.receive_json(timeout=10))["code"] for _ in range(UNREADABLE_MAX + 1)]
    assert codes == ["bad_message"] * UNREADABLE_MAX + ["too_many_bad_messages"]
    assert await close_code(socket) == 1008
    await until(lambda: not world.rig.registry.connections)
