"""Sample time follows the media and a monotonic clock: wall clock changes and suspends do not change it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from tests.support.peers import Rig
from webrtc_host.media.timeline import Timeline
from webrtc_host.seams import Block, BlockKind, EventType
from webrtc_host.session.channel import ChannelSpec
from webrtc_host.session.channel_seams import DoorKind

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
            wall[0] += timedelta(hours=-7)  # the wall clock is set
        now[0] += 0.02
        channel.feed(Block(number * PACKET, sound()))
    assert session.now_sample() == 2 * 16_000
    assert channel.end_sample == 2 * 16_000
    blocks = rig.pipeline("C01").blocks
    assert [block.start_sample for block in blocks] == [number * PACKET for number in range(100)]
    assert not [e for e in rig.logs[session.id].of(EventType.COVERAGE) if e["state"] == "lost"]


def test_after_a_suspend_of_the_server_audio_continues_without_a_gap() -> None:
    """The server's clock stopped (CLOCK_MONOTONIC), the sender's ran for ten minutes."""
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


def test_a_suspend_of_the_sender_leaves_a_gap_of_its_length() -> None:
    """The sender's RTP clock stopped, the server's clock ran."""
    timeline, now = Timeline(), 0
    blocks: list[Block] = []
    for number in range(200):
        now += PACKET if number != 100 else 60 * 16_000
        blocks += timeline.feed(number * TICKS, sound(), now)
    blocks += timeline.flush()
    silent = sum(len(b.samples) for b in blocks if b.kind is not BlockKind.AUDIO)
    assert abs(silent - 60 * 16_000) < 1600
    assert abs(blocks[-1].end_sample - now) < 1600
