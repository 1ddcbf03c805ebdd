"""Real aiortc clients and `POST /offer`, in one process."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import aioice.ice
import psutil
import pytest
from aiortc import RTCDataChannel

from tests.support.peers import (
    Client,
    Rig,
    SampleTrack,
    app_of,
    drop_packets,
    onsets_of,
    pitch_of,
    tone_bursts,
)
from tests.support.polling import until
from webrtc_host.config import LimitsConfig, MediaConfig
from webrtc_host.doors.offer import OfferDoor
from webrtc_host.seams import Block, BlockKind, ChannelState, EventType
from webrtc_host.session.session import Session
from webrtc_host.transport import peer
from webrtc_host.transport.host_addresses import HostAddresses
from webrtc_host.transport.one_port import OnePort
from webrtc_host.transport.peer import Peer

pytestmark = pytest.mark.peer

ONSETS = (0.4, 1.0, 1.7)


class World:
    """The endpoint with its registry, and clients that are closed at the end."""

    def __init__(self, aiohttp_client: Any) -> None:
        self._aiohttp_client = aiohttp_client
        self.attached: list[tuple[RTCDataChannel, Session, tuple[str, ...]]] = []
        self.clients: list[Client] = []
        self.http: Any = None
        self.rig = Rig()
        self.port = OnePort()

    async def start(self, media: MediaConfig | None = None, limits: LimitsConfig | None = None) -> World:
        self.rig = Rig(limits)
        media = media or MediaConfig()
        self.port = OnePort(HostAddresses(media.announce))
        self.port.open("127.0.0.1", 0)
        self.door = OfferDoor(self.rig.registry, media, self._attach, port=self.port)
        self.http = await self._aiohttp_client(app_of(self.door))
        return self

    async def connect(self, *tracks: SampleTrack, **fields: Any) -> tuple[Client, dict[str, Any]]:
        client = Client(tracks)
        self.clients.append(client)
        return client, await client.connect(self.http, **fields)

    async def close_connection(self, connection: str) -> dict[str, Any]:
        async with self.http.delete(f"/offer/{connection}") as response:
            assert response.status == 200
            body: dict[str, Any] = await response.json()
            return body

    async def stop(self) -> None:
        for client in self.clients:
            await client.close()
        await self.rig.registry.close()
        self.port.close()
        self.attached.clear()  # a data channel holds its peer connection

    def peer(self, answer: dict[str, Any]) -> Peer:
        """The server's side of a connection."""
        return self.door._peers[answer["connection"]]

    def log(self, answer: dict[str, Any]) -> Any:
        return self.rig.logs[answer["session"]]

    def _attach(self, channel: RTCDataChannel, session: Session, ids: tuple[str, ...]) -> None:
        self.attached.append((channel, session, ids))


@pytest.fixture
async def world(aiohttp_client: Any) -> AsyncIterator[World]:
    made = World(aiohttp_client)
    yield made
    await made.stop()


def hum(hertz: float = 500) -> SampleTrack:
    return SampleTrack(tone_bursts(hertz, ONSETS, 2.4))


def fed(answer: dict[str, Any]) -> dict[str, str]:
    """The channel of each track: mid -> channel."""
    return {entry["mid"]: entry["channel"] for entry in answer["channels"]}


def has_received(world: World, channel: str, seconds: float) -> bool:
    found = [p for p in world.rig.pipelines if p.channel.id == channel]
    return bool(found) and sum(len(b.samples) for b in found[-1].blocks) > seconds * 16_000


async def test_four_tracks_of_one_peer_arrive_on_their_channels_at_their_times(world: World) -> None:
    await world.start()
    pitches = {"C01": 400.0, "C02": 700.0, "C03": 1100.0, "C04": 1700.0}
    _, answer = await world.connect(*(hum(hertz) for hertz in pitches.values()))
    assert [entry["channel"] for entry in answer["channels"]] == list(pitches)
    await until(lambda: all(has_received(world, channel, 2.3) for channel in pitches))
    firsts = []
    for channel, hertz in pitches.items():
        pipeline = world.rig.pipeline(channel)
        assert abs(pitch_of(pipeline.audio()) - hertz) < 5
        onsets = [pipeline.blocks[0].start_sample / 16_000 + s for s in onsets_of(pipeline.audio())]
        assert len(onsets) == len(ONSETS)
        for onset, truth in zip(onsets, ONSETS, strict=True):
            assert abs((onset - onsets[0]) - (truth - ONSETS[0])) < 0.020
        firsts.append(onsets[0])
    # The tracks were sent together; the time of each begins with its first packet.
    assert max(firsts) - min(firsts) < 0.2


