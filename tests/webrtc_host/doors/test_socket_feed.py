"""The time of a socket's audio: counted in samples; stalls are classified by the audio after them."""

from __future__ import annotations

import numpy as np
import pytest

from host_stt.contract import SAMPLE_RATE
from tests.support.peers import BlockRecorder, Rig
from webrtc_host.doors.socket_feed import FeedConfig, SocketFeed
from webrtc_host.media.resample import Piece
from webrtc_host.seams import Block, BlockKind, EventType, OpusPacket
from webrtc_host.session.channel import Channel, ChannelSpec
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.session.registry import MakeArchive

TWENTY_MS = SAMPLE_RATE // 50


class World:
    """A channel fed by hand; `now_s` is the registry's clock."""

    def __init__(
        self,
        start_ms: int | None = None,
        make_archive: MakeArchive | None = None,
        config: FeedConfig | None = None,
    ) -> None:
        self.now_s = 100.0
        self.rig = Rig(clock=lambda: self.now_s, make_archive=make_archive)
        self.channel = self._channel()
        self.count = 0
        self.now_s += 2.0
        start = None if start_ms is None else start_ms * 16
        self.feed = SocketFeed(self.channel, config or FeedConfig(), start_sample=start)

    def _channel(self) -> Channel:
        async def end(reason: str) -> int:
            return 0

        registry = self.rig.registry
        connection = registry.connect(registry.current(), DoorKind.SOCKET, [ChannelSpec("C01")], end)
        connection.channels[0].open()
        return connection.channels[0]

    @property
    def pipeline(self) -> BlockRecorder:
        return self.rig.pipelines[0]

    async def speak(self, seconds: float, *, at_once: bool = False) -> None:
        """Feed 20 ms at a time, in real time, or all at once as after a network delay."""
        for _ in range(round(seconds * 50)):
            if not at_once:
                self.now_s += 0.02
            await self.feed.put(Piece(self.count * 3, np.full(TWENTY_MS, 0.1, np.float32)))
            self.count += TWENTY_MS
            self.feed.on_tick()

    async def speak_in_messages(self, messages: int, seconds: float, *, at_once: bool = False) -> None:
        """Feed messages that the source sends when it has collected `seconds` of audio."""
        samples = round(seconds * SAMPLE_RATE)
        for _ in range(messages):
            left_s = 0.0 if at_once else seconds
            while left_s > 1e-9:
                step_s = min(left_s, 0.05)
                self.now_s += step_s
                left_s -= step_s
                self.feed.on_tick()
            await self.feed.put(Piece(self.count * 3, np.full(samples, 0.1, np.float32)))
            self.count += samples

    def seconds_behind(self) -> float:
        """How long before the present the channel's audio ends."""
        now = self.channel.session.now_sample()
        return (now - self.pipeline.blocks[-1].end_sample) / SAMPLE_RATE

    @property
    def state(self) -> str:
        return str(self.channel.state)

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds * 4)):
            self.now_s += 0.25
            self.feed.on_tick()

    def seconds_of(self, kind: BlockKind) -> float:
        return self.pipeline.samples_of(kind) / SAMPLE_RATE

    def assert_contiguous(self) -> None:
        blocks = self.pipeline.blocks
        for before, after in zip(blocks, blocks[1:], strict=False):
            assert before.end_sample == after.start_sample


async def test_a_source_that_stops_for_a_time_leaves_a_pause_of_that_length() -> None:
    world = World()
    await world.speak(2.0)
    world.wait(2.5)
    await world.speak(2.0)
    assert abs(world.seconds_of(BlockKind.PAUSED) - 2.5) < 0.03
    assert world.seconds_of(BlockKind.AUDIO) == 4.0
    assert world.seconds_of(BlockKind.LOST) == 0
    world.assert_contiguous()


@pytest.mark.parametrize("pause_s", [2.5, 8.0, 20.0])
@pytest.mark.parametrize("message_ms", [100, 128, 250, 500, 1000])
async def test_a_pause_is_found_however_much_audio_is_in_a_message(message_ms: int, pause_s: float) -> None:
    world = World()
    await world.speak_in_messages(40, message_ms / 1000)
    world.wait(pause_s)
    await world.speak_in_messages(40, message_ms / 1000)
    assert world.seconds_of(BlockKind.AUDIO) == 80 * message_ms / 1000
    gap = world.seconds_of(BlockKind.PAUSED) + world.seconds_of(BlockKind.LOST)
    assert abs(gap - pause_s) < 0.03
    assert world.seconds_behind() == pytest.approx(0, abs=0.03)
    world.assert_contiguous()


@pytest.mark.parametrize("message_ms", [128, 250, 500])
async def test_messages_delayed_by_the_network_are_not_a_pause(message_ms: int) -> None:
    world = World()
    await world.speak_in_messages(20, message_ms / 1000)
    delayed = 1500 // message_ms
    world.wait(1.5)
    await world.speak_in_messages(delayed, message_ms / 1000, at_once=True)
    await world.speak_in_messages(20, message_ms / 1000)
    assert world.seconds_of(BlockKind.PAUSED) == 0
    assert world.seconds_of(BlockKind.AUDIO) == (40 + delayed) * message_ms / 1000
    assert world.seconds_behind() == pytest.approx(1.5 - delayed * message_ms / 1000, abs=0.03)


