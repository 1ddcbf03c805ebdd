"""Audio over a WebSocket arrives at its time in every encoding; a wrong frame gets an error message."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from tests.support.peers import onsets_of
from tests.support.polling import until
from tests.support.socket_audio import container_of, frames_of, interleaved
from tests.support.stereo import speech
from tests.webrtc_host.doors.pcm_world import (
    BROKEN,
    ONSETS,
    RAW,
    SECONDS,
    SOUND,
    TWENTY_MS,
    World,
    close_code,
    error_of,
    received_audio,
    running,
    stop,
)
from webrtc_host.seams import BlockKind, EventType, OpusPacket
from webrtc_host.wires.pcm import SocketLimits

pytestmark = pytest.mark.slow


@pytest.fixture
async def world(aiohttp_client: Any) -> AsyncIterator[World]:
    async with running(aiohttp_client) as made:
        yield made


@pytest.mark.parametrize(
    ("encoding", "rate"),
    [
        ("pcm_s16le", 16_000),
        ("pcm_s16le", 48_000),
        ("pcm_f32le", 44_100),
        ("mulaw", 8_000),
        ("alaw", 8_000),
        ("opus", 48_000),
        ("webm", 48_000),
        ("ogg", 48_000),
    ],
)
async def test_each_encoding_arrives_completely_and_at_its_time(
    world: World, encoding: str, rate: int
) -> None:
    socket = await world.begin(encoding=encoding, sample_rate=rate, label="Tower", language="ko")
    for frame in frames_of(encoding, SOUND, rate):
        await socket.send_bytes(frame)
    answer = await stop(socket)
    assert answer == {"type": "stopped", "reason": "stopped", "final_seq": world.log.head_seq}
    pipeline = world.rig.pipelines[0]
    assert pipeline.is_closed
    assert abs(len(pipeline.audio()) - SECONDS * 16_000) <= 160
    assert {block.kind for block in pipeline.blocks} == {BlockKind.AUDIO}
    heard = onsets_of(pipeline.audio())
    assert [round(onset, 2) for onset in heard] == pytest.approx(ONSETS, abs=0.015)
    opened = world.log.of(EventType.CHANNEL_OPENED)[0]
    assert (opened["door"], opened["label"], opened["language"]) == ("socket", "Tower", "ko")
    assert world.log.of(EventType.CHANNEL_CLOSED)[0]["reason"] == "stopped"
    assert not world.rig.registry.connections


async def test_a_file_sent_at_once_is_read_in_real_time_and_no_audio_is_lost(world: World) -> None:
    socket = await world.begin()
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    for _ in range(15):
        await socket.send_bytes(bytes(6400))  # 200 ms each
    channel = world.rig.pipelines[0].channel
    furthest = 0
    while loop.time() - began_s < 0.6:
        await asyncio.sleep(0.02)
        furthest = max(furthest, channel.end_sample - channel.session.now_sample())
    assert furthest < 16_000 * 0.5, "the audio is never far in the future"
    await stop(socket)
    assert loop.time() - began_s > 1.5, "3 s of audio, of which 1 s may be older than the connection"
    assert sum(len(block.samples) for block in world.rig.pipelines[0].blocks) == 48_000
    assert {block.kind for block in world.rig.pipelines[0].blocks} == {BlockKind.AUDIO}
    assert world.door.statistics()["slowed"] > 3


@pytest.mark.parametrize(
    ("start", "frame", "code", "close"),
    [
        (RAW, bytes(300_000), "too_large", 4413),
        (
            {**RAW, "encoding": "pcm_f32le"},
            np.array([0, np.nan], "<f4").tobytes(),
            "not_finite",
            4422,
        ),
        ({**RAW, "encoding": "pcm_f32le"}, np.array([np.inf], "<f4").tobytes(), "not_finite", 4422),
        ({"encoding": "opus"}, b"\x03", "bad_frame", 4400),
        ({"encoding": "opus"}, b"\x1b\x3f" + bytes(80), "bad_frame", 4400),
        ({"encoding": "opus"}, bytes(70_000), "bad_frame", 4400),
    ],
)
async def test_a_wrong_frame_gets_an_error_message_and_frees_the_channel(
    world: World, start: dict[str, Any], frame: bytes, code: str, close: int
) -> None:
    socket = await world.connect()
    await socket.send_json(start)
    await socket.receive_json()
    await socket.send_bytes(frame)
    assert await error_of(socket) == (code, close)
    await until(lambda: not world.rig.registry.connections)
    assert world.log.of(EventType.CHANNEL_CLOSED)[0]["reason"] == code
    assert world.rig.pipelines[0].is_closed


async def test_floats_beyond_full_scale_are_clipped(world: World) -> None:
    socket = await world.begin(encoding="pcm_f32le")
    await socket.send_bytes(np.full(1600, 3.0, "<f4").tobytes())
    await stop(socket)
    assert float(world.rig.pipelines[0].audio().max()) == 1.0


async def test_a_frame_above_the_size_limit_is_not_read(world: World) -> None:
    socket = await world.begin()
    await socket.send_bytes(bytes(1_200_000))
    assert await close_code(socket) == 1009
    await until(lambda: not world.rig.registry.connections)


async def test_a_container_that_cannot_be_read_is_4415_and_its_thread_ends(world: World) -> None:
    for encoding in ("webm", "ogg"):
        socket = await world.begin(encoding=encoding)
        code = ""
        for _ in range(40):
            try:
                await socket.send_bytes(b"no container at all " * 500)
                await asyncio.sleep(0.01)
            except ConnectionError:
                break
        code, close = await error_of(socket)
        assert (code, close) == ("bad_audio", 4415)
    await until(lambda: not any(t.name.startswith("decode") for t in threading.enumerate()))


async def test_the_audio_of_an_incomplete_container_is_used(world: World) -> None:
    whole = container_of("webm", SOUND)
    socket = await world.begin(encoding="webm")
    await socket.send_bytes(whole[: len(whole) * 3 // 4])
    await socket.close()
    await until(lambda: not world.rig.registry.connections)
    assert len(world.rig.pipelines[0].audio()) > 0.4 * 16_000
    assert not [t for t in threading.enumerate() if t.name.startswith("decode")]


async def test_too_many_containers_get_a_retry_time(world: World) -> None:
    await world.start(SocketLimits(containers=1))
    first = await world.begin("C01", encoding="webm")
    second = await world.connect("C02")
    await second.send_json({"encoding": "ogg"})
    answer = await second.receive_json()
    assert (answer["code"], answer["retry_after_ms"]) == ("too_many_streams", 5000)
    assert await close_code(second) == 1013
    await first.close()


async def test_opus_packets_reach_the_archive_before_their_audio_with_its_time(
    world: World,
) -> None:
    kept: list[OpusPacket] = []

    class Keeper:
        is_keeping = True

        def archive_packet(self, packet: OpusPacket) -> None:
            assert packet.start_sample >= channel.end_sample
            kept.append(packet)

        def archive_block(self, block: Any) -> None: ...

    await world.start(make_archive=lambda *_: Keeper())
    registry = world.rig.registry
    channel = registry.channel(registry.current(), "C01")
    socket = await world.begin(encoding="opus")
    packets = frames_of("opus", SOUND)
    for number, packet in enumerate(packets):
        await socket.send_bytes(packet if number != 20 else BROKEN)
    await stop(socket)
    assert [packet.payload for packet in kept] == packets[:20] + packets[21:]
    first = world.rig.pipelines[0].blocks[0].start_sample
    assert [(packet.start_sample - first) // 320 for packet in kept] == [
        *range(20),
        *range(21, len(packets)),
    ]


async def test_the_metrics_count_sockets(world: World) -> None:
    socket = await world.begin()
    await socket.send_bytes(TWENTY_MS * 5)
    assert world.rig.registry.statistics()["connections_socket"] == 1
    await stop(socket)
    figures = world.door.statistics()
    assert (figures["frames"], figures["bytes"], figures["audio_ms"]) == (1, 3200, 100)


ENCODINGS, CHANNELS, RATES = (
    ("pcm_s16le", "pcm_f32le", "mulaw", "alaw"),
    (1, 2, 3, 8),
    (8_000, 16_000, 48_000),
)


@pytest.mark.parametrize(
    ("rate", "channels", "encoding"),
    [
        # Each pair of values once at least: all 48 are tried without a socket, faster than in real time, in
        # test_stereo_is_decoded_whole_at_every_door.py and test_mixdown.py.
        (RATES[(row + column) % len(RATES)], channels, encoding)
        for row, channels in enumerate(CHANNELS)
        for column, encoding in enumerate(ENCODINGS)
    ],
)
async def test_channels_of_raw_samples_are_mixed_and_frames_may_end_anywhere(
    world: World, rate: int, channels: int, encoding: str
) -> None:
    """The last channel speaks, in opposite phase to the one before it."""
    side = speech(rate)[rate // 4 : rate // 4 + rate]
    planes = np.zeros((channels, len(side)), np.float32)
    planes[-2:] = side
    planes[-1] *= -1 if channels > 1 else 1
    data = interleaved(planes, encoding)
    socket = await world.begin(encoding=encoding, sample_rate=rate, channels=channels)
    size = len(data) // 9 | 1  # odd
    for at in range(0, len(data), size):
        await socket.send_bytes(data[at : at + size])
        await socket.send_bytes(b"")
    await stop(socket)
    heard, clean = received_audio(world), speech(16_000)[4_000:20_000]
    assert abs(len(heard) - 16_000) <= 2
    n = min(len(heard), len(clean))
    assert abs(np.corrcoef(heard[:n], clean[:n])[0, 1]) > 0.95


@pytest.mark.parametrize("size", [1, 3, 641, 3_201])
async def test_samples_that_are_split_between_frames_arrive_unchanged(world: World, size: int) -> None:
    samples = np.arange(-350, 350, dtype="<i2") * 45  # so few that frames of one byte are no flood
    data = samples.tobytes() + b"\x01"  # and half a sample at the end, which is ignored
    socket = await world.begin()
    for at in range(0, len(data), size):
        await socket.send_bytes(data[at : at + size])
    await stop(socket)
    assert np.allclose(received_audio(world), samples / 32768, atol=1e-6)


@pytest.mark.parametrize("encoding", ["pcm_s16le", "pcm_f32le", "mulaw", "alaw", "opus", "webm", "ogg"])
async def test_an_empty_frame_is_ignored(world: World, encoding: str) -> None:
    socket = await world.begin(encoding=encoding)
    for frame in frames_of(encoding, SOUND, 16_000):
        await socket.send_bytes(b"")
        await socket.send_bytes(frame)
    assert (await stop(socket))["type"] == "stopped"
    assert onsets_of(world.rig.pipelines[0].audio()) == pytest.approx(ONSETS, abs=0.02)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "[]",
        '"keepalive"',
        "ping",
        '{"type":"pause"}',
        '{"type":"KeepAlive"}',
        '{"type":["stop"]}',
        '{"type":null}',
        "[" * 50_000,
        json.dumps(RAW),
        "x" * 70_000,
    ],
)
async def test_an_invalid_message_gets_an_error_and_the_feed_continues(world: World, text: str) -> None:
    socket = await world.begin()
    await socket.send_bytes(TWENTY_MS * 5)
    await socket.send_str(text)
    answer = await socket.receive_json(timeout=10)
    assert (answer["type"], answer["code"], answer["v"]) == ("error", "bad_message", 1)
    assert '{"type":"stop"}' in answer["message"] and '{"type":"keepalive"}' in answer["message"]
    assert len(answer["message"]) < 200
    await socket.send_str('{"type":"keepalive"}')
    await socket.send_bytes(TWENTY_MS * 5)
    assert (await stop(socket))["type"] == "stopped"
    assert len(received_audio(world)) == 3_200