async def test_lost_packets_become_gaps_and_later_audio_keeps_its_time(world: World) -> None:
    await world.start()
    client = Client([hum()])
    drop_packets(client, lambda number: 30 <= number < 40)  # 200 ms of silence between two bursts
    world.clients.append(client)
    await client.connect(world.http)
    await until(lambda: has_received(world, "C01", 2.3))
    pipeline = world.rig.pipeline("C01")
    assert pipeline.samples_of(BlockKind.LOST) == 10 * 320  # and no good packet after the lost ones
    onsets = onsets_of(pipeline.audio())
    assert abs((onsets[-1] - onsets[0]) - (ONSETS[-1] - ONSETS[0])) < 0.020


async def test_a_source_that_stops_for_a_time_leaves_a_pause_of_that_length(world: World) -> None:
    await world.start(MediaConfig(no_signal_after_s=1.0))
    track = hum()
    _, answer = await world.connect(track)
    await until(lambda: has_received(world, "C01", 0.8))
    track.is_held.set()
    channel = world.rig.pipeline("C01").channel
    await until(lambda: channel.state is ChannelState.NO_SIGNAL)
    track.is_held.clear()
    await until(lambda: channel.state is ChannelState.IDLE)
    await until(lambda: has_received(world, "C01", 4.0))
    pipeline = world.rig.pipeline("C01")
    silence = pipeline.samples_of(BlockKind.LOST) + pipeline.samples_of(BlockKind.PAUSED)
    assert silence >= 0.6 * 16_000
    for before, after in zip(pipeline.blocks, pipeline.blocks[1:], strict=False):
        assert before.end_sample == after.start_sample


async def test_closing_a_connection_flushes_the_channels_and_returns_the_last_seq(world: World) -> None:
    await world.start()
    _, answer = await world.connect(hum(), hum())
    await until(lambda: has_received(world, "C01", 0.3) and has_received(world, "C02", 0.3))
    body = await world.close_connection(answer["connection"])
    assert all(pipeline.is_closed for pipeline in world.rig.pipelines)
    closed = world.log(answer).of(EventType.CHANNEL_CLOSED)
    assert [event["reason"] for event in closed] == ["hung_up", "hung_up"]
    assert body == {"final_seq": world.log(answer).head_seq}
    assert not world.rig.registry.connections
    async with world.http.delete(f"/offer/{answer['connection']}") as response:
        assert response.status == 404


async def test_a_client_that_sends_rtcp_bye_closes_its_channels(world: World) -> None:
    await world.start()
    client, answer = await world.connect(hum())
    await until(lambda: has_received(world, "C01", 0.3))
    await client.close()
    await until(lambda: not world.rig.registry.connections)
    # aiortc sends RTCP BYE for each track before it closes the connection; a browser closes at once.
    assert world.log(answer).of(EventType.CHANNEL_CLOSED)[0]["reason"] in ("track_ended", "peer_closed")


async def test_a_client_that_closes_only_dtls_closes_its_channels(world: World) -> None:
    """As browsers do: they end DTLS, and send no RTCP BYE."""
    await world.start()
    client, answer = await world.connect(hum(), hum())
    await until(lambda: has_received(world, "C01", 0.3) and has_received(world, "C02", 0.3))
    await client.pc.getSenders()[0].transport.stop()
    await until(lambda: not world.rig.registry.connections)
    assert all(pipeline.is_closed for pipeline in world.rig.pipelines)
    closed = world.log(answer).of(EventType.CHANNEL_CLOSED)
    assert [event["reason"] for event in closed] == ["peer_closed", "peer_closed"]