async def test_one_message_after_a_long_pause_is_not_cut_off() -> None:
    world = World()
    await world.speak_in_messages(10, 0.5)
    world.wait(20.0)
    await world.speak_in_messages(1, 0.5)
    world.wait(2.0)
    assert world.seconds_of(BlockKind.AUDIO) == 5.5


async def test_long_messages_are_not_held_while_the_source_speaks() -> None:
    world = World()
    await world.speak_in_messages(10, 1.0)
    assert world.seconds_of(BlockKind.AUDIO) == 10


async def test_audio_delayed_by_the_network_is_not_a_pause() -> None:
    world = World()
    await world.speak(2.0)
    world.wait(6.0)
    assert world.state == "no_signal"
    for _ in range(30):  # six seconds of audio within one second: the highest rate that `Pace` allows
        world.now_s += 0.04
        for _ in range(10):
            await world.feed.put(Piece(world.count * 3, np.full(TWENTY_MS, 0.1, np.float32)))
            world.count += TWENTY_MS
    await world.speak(1.0)
    assert world.seconds_of(BlockKind.PAUSED) == 0
    assert world.seconds_of(BlockKind.AUDIO) == 9.0
    assert world.state == "idle"
    world.assert_contiguous()


class ArchiveList:
    """Records the archived packets and blocks."""

    is_keeping = True

    def __init__(self) -> None:
        self.packets: list[OpusPacket] = []
        self.blocks: list[Block] = []

    def archive_packet(self, packet: OpusPacket) -> None:
        self.packets.append(packet)

    def archive_block(self, block: Block) -> None:
        self.blocks.append(block)


async def test_packets_are_archived_for_each_way_to_decide_their_time() -> None:
    archive = ArchiveList()
    world = World(make_archive=lambda *_: archive)

    async def packet(seconds_later: float) -> None:
        world.now_s += seconds_later
        payload = world.count.to_bytes(4, "big")
        world.feed.archive_packet(world.count * 3, TWENTY_MS, payload)
        await world.feed.put(Piece(world.count * 3, np.full(TWENTY_MS, 0.1, np.float32)))
        world.count += TWENTY_MS

    for _ in range(10):
        await packet(0.02)
    world.wait(0.25)  # a tick decides the time of the first sample
    for _ in range(60):
        await packet(0.02)
    for n in range(30):  # held up for a second; and here whether that was a pause
        await packet(1.0 if n == 0 else 0.001)
    world.wait(0.5)
    for _ in range(60):
        await packet(0.02)
    world.feed.flush()
    assert archive.blocks == []
    assert [int.from_bytes(p.payload, "big") for p in archive.packets] == list(
        range(0, world.count, TWENTY_MS)
    )
    audio = [block for block in world.pipeline.blocks if block.kind is BlockKind.AUDIO]
    assert [p.start_sample for p in archive.packets] == [block.start_sample for block in audio]


async def test_after_ten_seconds_without_audio_the_time_is_lost() -> None:
    world = World()
    await world.speak(1.0)
    world.wait(9.5)
    assert world.seconds_of(BlockKind.LOST) == 0
    world.wait(5.0)
    assert 13.5 < world.seconds_of(BlockKind.LOST) < 14.5
    await world.speak(1.0)
    world.assert_contiguous()
    states = [
        event["state"] for event in world.rig.logs[world.channel.session.id].of(EventType.CHANNEL_STATE)
    ]
    assert states == ["idle", "no_signal", "idle"]


async def test_each_channel_has_its_own_time_without_signal() -> None:
    world = World(config=FeedConfig(no_signal_samples=30 * SAMPLE_RATE))
    await world.speak(1.0)
    world.wait(30.0)
    assert world.state == "idle"
    world.wait(0.25)
    assert world.state == "no_signal"


async def test_positions_count_samples_and_not_arrivals() -> None:
    world = World()
    for jitter_s in (0.0, 0.04, 0.0, 0.0, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0) * 10:
        world.now_s += jitter_s
        await world.speak(0.02, at_once=True)
        world.now_s += 0.02 - jitter_s * 0.9
    world.feed.flush()
    assert world.seconds_of(BlockKind.AUDIO) == 2.0
    assert {block.kind for block in world.pipeline.blocks} == {BlockKind.AUDIO}
    world.assert_contiguous()


async def test_start_ms_places_the_first_sample_exactly() -> None:
    world = World(start_ms=1500)  # half a second ago
    await world.speak(0.5, at_once=True)
    await world.speak(1.0)
    assert world.pipeline.blocks[0].start_sample == 1500 * 16
    assert world.pipeline.blocks[-1].end_sample == 3000 * 16
    assert {block.kind for block in world.pipeline.blocks} == {BlockKind.AUDIO}


async def test_audio_from_before_the_connection_has_a_past_time() -> None:
    world = World()
    await world.speak(0.8, at_once=True)
    world.wait(0.5)
    await world.speak(0.2)
    assert abs(world.pipeline.blocks[0].start_sample - 1.2 * SAMPLE_RATE) <= TWENTY_MS


async def test_no_audio_reaches_a_detached_channel() -> None:
    world = World()
    await world.speak(1.0)
    before = world.pipeline.samples_of(BlockKind.AUDIO)
    world.feed.detach()
    await world.speak(1.0)
    world.wait(20.0)
    world.feed.flush()
    assert world.pipeline.samples_of(BlockKind.AUDIO) == before
    assert world.pipeline.samples_of(BlockKind.LOST) == 0
