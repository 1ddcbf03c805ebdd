"""A track's packets become its channel's blocks; an error of one track affects no other."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from aiortc.rtp import RtpPacket

from tests.support.peers import BlockRecorder, PacketArchive, Rig
from tests.support.polling import until
from tests.support.rtp import PACKET, a_receiver, assert_contiguous, hum_packets, receive, samples_of
from webrtc_host.config import MediaConfig
from webrtc_host.media.opus import OpusDecoder
from webrtc_host.seams import Block, BlockKind, ChannelState
from webrtc_host.session.channel import Channel, ChannelSpec
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.session.connection import Connection
from webrtc_host.session.registry import MakeArchive
from webrtc_host.transport.reception import RECEPTION
from webrtc_host.transport.track import EARLY_PACKETS_MAX, TrackFeed

PAYLOADS = hum_packets(120)


class World:
    """One channel fed by one track, on a clock that is moved by hand."""

    def __init__(
        self, make_archive: MakeArchive | None = None, config: MediaConfig | None = None, channel: str = "C01"
    ) -> None:
        self.now_s = 100.0
        self.rig = Rig(clock=lambda: self.now_s, make_archive=make_archive)
        self.receiver = a_receiver()
        self.over: list[str] = []
        session = self.rig.registry.current()
        self.connection: Connection = self.rig.registry.connect(
            session, DoorKind.WEBRTC, [ChannelSpec(channel)], self._end
        )
        self.channel: Channel = self.connection.channels[0]
        self.feed = TrackFeed(
            self.receiver,
            self.channel,
            config or MediaConfig(),
            lambda feed, reason: self.over.append(reason),
        )

    async def _end(self, reason: str) -> int:
        return 0

    @property
    def pipeline(self) -> BlockRecorder:
        return self.rig.pipeline(self.channel.id)

    async def play(
        self, first: int, last: int, *, payload_type: int = 96, every_s: float = 0.02, **fields: Any
    ) -> None:
        for number in range(first, last):
            self.now_s += every_s
            await self.receive(number, payload_type, **fields)

    def wait(self, seconds: float) -> None:
        """Let time pass without packets."""
        for _ in range(round(seconds * 4)):
            self.now_s += 0.25
            self.feed.on_tick()

    async def receive(self, number: int, payload_type: int = 96, payload: bytes | None = None) -> None:
        ticks = 160 if payload_type in (0, 8) else 960
        packet = RtpPacket(
            payload_type=payload_type,
            sequence_number=number % 2**16,
            timestamp=number * ticks % 2**32,
            ssrc=5,
            payload=PAYLOADS[number % len(PAYLOADS)] if payload is None else payload,
        )
        await receive(self.receiver, packet)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.feed.stop()


async def test_packets_become_blocks_and_are_archived_unchanged() -> None:
    archive = PacketArchive()
    world = World(lambda *_: archive)
    world.feed.start()
    await world.play(0, 100)
    world.feed.detach()
    decoder = OpusDecoder()
    truth = np.concatenate([decoder.decode(payload) for payload in PAYLOADS[:100]])
    np.testing.assert_array_equal(world.pipeline.audio(), truth)
    assert_contiguous(world.pipeline.blocks)
    assert [packet.payload for packet in archive.packets] == list(PAYLOADS[:100])
    assert [p.start_sample for p in archive.packets] == [b.start_sample for b in world.pipeline.blocks]


async def test_packets_before_the_start_are_not_lost(world: World) -> None:
    await world.play(0, 5)
    world.feed.start()
    await world.play(5, 40)
    world.feed.detach()
    assert samples_of(world.pipeline.blocks, BlockKind.AUDIO) == 40 * PACKET


async def test_packets_before_a_start_that_never_comes_are_bounded(world: World) -> None:
    await world.play(0, 500)
    assert len(world.feed._early) == EARLY_PACKETS_MAX


async def test_a_lost_packet_affects_no_other_and_the_tick_ends_the_wait(world: World) -> None:
    world.feed.start()
    await world.play(0, 50)
    await world.play(51, 53)
    world.now_s += 0.6
    world.feed.on_tick()
    assert samples_of(world.pipeline.blocks, BlockKind.AUDIO) == 53 * PACKET, "49 arrived, one was repaired"
    assert world.feed.counts().lost == 1


async def test_a_lost_and_a_regained_signal_are_reported(world: World) -> None:
    world.feed.start()
    await world.play(0, 50)
    for _ in range(20):
        world.now_s += 0.25
        world.feed.on_tick()
    assert world.channel.state is ChannelState.NO_SIGNAL
    assert samples_of(world.pipeline.blocks, BlockKind.LOST) == 16_000, "enough to end an utterance"
    await world.play(300, 330)
    assert str(world.channel.state) == "idle"
    assert_contiguous(world.pipeline.blocks)


async def test_a_track_that_never_sends_is_reported_as_lost_signal(world: World) -> None:
    world.feed.start()
    for _ in range(14):
        world.now_s += 0.25
        world.feed.on_tick()
    assert world.channel.state is ChannelState.NO_SIGNAL
    assert not world.pipeline.blocks


@pytest.mark.parametrize(("channel", "after_s"), [("C05", 30.0), ("C06", 1.0), ("C01", 3.0)])
async def test_each_channel_has_its_own_time_without_signal(channel: str, after_s: float) -> None:
    times = ({"channel": "C05", "no_signal_after_s": 30}, {"channel": "C06", "no_signal_after_s": 1})
    world = World(config=MediaConfig.model_validate({"no_signal_after_s_of": times}), channel=channel)
    world.feed.start()
    for first in (0, 3000):
        await world.play(first, first + 50)
        assert str(world.channel.state) == "idle"
        world.feed.on_tick()
        await world.play(first + 50, first + 51)
        world.wait(after_s - 0.25)
        assert str(world.channel.state) == "idle"
        world.wait(0.25)
        assert str(world.channel.state) == "no_signal"
    await world.feed.stop()


async def test_a_channel_that_may_be_silent_for_long_still_ends_its_utterance() -> None:
    times = ({"channel": "C05", "no_signal_after_s": 600},)
    world = World(config=MediaConfig.model_validate({"no_signal_after_s_of": times}), channel="C05")
    world.feed.start()
    await world.play(0, 50)
    world.wait(5)
    assert str(world.channel.state) == "idle"
    assert samples_of(world.pipeline.blocks, BlockKind.LOST) == 16_000, "enough to end an utterance"
    await world.feed.stop()


async def test_g711_and_opus_may_follow_each_other_on_one_track(world: World) -> None:
    world.feed.start()
    await world.play(0, 60)
    await world.play(60, 120, payload_type=0, payload=bytes(range(160)))
    await world.play(120, 180)
    world.feed.detach()
    assert_contiguous(world.pipeline.blocks)
    assert samples_of(world.pipeline.blocks, BlockKind.AUDIO) >= 178 * PACKET
    assert world.feed.counts().packets == 180


async def test_a_failing_pipeline_ends_the_track_once_and_later_packets_are_dropped(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.feed.start()
    await world.play(0, 30)

    def refuse(block: Block) -> None:
        raise ValueError("a bug of the pipeline's")

    world.pipeline.on_feed = refuse
    with caplog.at_level(logging.ERROR):
        await world.play(30, 90)
    assert world.over == ["failed"]
    assert len([record for record in caplog.records if record.exc_info]) == 1
    assert world.feed.counts().unread == 59


async def test_a_flood_ends_the_track_and_is_not_decoded(world: World) -> None:
    world.feed.start()
    await world.play(0, 30)
    blocks = len(world.pipeline.blocks)
    await world.play(30, 7_000, every_s=0.0, payload=b"\xff")
    assert world.over == ["flood"]
    assert world.feed.counts().refused >= 1_000
    await world.play(7_000, 7_200, every_s=0.0)
    assert world.over == ["flood"]
    assert len(world.pipeline.blocks) - blocks <= 5, "100 ms of concealment"


async def test_figures_remain_after_the_track_ended() -> None:
    world = World()
    before = RECEPTION.statistics()
    world.feed.start()
    await world.play(0, 40)
    await world.play(45, 60)
    now = RECEPTION.statistics()
    assert now["tracks"] == before["tracks"] + 1
    await world.feed.stop()
    after = RECEPTION.statistics()
    assert after["tracks"] == before["tracks"]
    assert after["packets"] - before["packets"] == 55


async def test_the_end_of_the_track_flushes_it(world: World) -> None:
    world.feed.start()
    await world.play(0, 8)
    assert not world.pipeline.blocks, "the first packets wait to be put in order"
    world.receiver.track._queue.put_nowait(None)  # as aiortc ends a track
    await until(lambda: world.over == ["track_ended"])
    assert samples_of(world.pipeline.blocks, BlockKind.AUDIO) == 8 * PACKET
