"""`/ws/backfill/{channel}`: audio that a client sends after a network gap, and what is refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from sqlalchemy import select

from host_stt.contract import Priority, Segment, Transcript, Window, Word
from tests.support.events import an_event
from tests.support.peers import BlockRecorder, Rig, app_of
from tests.support.polling import until
from tests.webrtc_host.recovery.fed_channel import AUDIO, LOST, SECOND, fed_channel
from webrtc_host.doors.backfill import BackfillDoor, BackfillLimits
from webrtc_host.doors.control import UNREADABLE_MAX
from webrtc_host.events import EventSink
from webrtc_host.http.auth import Gate
from webrtc_host.http.server import GATE
from webrtc_host.recovery.service import RecoveryService
from webrtc_host.seams import (
    Block,
    CoverageNotes,
    CoverageState,
    EventType,
    OpusPacket,
    Transcriber,
    ms_of,
)
from webrtc_host.session.channel import Channel
from webrtc_host.session.resume import ResumeTokens
from webrtc_host.speech.pipeline import PipelineStatistics
from webrtc_host.speech.words import words_of
from webrtc_host.transcript import schema
from webrtc_host.transcript.database import MEMORY
from webrtc_host.transcript.store import Store, StoreConfig

RESUME_S = 900.0


class OneWord:
    """An engine that returns one word for every window."""

    async def transcribe(self, window: Window) -> Transcript:
        start, end = window.start_sample, window.start_sample + len(window.samples)
        segment = Segment("word", start, end, -0.1, 0.0, 1.0, (Word("word", start, end, 0.9),))
        return Transcript(window.id, (segment,), "en", 1.0, -0.1, 0.0, 1.0)


class PastPipeline(BlockRecorder):
    """A past pipeline that makes one window and one final of every block."""

    def __init__(
        self, channel: Channel, sink: EventSink, notes: CoverageNotes, transcriber: Transcriber
    ) -> None:
        super().__init__(channel)
        self._sink = sink
        self._notes = notes
        self._transcriber = transcriber
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    async def wait_for_space(self) -> None:
        await self.may_go_on.wait()

    def statistics(self) -> PipelineStatistics:
        raise AssertionError("a job with a client does not look at the pipeline's queue")

    async def close(self) -> None:
        for number, block in enumerate(self.blocks):
            window = Window(f"w_{number}", "C01", block.samples, block.start_sample, Priority.FINAL)
            for word in words_of(await self._transcriber.transcribe(window)):
                start_ms, end_ms = ms_of(word.start_sample), ms_of(word.end_sample)
                fields: dict[str, Any] = {"segment": f"g_{start_ms}", "start_ms": start_ms, "end_ms": end_ms}
                self._sink.emit(an_event(EventType.SEGMENT_FINAL, text=word.text, **fields))
            self._notes.decide(block.start_sample, block.end_sample, CoverageState.TRANSCRIBED)
        await super().close()


class World:
    """A channel that received 5 s, lost 4 s and received 3 s more; its client's token; and the endpoint."""

    def __init__(self, aiohttp_client: Any) -> None:
        self._aiohttp_client = aiohttp_client
        self.now = [0.0]
        self.rig = Rig(clock=lambda: self.now[0], make_archive=lambda *_: self)
        self.tokens = ResumeTokens(RESUME_S, clock=lambda: self.now[0])
        self.readers: list[PastPipeline] = []
        self.is_held = False
        self.http: Any = None
        self.kept: list[Block] = []

    async def start(self, seconds_max: float = 30.0, **limits: Any) -> World:
        pieces = ((0, 5, AUDIO), (5, 4, LOST), (9, 3, AUDIO))
        self.channel = fed_channel(self.rig, self.now, *pieces, on_disconnect=self.tokens.closed)
        self.channel.coverage.decide(0, 12 * SECOND, CoverageState.SILENCE)
        self.kept.clear()  # from here on the archive receives the backfill
        connection = self.rig.registry.holder_of(self.channel)
        assert connection is not None
        self.connection = connection
        self.token = self.tokens.give(connection)
        self.store = Store(StoreConfig(Path(), MEMORY))
        await self.store.open()
        recovery = RecoveryService(self.rig.registry, self.store, None, OneWord(), self._reader)
        self.door = BackfillDoor(
            self.rig.registry, self.tokens, recovery.fill, seconds_max, BackfillLimits(**limits)
        )
        app = app_of(self.door)
        app[GATE] = Gate()
        self.http = await self._aiohttp_client(app)
        return self

    def _reader(
        self, channel: Channel, sink: EventSink, notes: CoverageNotes, transcriber: Transcriber
    ) -> PastPipeline:
        self.readers.append(PastPipeline(channel, sink, notes, transcriber))
        if self.is_held:
            self.readers[-1].may_go_on.clear()
        return self.readers[-1]

    async def open(self, channel: str = "C01", **fields: Any) -> aiohttp.ClientWebSocketResponse:
        socket: aiohttp.ClientWebSocketResponse = await self.http.ws_connect(f"/ws/backfill/{channel}")
        first = {"resume": self.token, "start_ms": 5000, "encoding": "pcm_s16le", "sample_rate": 16_000}
        await socket.send_str(json.dumps({**first, **fields}))
        return socket

    async def refused(self, close_code: int, code: str, channel: str = "C01", **fields: Any) -> str:
        socket = await self.open(channel, **fields)
        message = await last_message(socket)
        assert (message["type"], message["code"], socket.close_code) == ("error", code, close_code), message
        return str(message["message"])

    def archive_packet(self, packet: OpusPacket) -> None: ...

    def archive_block(self, block: Block) -> None:
        self.kept.append(block)

    def finals(self) -> list[tuple[int, int]]:
        log = self.rig.logs[self.channel.session.id]
        return [(e["start_ms"], e["end_ms"]) for e in log.of(EventType.SEGMENT_FINAL)]

    def repaired(self) -> list[tuple[int, int]]:
        log = self.rig.logs[self.channel.session.id]
        runs = log.of(EventType.COVERAGE)
        return [(e["from_ms"], e["to_ms"]) for e in runs if e["state"] == "transcribed"]


