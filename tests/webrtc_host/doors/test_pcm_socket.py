"""Sound over a WebSocket: it arrives in its place whatever its form; whatever is wrong is said in words."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from host_stt.contract import Float32Array
from tests.support.desk import a_config, break_off, running_desk
from tests.support.peers import Rig, app_of, onsets_of, tone_bursts
from tests.support.polling import until
from tests.support.socket_sound import container_of, frames_of, interleaved
from tests.support.stereo import speech
from webrtc_host.config import LimitsConfig, MediaConfig
from webrtc_host.doors.control import UNREADABLE_MAX
from webrtc_host.doors.pcm_socket import PcmSocketDoor, SocketLimits
from webrtc_host.http.auth import Gate
from webrtc_host.http.server import GATE
from webrtc_host.seams import BlockKind, ChannelState, CoverageState, EventType, OpusPacket
from webrtc_host.session.channel import ChannelSpec, DoorKind
from webrtc_host.session.registry import MakeArchive

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


@pytest.fixture
async def world(aiohttp_client: Any) -> AsyncIterator[World]:
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
async def test_each_encoding_arrives_whole_and_in_its_place(world: World, encoding: str, rate: int) -> None:
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


async def test_a_file_pumped_in_is_read_at_real_time_and_nothing_is_lost(world: World) -> None:
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
    assert furthest < 16_000 * 0.5, "never far in the future"
    await stop(socket)
    assert loop.time() - began_s > 1.5, "3 s of sound, of which 1 s may be older than the connection"
    assert sum(len(block.samples) for block in world.rig.pipelines[0].blocks) == 48_000
    assert {block.kind for block in world.rig.pipelines[0].blocks} == {BlockKind.AUDIO}
    assert world.door.statistics()["slowed"] > 3


@pytest.mark.parametrize(
    ("first", "code", "close"),
    [
        ("hello", "no_start", 4400),
        ("[1]", "no_start", 4400),
        ("[" * 50_000, "no_start", 4400),
        ("{}", "no_start", 4400),
        (b"\0\0", "no_start", 4400),
        ({"encoding": "mp3"}, "unknown_encoding", 4415),
        ({"encoding": ["webm"]}, "unknown_encoding", 4415),
        ({"encoding": "pcm_s16le"}, "bad_field", 4422),
        ({**RAW, "sample_rate": 7_999}, "bad_field", 4422),
        ({**RAW, "sample_rate": 48_001}, "bad_field", 4422),
        ({**RAW, "sample_rate": True}, "bad_field", 4422),
        ({**RAW, "sample_rate": "16000"}, "bad_field", 4422),
        ({**RAW, "start_ms": -1}, "bad_field", 4422),
        ({**RAW, "start_ms": 3_600_000}, "bad_field", 4422),
        ({**RAW, "label": 5}, "bad_field", 4422),
        ({**RAW, "glossary": "Alpha-1"}, "bad_field", 4422),
        ({**RAW, "language": "xx"}, "unknown_language", 4422),
        ({**RAW, "session": "s_none"}, "unknown_session", 4404),
        ({**RAW, "sampleRate": 16_000}, "unknown_field", 4422),
        ({**RAW, "channels": 0}, "bad_field", 4422),
        ({**RAW, "channels": 9}, "bad_field", 4422),
        ({**RAW, "channels": "2"}, "bad_field", 4422),
        ({**RAW, "channels": True}, "bad_field", 4422),
        ({"encoding": "opus", "channels": 3}, "bad_field", 4422),
        ({"encoding": "webm", "channels": 2}, "bad_field", 4422),
        ("x" * 70_000, "too_large", 4413),
    ],
)
async def test_a_wrong_first_message_is_answered_in_words(
    world: World, first: Any, code: str, close: int
) -> None:
    socket = await world.connect()
    if isinstance(first, bytes):
        await socket.send_bytes(first)
    else:
        await socket.send_str(first if isinstance(first, str) else json.dumps(first))
    assert await error_of(socket) == (code, close)
    assert not world.rig.registry.connections


async def test_a_channel_that_is_none_is_4422(world: World) -> None:
    socket = await world.connect("C65")
    await socket.send_json(RAW)
    assert await error_of(socket) == ("unknown_channel", 4422)


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
async def test_a_wrong_frame_is_answered_in_words_and_frees_the_channel(
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


async def test_a_frame_beyond_all_bounds_is_not_even_read(world: World) -> None:
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


async def test_a_container_cut_off_in_the_middle_keeps_what_came(world: World) -> None:
    whole = container_of("webm", SOUND)
    socket = await world.begin(encoding="webm")
    await socket.send_bytes(whole[: len(whole) * 3 // 4])
    await socket.close()
    await until(lambda: not world.rig.registry.connections)
    assert len(world.rig.pipelines[0].audio()) > 0.4 * 16_000
    assert not [t for t in threading.enumerate() if t.name.startswith("decode")]


async def test_too_many_containers_are_told_to_come_again(world: World) -> None:
    await world.start(SocketLimits(containers=1))
    first = await world.begin("C01", encoding="webm")
    second = await world.connect("C02")
    await second.send_json({"encoding": "ogg"})
    answer = await second.receive_json()
    assert (answer["code"], answer["retry_after_ms"]) == ("too_many_streams", 5000)
    assert await close_code(second) == 1013
    await first.close()


async def test_a_client_that_leaves_without_a_word_is_heard_out(world: World) -> None:
    socket = await world.begin()
    await socket.send_bytes(TWENTY_MS * 10)
    await socket.close()
    await until(lambda: not world.rig.registry.connections)
    assert sum(len(block.samples) for block in world.rig.pipelines[0].blocks) == 3200
    assert world.log.of(EventType.CHANNEL_CLOSED)[0]["reason"] == "peer_closed"


async def test_a_connection_that_breaks_off_is_lost_and_not_closed(world: World) -> None:
    """The TCP connection ends without the closing handshake of WebSocket."""
    socket = await world.begin()
    await socket.send_bytes(TWENTY_MS * 10)
    await until(lambda: bool(world.rig.pipelines[0].blocks))
    break_off(socket)
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


async def test_silence_of_messages_is_4408_and_keepalive_prevents_it(world: World) -> None:
    await world.start(SocketLimits(idle_s=0.8, first_message_s=0.2))
    early = await world.connect()
    assert await error_of(early) == ("idle", 4408)
    socket = await world.begin()
    for _ in range(10):  # 1 s in all, and each pause far from `idle_s`, on a busy machine too
        await asyncio.sleep(0.1)
        await socket.send_json({"type": "keepalive"})
    assert world.rig.registry.connections
    assert await error_of(socket) == ("idle", 4408)


async def test_a_channel_that_is_fed_is_4409_and_a_dead_one_changes_hands(world: World) -> None:
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


async def test_a_page_keeps_its_channel(world: World) -> None:
    async def end(reason: str) -> int:
        return 0

    registry = world.rig.registry
    registry.connect(registry.current(), DoorKind.WEBRTC, [ChannelSpec("C01")], end)
    registry.current().channels["C01"].state = ChannelState.NO_SIGNAL
    socket = await world.connect()
    await socket.send_json(RAW)
    assert await error_of(socket) == ("channel_fed", 4409)


async def test_a_server_that_stops_flushes_and_says_so(world: World) -> None:
    socket = await world.begin()
    await socket.send_bytes(bytes(64_000))  # 2 s at once: most of it still waits for its time
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


async def test_what_is_coming_may_stand_in_the_address(world: World) -> None:
    socket = await world.connect(query="?encoding=pcm_s16le&sample_rate=8000&label=Gate&language=en")
    assert (await socket.receive_json())["type"] == "started"
    await socket.send_bytes(bytes(1600))
    await stop(socket)
    assert world.log.of(EventType.CHANNEL_OPENED)[0]["label"] == "Gate"
    wrong = await world.connect(query="?encoding=pcm_s16le&sample_rate=x")
    assert await error_of(wrong) == ("bad_field", 4422)


@pytest.mark.parametrize(
    ("tag", "code"), [("en-US", "en"), ("Korean", "ko"), ("", "auto"), ("AUTO", "auto"), (None, "auto")]
)
async def test_a_language_is_taken_as_clients_write_it(world: World, tag: str | None, code: str) -> None:
    socket = await world.begin(language=tag)
    await stop(socket)
    assert world.log.of(EventType.CHANNEL_OPENED)[0]["language"] == code


async def test_start_ms_says_where_the_first_sample_lies(world: World) -> None:
    await world.begin("C02")
    session = world.rig.pipeline("C02").channel.session
    await until(lambda: session.now_sample() > 523 * 16)  # what is sent below is over by then
    socket = await world.begin("C01", start_ms=123)
    for _ in range(20):
        await socket.send_bytes(TWENTY_MS)
    await stop(socket)
    blocks = world.rig.pipeline("C01").blocks
    assert blocks[0].start_sample == 123 * 16
    assert blocks[-1].end_sample == 523 * 16


async def test_opus_packets_reach_the_keeper_before_their_sound_and_in_its_place(
    world: World,
) -> None:
    kept: list[OpusPacket] = []

    class Keeper:
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


async def test_sockets_that_connect_and_drop_leave_nothing_behind(world: World) -> None:
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


async def test_a_wrong_token_is_4401(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path, token="right-token")) as desk:
        for query, code in (("?token=wrong", "token_wrong"), ("", "token_missing")):
            socket = await desk.client.ws_connect(f"{desk.url}/ws/pcm/C01{query}")
            assert await error_of(socket) == (code, 4401)
        socket = await desk.client.ws_connect(f"{desk.url}/ws/pcm/C01?token=right-token")
        await socket.send_json(RAW)
        assert (await socket.receive_json())["type"] == "started"
        await stop(socket)


def heard_by(world: World) -> Float32Array:
    """What reached the channel, the samples themselves."""
    return np.concatenate([block.samples for block in world.rig.pipelines[-1].blocks])


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
    heard, clean = heard_by(world), speech(16_000)[4_000:20_000]
    assert abs(len(heard) - 16_000) <= 2
    n = min(len(heard), len(clean))
    assert abs(np.corrcoef(heard[:n], clean[:n])[0, 1]) > 0.95


@pytest.mark.parametrize("size", [1, 3, 641, 3_201])
async def test_samples_cut_in_the_middle_arrive_as_they_were(world: World, size: int) -> None:
    samples = np.arange(-350, 350, dtype="<i2") * 45  # so few that frames of one byte are no flood
    data = samples.tobytes() + b"\x01"  # and half a sample at the end, which is none
    socket = await world.begin()
    for at in range(0, len(data), size):
        await socket.send_bytes(data[at : at + size])
    await stop(socket)
    assert np.allclose(heard_by(world), samples / 32768, atol=1e-6)


@pytest.mark.parametrize("encoding", ["pcm_s16le", "pcm_f32le", "mulaw", "alaw", "opus", "webm", "ogg"])
async def test_an_empty_frame_is_nothing(world: World, encoding: str) -> None:
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
async def test_a_text_that_is_no_message_is_answered_and_the_feed_goes_on(world: World, text: str) -> None:
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
    assert len(heard_by(world)) == 3_200


async def test_a_flood_of_texts_that_are_no_messages_ends_the_feed(world: World) -> None:
    socket = await world.begin()
    for _ in range(UNREADABLE_MAX + 1):
        await socket.send_str("ping")
    codes = [(await socket.receive_json(timeout=10))["code"] for _ in range(UNREADABLE_MAX + 1)]
    assert codes == ["bad_message"] * UNREADABLE_MAX + ["too_many_bad_messages"]
    assert await close_code(socket) == 1008
    await until(lambda: not world.rig.registry.connections)


async def test_address_and_first_message_count_together(world: World) -> None:
    other = world.rig.registry.create("other")
    world.rig.registry.create("current")
    socket = await world.connect(
        query=f"?session={other.id}&label=Tower&sample_rate=16000&channels=2&language=ko"
    )
    await socket.send_json(
        {"encoding": "pcm_s16le", "sample_rate": 16_000, "session": None, "glossary": ["gate"]}
    )
    answer = await socket.receive_json(timeout=10)
    assert (answer["type"], answer["session"]) == ("started", other.id)
    channel = other.channels["C01"]
    assert (channel.label, channel.language, channel.terms) == ("Tower", "ko", ("gate",))
    await socket.send_bytes(TWENTY_MS * 10)
    await stop(socket)
    assert len(heard_by(world)) == 1_600, "two channels"


@pytest.mark.parametrize(
    ("query", "first", "name", "values"),
    [
        ("sample_rate=8000", RAW, "sample_rate", ("8000", "16000")),
        ("session=s_1", {**RAW, "session": "s_2"}, "session", ("s_1", "s_2")),
        ("label=Tower", {**RAW, "label": "Ground"}, "label", ("Tower", "Ground")),
        ("start_ms=5", {**RAW, "start_ms": 6}, "start_ms", ("5", "6")),
        ("encoding=mulaw&sample_rate=16000", RAW, "encoding", ("mulaw", "pcm_s16le")),
    ],
)
async def test_a_contradiction_names_both_values(
    world: World, query: str, first: dict[str, Any], name: str, values: tuple[str, str]
) -> None:
    socket = await world.connect(query=f"?{query}")
    await socket.send_json(first)
    answer = await socket.receive_json(timeout=10)
    if answer["type"] == "started":  # the address was enough
        answer = await socket.receive_json(timeout=10)
    assert answer["code"] == "contradiction"
    assert all(part in answer["message"] for part in (f"`{name}`", *values))
    assert await close_code(socket) == 4422


async def test_a_first_message_that_says_the_same_as_the_address_is_no_mistake(world: World) -> None:
    socket = await world.connect(query="?encoding=pcm_s16le&sample_rate=16000")
    assert (await socket.receive_json(timeout=10))["type"] == "started"
    await socket.send_json(RAW)
    await socket.send_bytes(TWENTY_MS)
    assert (await stop(socket))["type"] == "stopped"


async def test_a_field_that_comes_too_late_to_count_is_refused(world: World) -> None:
    socket = await world.connect(query="?encoding=pcm_s16le&sample_rate=16000")
    await socket.receive_json(timeout=10)
    await socket.send_json({**RAW, "label": "Tower"})
    assert await error_of(socket) == ("late_field", 4422)


@pytest.mark.parametrize("query", ["", "?sesion=s_1", "?encoding=pcm_s16le&samplerate=16000"])
async def test_an_unknown_field_is_named_with_the_known_ones(world: World, query: str) -> None:
    socket = await world.connect(query=query)
    await socket.send_json({**RAW, "sampel_rate": 16_000})
    answer = await socket.receive_json(timeout=10)
    assert answer["code"] == "unknown_field"
    wrong = query.partition("samplerate")[1] or ("sesion" if query else "sampel_rate")
    assert f"'{wrong}'" in answer["message"] and "sample_rate" in answer["message"]
    assert await close_code(socket) == 4422