async def test_the_loss_of_a_client_is_detected(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """aioice checks consent every 5 s and fails after six checks; this test uses shorter intervals."""
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.3)
    monkeypatch.setattr(aioice.ice, "CONSENT_FAILURES", 2)
    monkeypatch.setattr(peer, "VANISHED_AFTER_S", 0.2)
    await world.start(MediaConfig(no_signal_after_s=0.3))
    client, answer = await world.connect(hum())
    await until(lambda: has_received(world, "C01", 0.3))
    client.cut_network()
    await until(lambda: not world.rig.registry.connections, 20.0)
    log = world.log(answer)
    assert log.of(EventType.CHANNEL_CLOSED)[0]["reason"] == "connection_lost"
    states = [event["state"] for event in log.of(EventType.CHANNEL_STATE)]
    assert states == ["idle", "no_signal", "disconnected"]


async def test_64_tracks_in_one_offer_each_get_a_channel(world: World) -> None:
    await world.start()
    client = Client([])
    for _ in range(64):
        client.pc.addTransceiver("audio", direction="sendonly")
    world.clients.append(client)
    answer = await client.connect(world.http)
    assert [entry["channel"] for entry in answer["channels"]] == [f"C{n:02d}" for n in range(1, 65)]
    assert (await world.close_connection(answer["connection"]))["final_seq"] >= 1


async def test_two_simultaneous_close_requests_get_a_response_each(world: World) -> None:
    await world.start()
    _, answer = await world.connect(hum())
    await until(lambda: has_received(world, "C01", 0.1))
    first, second = await asyncio.gather(*(world.close_connection(answer["connection"]) for _ in range(2)))
    assert first == second


async def test_the_data_channel_is_attached_with_its_channels(world: World) -> None:
    await world.start()
    client, answer = await world.connect(hum(), hum())
    await until(lambda: bool(world.attached))
    channel, session, ids = world.attached[0]
    assert (channel.label, session.id, ids) == ("transcript", answer["session"], ("C01", "C02"))
    messages: list[Any] = []
    assert client.data is not None
    client.data.on("message", messages.append)
    channel.send("hello")
    await until(lambda: messages == ["hello"])


async def test_label_language_and_glossary_reach_the_channel(world: World) -> None:
    await world.start()
    wishes = [{"mid": "1", "channel": "C07", "label": "Tower", "language": "ko-KR", "glossary": ["Alpha-1"]}]
    _, answer = await world.connect(hum(), hum(), channels=wishes)
    assert fed(answer) == {"0": "C01", "1": "C07"}
    await until(lambda: has_received(world, "C07", 0.1))
    opened = world.log(answer).of(EventType.CHANNEL_OPENED, "C07")[0]
    assert (opened["label"], opened["language"], opened["door"]) == ("Tower", "ko", "webrtc")
    assert world.rig.pipeline("C07").channel.terms == ("Alpha-1",)


async def test_a_new_connection_with_the_token_gets_the_channel(world: World) -> None:
    await world.start()
    _, first = await world.connect(hum(), channels=[{"channel": "C05"}])
    await until(lambda: has_received(world, "C05", 0.4))
    end = world.rig.pipeline("C05").blocks[-1].end_sample
    _, second = await world.connect(hum(), resume=first["resume"])
    assert fed(second) == {"0": "C05"}
    assert second["resumed"] is True
    assert world.log(first).of(EventType.CHANNEL_CLOSED)[0]["reason"] == "resumed"
    await until(lambda: len(world.rig.pipelines) == 2 and has_received(world, "C05", 0.2))
    assert world.rig.pipelines[1].blocks[0].start_sample >= end
    hole = world.log(first).of(EventType.COVERAGE, "C05")[-1]
    assert (hole["state"], hole["reason"]) == ("lost", "not_fed")


async def test_an_unknown_token_is_ignored(world: World) -> None:
    await world.start()
    _, answer = await world.connect(hum(), resume="made up")
    assert fed(answer) == {"0": "C01"}
    assert (answer["resumed"], answer["resume_refused"]) == (False, "unknown")


async def test_video_beside_audio_is_declined_and_audio_is_received(world: World) -> None:
    await world.start()
    client = Client([])
    client.pc.addTransceiver("video", direction="sendonly")
    client.pc.addTransceiver(hum(), direction="sendonly")
    world.clients.append(client)
    answer = await client.connect(world.http)
    assert len(answer["channels"]) == 1
    video = answer["sdp"].split("m=video")[1].split("m=")[0]
    assert "a=inactive" in video
    await until(lambda: has_received(world, "C01", 0.3))