async def last_message(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    said: dict[str, Any] = {}
    async for message in socket:
        said = json.loads(message.data)
    return said


def pcm(seconds: float, rate: int = 16_000) -> bytes:
    return np.full(round(seconds * rate), 3000, "<i2").tobytes()


async def send(socket: aiohttp.ClientWebSocketResponse, *what: bytes | dict[str, Any]) -> None:
    for one in what:
        if isinstance(one, bytes):
            await socket.send_bytes(one)
        else:
            await socket.send_str(json.dumps(one))


STOP = {"type": "stop"}


@pytest.fixture
async def world(aiohttp_client: Any) -> AsyncIterator[World]:
    world = World(aiohttp_client)
    yield world
    await world.store.close()


async def test_the_endpoint_lists_the_gaps_and_fills_them(world: World) -> None:
    await world.start()
    socket = await world.open(start_ms=4000)
    ready = await socket.receive_json()
    assert (ready["type"], ready["now_ms"], ready["missing"]) == ("ready", 12_000, [[5000, 9000]])
    await send(socket, *[pcm(0.5)] * 12, STOP)
    stopped = await last_message(socket)
    assert (stopped["type"], stopped["filled"], socket.close_code) == ("stopped", [[5000, 9000]], 1000)
    finals = world.finals()
    assert (finals[0][0], finals[-1][1]) == (5000, 9000)
    assert stopped["segments"] == len(finals)
    assert world.repaired()[0][0] == 5000 and world.repaired()[-1][1] == 9000
    assert world.channel.missing(0, 12 * SECOND) == []


async def test_only_the_audio_of_the_gap_goes_to_the_archive(world: World) -> None:
    await world.start()
    socket = await world.open(start_ms=4000)
    await send(socket, *[pcm(0.5)] * 12, STOP)
    await last_message(socket)
    spans = [(block.start_sample, block.end_sample) for block in world.kept]
    assert spans[0][0] == 5 * SECOND and spans[-1][1] == 9 * SECOND
    assert all(before[1] == after[0] for before, after in zip(spans, spans[1:], strict=False))
    assert all(float(abs(block.samples).max()) > 0 for block in world.kept)


async def test_the_note_of_a_job_is_kept_until_its_audio_is_transcribed(world: World) -> None:
    await world.start()
    world.is_held = True
    socket = await world.open()
    await send(socket, pcm(4), STOP)
    await until(lambda: bool(world.readers))

    async def noted() -> list[tuple[str, str]]:
        rows = await world.store.read(lambda connection: connection.execute(select(schema.meta)).all())
        return [(row.key, row.value) for row in rows if row.key.startswith("backfill:")]

    key = f"backfill:{world.channel.session.id}:C01:{5 * SECOND}"
    assert await noted() == [(key, f"[[{5 * SECOND}, {9 * SECOND}]]")]
    world.readers[0].may_go_on.set()
    await last_message(socket)
    assert await noted() == []


async def test_audio_that_was_received_before_is_ignored(world: World) -> None:
    await world.start()
    for start_ms in (0, 9500):
        socket = await world.open(start_ms=start_ms)
        await send(socket, pcm(2), STOP)
        assert (await last_message(socket))["filled"] == []
    assert not world.readers


async def test_a_gap_that_is_sent_twice_is_transcribed_once(world: World) -> None:
    await world.start()
    for expected in ([[5000, 9000]], []):
        socket = await world.open()
        await send(socket, pcm(4), STOP)
        assert (await last_message(socket))["filled"] == expected
    assert len(world.readers) == 1


async def test_a_part_of_a_gap_leaves_the_rest_missing(world: World) -> None:
    await world.start()
    socket = await world.open(start_ms=7000)
    await send(socket, pcm(2), STOP)
    assert (await last_message(socket))["filled"] == [[7000, 9000]]
    assert world.channel.missing(0, 12 * SECOND) == [(5 * SECOND, 7 * SECOND)]


async def test_each_of_several_pieces_has_its_time(world: World) -> None:
    await world.start()
    socket = await world.open(start_ms=5000)
    await send(socket, pcm(1), {"type": "at", "start_ms": 7500}, pcm(1), STOP)
    assert (await last_message(socket))["filled"] == [[5000, 6000], [7500, 8500]]


async def test_other_rates_are_resampled_to_16_khz(world: World) -> None:
    await world.start()
    socket = await world.open(sample_rate=48_000)
    await send(socket, *[pcm(1, 48_000)] * 4, STOP)
    [[start, end]] = (await last_message(socket))["filled"]
    assert (start, abs(end - 9000) <= 2) == (5000, True)


async def test_the_audio_of_a_client_that_disconnects_half_way_is_used(world: World) -> None:
    await world.start()
    socket = await world.open()
    await socket.receive_json()
    await send(socket, pcm(2))
    await socket.close()
    await until(lambda: bool(world.readers) and world.readers[0].is_closed)
    assert world.finals()[-1][1] == 7000


async def test_a_channel_without_a_sender_accepts_its_last_gap(world: World) -> None:
    """The page was reloaded while its network was gone."""
    await world.start()
    await world.channel.close("connection_lost")
    world.rig.registry.disconnect(world.connection)
    world.now[0] = 15.0
    socket = await world.open(start_ms=12_000)
    await send(socket, pcm(2), STOP)
    assert (await last_message(socket))["filled"] == [[12_000, 14_000]]


async def test_wrong_tokens_are_refused(world: World) -> None:
    await world.start()
    await world.refused(4403, "resume_unknown", resume="made up")
    await world.refused(4403, "resume_other_channels", channel="C02")
    await world.refused(4422, "missing_field", resume=None)
    world.rig.registry.disconnect(world.connection)
    world.now[0] += RESUME_S + 1
    await world.refused(4403, "resume_expired")


async def test_an_ended_session_accepts_no_backfill(world: World) -> None:
    await world.start()
    await world.rig.registry.end(world.rig.registry.get(world.channel.session.id))
    await world.refused(4409, "session_ended")


@pytest.mark.parametrize(
    ("fields", "close_code", "code"),
    [
        ({"start_ms": None}, 4422, "missing_field"),
        ({"start_ms": -1}, 4422, "bad_field"),
        ({"start_ms": 60_000}, 4422, "bad_field"),
        ({"encoding": "mp3"}, 4415, "unknown_encoding"),
        ({"sample_rate": 96_000}, 4422, "bad_field"),
        ({"channels": 9}, 4422, "bad_field"),
        ({"language": "en"}, 4422, "unknown_field"),
        ({"session": "s_1"}, 4422, "unknown_field"),
    ],
)
async def test_an_invalid_first_message_is_refused(
    world: World, fields: dict[str, Any], close_code: int, code: str
) -> None:
    await world.start()
    await world.refused(close_code, code, **fields)


@pytest.mark.parametrize(
    ("message", "close_code", "code"),
    [
        ({"type": "at", "start_ms": "soon"}, 4422, "bad_field"),
        ({"type": "at", "start_ms": 99_000}, 4422, "bad_field"),
    ],
)
async def test_an_invalid_later_message_ends_the_connection(
    world: World, message: bytes | dict[str, Any], close_code: int, code: str
) -> None:
    await world.start()
    socket = await world.open()
    await send(socket, message)
    assert ((await last_message(socket))["code"], socket.close_code) == (code, close_code)


async def test_more_than_the_limit_is_refused(world: World) -> None:
    await world.start(seconds_max=3.0)
    socket = await world.open()
    await send(socket, pcm(2), pcm(2))
    assert ((await last_message(socket))["code"], socket.close_code) == ("too_long", 4413)
    assert not world.readers


async def test_a_socket_without_messages_is_closed(world: World) -> None:
    await world.start(idle_s=0.1)
    socket = await world.open()
    assert ((await last_message(socket))["code"], socket.close_code) == ("idle", 4408)


async def test_a_second_caller_of_the_same_channel_has_to_wait(world: World) -> None:
    await world.start()
    world.is_held = True
    first = await world.open()
    await send(first, pcm(4), STOP)
    await until(lambda: bool(world.readers))
    await world.refused(4409, "backfill_in_hand")
    world.readers[0].may_go_on.set()
    assert (await last_message(first))["filled"] == [[5000, 9000]]
    assert world.door.statistics()["in_hand"] == 0


async def test_too_many_callers_get_a_retry_time(world: World) -> None:
    await world.start(callers=0)
    await world.refused(1013, "too_many_backfills")


async def test_bytes_are_read_no_faster_than_the_limit(world: World) -> None:
    await world.start(bytes_per_s=64_000)
    socket = await world.open()
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    await send(socket, *[pcm(1)] * 3, STOP)  # 96 kB: 64 at once, the rest half a second later
    assert (await last_message(socket))["filled"] == [[5000, 8000]]
    assert loop.time() - began_s >= 0.4


async def test_a_stopping_server_does_not_wait_for_text_of_past_audio(world: World) -> None:
    await world.start()
    world.is_held = True
    socket = await world.open()
    await send(socket, pcm(4), STOP)
    await until(lambda: bool(world.readers))
    [filling] = [task for task in asyncio.all_tasks() if "RequestHandler.start" in str(task.get_coro())]
    filling.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait({filling})
    assert world.door.statistics()["in_hand"] == 0
    world.readers[0].may_go_on.set()
    await until(lambda: world.readers[0].is_closed)


async def test_invalid_messages_and_odd_frames_are_ignored(world: World) -> None:
    await world.start()
    socket = await world.open()
    assert (await socket.receive_json())["type"] == "ready"
    data = pcm(4)
    await socket.send_bytes(data[:3_201])
    await socket.send_str('{"type":"KeepAlive"}')
    answer = await socket.receive_json()
    assert (answer["type"], answer["code"]) == ("error", "bad_message")
    assert '{"type":"at"}' in answer["message"]
    await socket.send_bytes(b"")
    await send(socket, data[3_201:], STOP)
    assert (await last_message(socket))["filled"] == [[5000, 9000]]


async def test_a_flood_of_invalid_messages_ends_the_connection(world: World) -> None:
    await world.start()
    socket = await world.open()
    for _ in range(UNREADABLE_MAX + 1):
        await socket.send_str("ping")
    assert ((await last_message(socket))["code"], socket.close_code) == ("too_many_bad_messages", 1008)


async def test_audio_channels_of_a_backfill_are_mixed(world: World) -> None:
    await world.start()
    socket = await world.open(channels=2)
    await send(socket, pcm(8), STOP)
    assert (await last_message(socket))["filled"] == [[5000, 9000]]
