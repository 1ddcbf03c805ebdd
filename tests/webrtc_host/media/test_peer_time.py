"""Sample time follows media and a clock that only grows: no step of the wall clock and no sleep moves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from tests.support.peers import Rig
from webrtc_host.media.timeline import Timeline
from webrtc_host.seams import Block, BlockKind, EventType
from webrtc_host.session.channel import ChannelSpec, DoorKind

PACKET = 320
TICKS = 960


def sound(n: int = PACKET) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.full(n, 0.1, np.float32)


async def test_a_step_of_the_wall_clock_moves_no_sample_time() -> None:
    now, wall = [0.0], [datetime(2026, 11, 21, 6, 0, tzinfo=UTC)]
    rig = Rig(clock=lambda: now[0], wall=lambda: wall[0])

    async def end(reason: str) -> int:
        return 0

    session = rig.registry.current()
    connection = rig.registry.connect(session, DoorKind.WEBRTC, [ChannelSpec("C01")], end)
    channel = connection.channels[0]
    channel.open()
    for number in range(100):
        if number == 50:
            wall[0] += timedelta(hours=-7)  # somebody sets the clock
        now[0] += 0.02
        channel.feed(Block(number * PACKET, sound()))
    assert session.now_sample() == 2 * 16_000
    assert channel.end_sample == 2 * 16_000
    blocks = rig.pipeline("C01").blocks
    assert [block.start_sample for block in blocks] == [number * PACKET for number in range(100)]
    assert not [e for e in rig.logs[session.id].of(EventType.COVERAGE) if e["state"] == "lost"]


def test_a_server_that_slept_takes_the_sound_where_it_arrives() -> None:
    """Its clock stood still (CLOCK_MONOTONIC), the sender's went on for ten minutes."""
    timeline, now = Timeline(), 0
    blocks: list[Block] = []
    for number in range(200):
        now += PACKET
        asleep = 0 if number < 100 else 600 * 48_000
        blocks += timeline.feed(number * TICKS + asleep, sound(), now)
    blocks += timeline.flush()
    for before, after in zip(blocks, blocks[1:], strict=False):
        assert before.end_sample == after.start_sample
    assert blocks[-1].end_sample <= now + 16_000
    assert sum(len(b.samples) for b in blocks if b.kind is BlockKind.AUDIO) == 200 * PACKET


def test_a_sender_that_slept_leaves_a_hole_of_its_length() -> None:
    """Its RTP clock stood still, ours went on."""
    timeline, now = Timeline(), 0
    blocks: list[Block] = []
    for number in range(200):
        now += PACKET if number != 100 else 60 * 16_000
        blocks += timeline.feed(number * TICKS, sound(), now)
    blocks += timeline.flush()
    silent = sum(len(b.samples) for b in blocks if b.kind is not BlockKind.AUDIO)
    assert abs(silent - 60 * 16_000) < 1600
    assert abs(blocks[-1].end_sample - now) < 1600