async def test_the_answer_accepts_opus_alone_with_parameters_for_speech(world: World) -> None:
    await world.start(MediaConfig(announce=("203.0.113.9",)))
    client = Client([hum()])
    world.clients.append(client)
    async with world.http.post("/offer", json=await client.offer()) as response:
        answer = (await response.json())["sdp"]
    assert "useinbandfec=1" in answer and "stereo=0" in answer and "usedtx" not in answer
    for codec in ("PCMU", "PCMA", "G722", "telephone-event"):
        assert codec not in answer
    candidates = [line for line in answer.splitlines() if line.startswith("a=candidate:")]
    assert candidates and all(" 203.0.113.9 " in line for line in candidates)
    assert "stun" not in answer


async def test_a_failing_track_ends_its_channel_alone(world: World, caplog: pytest.LogCaptureFixture) -> None:
    await world.start()
    _, answer = await world.connect(hum(), hum())
    await until(lambda: has_received(world, "C01", 0.2) and has_received(world, "C02", 0.2))

    def refuse(block: Block) -> None:
        raise ValueError("a bug of the pipeline's")

    with caplog.at_level(logging.ERROR):
        world.rig.pipeline("C01").on_feed = refuse
        await until(lambda: bool(world.log(answer).of(EventType.CHANNEL_CLOSED, "C01")))
    assert len([record for record in caplog.records if record.exc_info]) == 1
    assert world.log(answer).of(EventType.CHANNEL_CLOSED, "C01")[0]["reason"] == "failed"
    before = len(world.rig.pipeline("C02").blocks)
    await until(lambda: len(world.rig.pipeline("C02").blocks) > before + 10)


async def test_an_offer_whose_client_never_connects_is_closed(world: World) -> None:
    await world.start(MediaConfig(connect_timeout_s=0.3))
    client = Client([hum()])
    world.clients.append(client)
    async with world.http.post("/offer", json=await client.offer()) as response:
        answer = await response.json()
    assert len(world.rig.registry.connections) == 1
    await until(lambda: not world.rig.registry.connections)
    assert not world.log(answer).of(EventType.CHANNEL_OPENED)
    assert world.rig.registry.channel(world.rig.registry.current(), "C01").connection is None


async def test_ending_the_session_closes_its_connections(world: World) -> None:
    await world.start()
    _, answer = await world.connect(hum())
    await until(lambda: has_received(world, "C01", 0.2))
    await world.rig.registry.end(world.rig.registry.get(answer["session"]))
    assert world.log(answer).of(EventType.CHANNEL_CLOSED)[0]["reason"] == "session_ended"
    assert world.log(answer).events[-1][0] is EventType.SESSION_ENDED
    _, again = await world.connect(hum())
    assert again["session"] != answer["session"]


def leftovers() -> Counter[str]:
    """The objects that a closed peer could leave, by name, without the event loop's thread pool."""
    threads = [t.name for t in threading.enumerate() if not t.name.startswith("asyncio_")]
    tasks = [str(task.get_coro()).split(" at ")[0] for task in asyncio.all_tasks()]
    return Counter({"file descriptors": psutil.Process().num_fds()}) + Counter(threads) + Counter(tasks)


@pytest.mark.timeout(240)
async def test_60_clients_that_connect_and_disconnect_leave_no_state(world: World) -> None:
    await world.start(MediaConfig(connect_timeout_s=2.0))

    async def one(number: int) -> None:
        client = Client([hum()])
        if number % 4 == 0:  # closes before it connects
            async with world.http.post("/offer", json=await client.offer()) as response:
                assert response.status == 200
        else:
            await client.connect(world.http)
            if number % 4 != 1:  # the others in the middle of the handshake
                await until(lambda: client.pc.connectionState == "connected")
        await client.close()

    for number in range(4):
        await one(number)
    await until(lambda: not world.rig.registry.connections)
    before = leftovers()
    for number in range(60):
        await one(number)
    await until(lambda: not world.rig.registry.connections)
    await until(lambda: not leftovers() - before)
    assert len(world.rig.pipelines) >= 24
    assert all(pipeline.is_closed for pipeline in world.rig.pipelines)
    world.rig.pipelines.clear()
    world.attached.clear()  # a data channel holds its peer connection

    def none_left() -> bool:
        gc.collect()
        return not any(type(thing) is Peer for thing in gc.get_objects())

    await until(none_left, what="the last peer's own task has ended")
