"""Positions come from RTP time: exact, contiguous and unique for any behaviour of network and sender."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_stt.contract import SAMPLE_RATE, Float32Array
from webrtc_host.media.timeline import RTP_TICKS, Timeline
from webrtc_host.media.timeline_limits import TimelineConfig
from webrtc_host.seams import Block, BlockKind

PACKET = 320  # samples of 20 ms
TICKS = 960  # RTP time of 20 ms
MS = 16
HOUR = 3600 * SAMPLE_RATE


def sound(number: int, n: int = PACKET) -> Float32Array:
    return np.full(n, number % 1000 / 1000, np.float32)


def assert_contiguous(blocks: list[Block]) -> None:
    for before, after in zip(blocks, blocks[1:], strict=False):
        assert before.end_sample == after.start_sample
    assert all(len(block.samples) for block in blocks)


def kinds(blocks: list[Block]) -> dict[BlockKind, int]:
    found = dict.fromkeys(BlockKind, 0)
    for block in blocks:
        found[block.kind] += len(block.samples)
    return found


def play(
    timeline: Timeline, first: int, count: int, *, ticks: int = 0, at: int = 0, pace: int = PACKET
) -> list[Block]:
    """`count` packets: RTP time from `ticks` on, arriving from `at` on, `pace` samples apart."""
    blocks: list[Block] = []
    for i in range(count):
        timestamp = (ticks + i * TICKS) % RTP_TICKS
        blocks += timeline.feed(timestamp, sound(first + i), at + i * pace)
    return blocks


def test_the_first_pieces_are_placed_by_the_arrival_with_the_least_delay() -> None:
    timeline = Timeline()
    lateness = [90, 70, 55, 3, 40, 25, 12, 30, 8, 20]
    blocks: list[Block] = []
    for i, late_ms in enumerate(lateness):
        assert not blocks
        now = 5 * SAMPLE_RATE + i * PACKET + late_ms * MS
        blocks = timeline.feed((RTP_TICKS - 3 * TICKS + i * TICKS) % RTP_TICKS, sound(1), now)
    assert blocks[0].end_sample == 5 * SAMPLE_RATE + 3 * MS
    assert_contiguous(blocks)
    assert len(blocks) == 10


def test_a_stream_too_short_to_decide_is_placed_at_its_end_or_by_the_tick() -> None:
    timeline = Timeline()
    assert timeline.feed(0, sound(1), SAMPLE_RATE) == []
    assert timeline.flush()[0].end_sample == SAMPLE_RATE
    timeline = Timeline()
    assert timeline.feed(0, sound(1), SAMPLE_RATE) == []
    assert timeline.on_tick(SAMPLE_RATE + 400 * MS)[0].end_sample == SAMPLE_RATE


def test_the_delay_of_the_receiver_is_subtracted() -> None:
    blocks = play(Timeline(TimelineConfig(receive_delay_samples=80 * MS)), 0, 10, at=5 * SAMPLE_RATE)
    assert blocks[0].end_sample == 5 * SAMPLE_RATE - 80 * MS


def test_nothing_is_placed_before_the_floor_or_before_zero() -> None:
    assert play(Timeline(floor_sample=9_000), 0, 10, at=8_000)[0].start_sample == 9_000
    assert play(Timeline(), 0, 10, at=10)[0].start_sample == 0


def test_lost_packets_become_an_explicit_gap_of_exactly_their_length() -> None:
    timeline = Timeline()
    blocks = play(timeline, 0, 10)
    blocks += play(timeline, 15, 10, ticks=15 * TICKS, at=15 * PACKET)
    assert_contiguous(blocks)
    assert kinds(blocks) == {BlockKind.AUDIO: 20 * PACKET, BlockKind.LOST: 5 * PACKET, BlockKind.PAUSED: 0}
    assert timeline.statistics.lost == 5 * PACKET


def test_rtp_time_may_wrap_at_32_bits() -> None:
    timeline = Timeline()
    blocks = play(timeline, 0, 100, ticks=RTP_TICKS - 50 * TICKS - 7)
    assert_contiguous(blocks)
    assert kinds(blocks)[BlockKind.AUDIO] == 100 * PACKET == blocks[-1].end_sample - blocks[0].start_sample


def test_after_a_day_with_wraps_and_losses_the_error_is_below_20_ms() -> None:
    timeline = Timeline()
    rng = np.random.default_rng(7)
    start, at, ticks = None, 0, RTP_TICKS - 12_345
    end = 0
    while at < 24 * HOUR:
        for block in timeline.feed(ticks % RTP_TICKS, sound(1), at + int(rng.integers(0, 60 * MS))):
            assert start is None or block.start_sample == end
            start = block.start_sample if start is None else start
            end = block.end_sample
        truth = at  # sample time of this packet since the first
        assert abs(end - PACKET - (start or 0) - truth) <= 20 * MS
        step = int(rng.integers(1, 1000))  # up to 20 s lost each time
        at, ticks = at + step * PACKET, ticks + step * TICKS
        assert timeline.statistics.restarts == timeline.statistics.pauses == 0


@pytest.mark.parametrize("ppm", [100, pytest.param(-100, marks=pytest.mark.long)])
def test_a_day_with_clock_drift_keeps_rtp_time_and_reports_the_drift(ppm: int) -> None:
    """8.6 s apart at its end: positions are the sender's samples, and nothing is taken for a break."""
    timeline, first = Timeline(), None
    rng = np.random.default_rng(9)
    for number in range(0, 24 * 3600 * 50, 100):  # every hundredth packet, 2 s apart
        sample = number * PACKET
        arrival = sample - sample * ppm // 1_000_000 + int(rng.integers(0, 40 * MS))
        for block in timeline.feed(number * TICKS % RTP_TICKS, sound(1), arrival + PACKET):
            first = block.start_sample if first is None else first
            end = block.end_sample
        if number > 1000:
            assert abs(end - PACKET - sample - (first or 0)) <= 20 * MS
    assert timeline.statistics.restarts == timeline.statistics.pauses == timeline.statistics.bursts == 0
    assert timeline.drift.ppm is not None and abs(timeline.drift.ppm - ppm) < 5


def test_overlapping_pieces_are_trimmed() -> None:
    timeline = Timeline()
    blocks = play(timeline, 0, 10)
    blocks += timeline.feed(9 * TICKS + TICKS // 2, sound(2), 11 * PACKET)
    blocks += timeline.feed(9 * TICKS, sound(3), 12 * PACKET)
    assert_contiguous(blocks)
    assert sum(len(b.samples) for b in blocks) == 10 * PACKET + PACKET // 2
    assert timeline.statistics.trimmed == PACKET // 2 + PACKET


def test_after_a_stopped_source_the_missing_time_is_a_pause() -> None:
    timeline = Timeline()
    blocks = play(timeline, 0, 50)
    at = 50 * PACKET + 3 * SAMPLE_RATE
    blocks += play(timeline, 50, 50, ticks=50 * TICKS, at=at)
    assert_contiguous(blocks)
    assert kinds(blocks) == {
        BlockKind.AUDIO: 100 * PACKET,
        BlockKind.PAUSED: 3 * SAMPLE_RATE,
        BlockKind.LOST: 0,
    }
    assert blocks[-1].end_sample == blocks[0].start_sample + 100 * PACKET + 3 * SAMPLE_RATE
    assert timeline.statistics.pauses == 1


def test_no_pause_is_inserted_before_delayed_packets_that_arrive_together() -> None:
    timeline = Timeline()
    blocks = play(timeline, 0, 50)
    outage = int(1.5 * SAMPLE_RATE)
    at = 50 * PACKET + outage
    blocks += play(timeline, 50, 75, ticks=50 * TICKS, at=at, pace=1 * MS)
    blocks += play(timeline, 125, 50, ticks=125 * TICKS, at=at + 75 * MS)
    assert_contiguous(blocks)
    assert kinds(blocks)[BlockKind.AUDIO] == 175 * PACKET
    assert kinds(blocks)[BlockKind.PAUSED] == kinds(blocks)[BlockKind.LOST] == 0
    assert timeline.statistics.bursts == 1


def test_a_few_packets_close_together_after_a_pause_are_no_burst() -> None:
    timeline = Timeline()
    blocks = play(timeline, 0, 50)
    at = 50 * PACKET + SAMPLE_RATE
    late = [18, 5, 0, 0, 0, 0, 0, 0, 0, 0]
    for i, late_ms in enumerate(late):
        blocks += timeline.feed((50 + i) * TICKS, sound(50 + i), at + i * PACKET + late_ms * MS)
    assert_contiguous(blocks)
    assert (timeline.statistics.pauses, timeline.statistics.bursts) == (1, 0)


def test_the_tick_makes_a_decision_that_takes_too_long() -> None:
    timeline = Timeline()
    play(timeline, 0, 50)
    at = 50 * PACKET + SAMPLE_RATE
    assert play(timeline, 50, 2, ticks=50 * TICKS, at=at) == []
    assert timeline.on_tick(at + 100 * MS) == []
    blocks = timeline.on_tick(at + 400 * MS)
    assert kinds(blocks) == {BlockKind.PAUSED: SAMPLE_RATE, BlockKind.AUDIO: 2 * PACKET, BlockKind.LOST: 0}


def test_one_late_packet_alone_does_not_move_the_audio_after_it() -> None:
    timeline = Timeline()
    blocks = play(timeline, 0, 50)
    late = 50 * PACKET + 700 * MS
    blocks += timeline.feed(50 * TICKS, sound(50), late)
    blocks += timeline.on_tick(late + 420 * MS)
    # The packets of the next 1.1 s are lost; then the stream continues in time.
    blocks += play(timeline, 106, 50, ticks=106 * TICKS, at=106 * PACKET)
    assert_contiguous(blocks)
    assert blocks[-1].end_sample == blocks[0].start_sample + 156 * PACKET
    assert kinds(blocks)[BlockKind.PAUSED] == 0


def test_a_pause_is_found_even_when_its_first_packet_comes_alone() -> None:
    timeline = Timeline()
    blocks = play(timeline, 0, 50)
    alone = 50 * PACKET + SAMPLE_RATE
    blocks += timeline.feed(50 * TICKS, sound(50), alone)
    blocks += timeline.on_tick(alone + 420 * MS)
    blocks += play(timeline, 51, 50, ticks=51 * TICKS, at=alone + SAMPLE_RATE)
    assert_contiguous(blocks)
    assert blocks[-1].end_sample == blocks[0].start_sample + 100 * PACKET + 2 * SAMPLE_RATE
    assert timeline.statistics.pauses == 1


def test_the_end_passes_on_blocks_that_wait_for_a_decision() -> None:
    timeline = Timeline()
    play(timeline, 0, 50)
    assert timeline.feed(50 * TICKS, sound(50), 50 * PACKET + SAMPLE_RATE) == []
    assert kinds(timeline.flush())[BlockKind.AUDIO] == PACKET
    assert timeline.flush() == []


def test_an_outage_with_advanced_rtp_time_is_a_loss_and_no_pause() -> None:
    timeline = Timeline()
    blocks = play(timeline, 0, 50)
    blocks += play(timeline, 150, 50, ticks=150 * TICKS, at=150 * PACKET)
    assert_contiguous(blocks)
    assert kinds(blocks)[BlockKind.LOST] == 100 * PACKET
    assert timeline.statistics.pauses == 0


def test_a_restarted_sender_continues_at_the_present_time() -> None:
    timeline = Timeline()
    blocks = play(timeline, 0, 50, ticks=4_000_000_000, at=PACKET)
    at = 51 * PACKET + 700 * MS
    blocks += play(timeline, 50, 50, ticks=1_000, at=at)
    assert_contiguous(blocks)
    assert timeline.statistics.restarts == 1
    assert blocks[-1].end_sample == at + 49 * PACKET
    assert kinds(blocks)[BlockKind.AUDIO] == 100 * PACKET


def test_a_restart_that_a_decoder_treated_as_a_wrap_is_detected() -> None:
    """aiortc adds 2**32 when a timestamp goes back, a jump of 24.8 h."""
    timeline = Timeline()
    play(timeline, 0, 50, ticks=10_000_000, at=PACKET)
    blocks: list[Block] = []
    for i in range(10):
        blocks += timeline.feed(5_000 + i * TICKS + RTP_TICKS, sound(1), (51 + i) * PACKET)
    assert blocks[-1].end_sample == 60 * PACKET
    assert timeline.statistics.restarts == 1


def test_rtp_time_far_ahead_of_the_clock_does_not_move_the_channel_ahead() -> None:
    timeline = Timeline()
    blocks = play(timeline, 0, 50)
    for i in range(20):  # 29 s of RTP time in every packet
        blocks += timeline.feed((50 * TICKS + i * 29 * 48_000) % RTP_TICKS, sound(i), (50 + i) * PACKET)
    assert_contiguous(blocks)
    assert blocks[-1].end_sample <= 70 * PACKET + SAMPLE_RATE


def quiet_for(timeline: Timeline, last: int, seconds: int) -> list[Block]:
    return [block for ms in range(0, seconds * 1000, 250) for block in timeline.on_tick(last + ms * MS)]


def test_a_silent_track_is_filled_up_to_the_present_and_continues_at_its_rtp_time() -> None:
    timeline = Timeline()
    blocks = play(timeline, 0, 50)
    last = 50 * PACKET
    blocks += quiet_for(timeline, last, 20)
    was_quiet = timeline.is_quiet
    assert was_quiet
    assert_contiguous(blocks)
    assert last + 19_000 * MS <= blocks[-1].end_sample <= last + 19_750 * MS
    blocks += play(timeline, 1050, 50, ticks=1050 * TICKS, at=1050 * PACKET)
    assert not timeline.is_quiet
    assert_contiguous(blocks)
    assert kinds(blocks) == {
        BlockKind.AUDIO: 100 * PACKET,
        BlockKind.LOST: 1000 * PACKET,
        BlockKind.PAUSED: 0,
    }


def test_of_a_long_delay_only_the_time_that_ended_the_utterance_is_missing() -> None:
    timeline = Timeline()
    blocks = play(timeline, 0, 50)
    last, outage = 50 * PACKET, 8 * SAMPLE_RATE
    blocks += quiet_for(timeline, last, 8)
    assert kinds(blocks)[BlockKind.LOST] == SAMPLE_RATE
    blocks += play(timeline, 50, 400, ticks=50 * TICKS, at=last + outage, pace=1 * MS)
    blocks += play(timeline, 450, 50, ticks=450 * TICKS, at=last + outage + 400 * MS)
    assert_contiguous(blocks)
    assert kinds(blocks)[BlockKind.AUDIO] == 500 * PACKET - SAMPLE_RATE
    assert timeline.statistics.bursts == 1


def test_a_stall_of_the_server_is_not_treated_as_a_silent_track() -> None:
    timeline = Timeline()
    play(timeline, 0, 50)
    assert timeline.on_tick(50 * PACKET) == []
    assert timeline.on_tick(50 * PACKET + 12 * SAMPLE_RATE) == []
    assert not timeline.is_quiet


def test_a_slow_sender_clock_is_not_treated_as_a_pause() -> None:
    """300 ppm too slow for an hour is 1.08 s of slowly growing delay."""
    timeline = Timeline()
    rng = np.random.default_rng(3)
    for i in range(0, 180_000, 25):  # every 25th packet, so arrivals are 500 ms apart
        arrival = i * PACKET + i * PACKET * 300 // 1_000_000 + int(rng.integers(0, 40 * MS))
        timeline.feed(i * TICKS % RTP_TICKS, sound(i), arrival)
    assert timeline.statistics.pauses == timeline.statistics.bursts == timeline.statistics.restarts == 0


steps = st.one_of(
    st.tuples(st.just("loss"), st.integers(1, 100)),
    st.tuples(st.just("jump"), st.integers(0, RTP_TICKS - 1)),
    st.tuples(st.just("hold"), st.integers(0, 10 * SAMPLE_RATE)),
    st.tuples(st.just("back"), st.integers(0, 4 * TICKS)),
    st.tuples(st.just("tick"), st.integers(0, 5 * SAMPLE_RATE)),
    st.tuples(st.just("play"), st.integers(1, 30)),
)


@settings(max_examples=200, deadline=None)
@given(first=st.integers(0, RTP_TICKS - 1), steps=st.lists(steps, max_size=30), sizes=st.integers(1, 2_000))
def test_for_any_input_the_blocks_are_contiguous_and_near_the_present(
    first: int, steps: list[tuple[str, int]], sizes: int
) -> None:
    timeline, blocks, now, ticks, fed = Timeline(), [], SAMPLE_RATE, first, 0
    for what, amount in steps:
        now += amount if what in ("hold", "tick") else 0
        if what == "tick":
            blocks += timeline.on_tick(now)
            continue
        ticks += {"loss": amount * TICKS, "jump": amount, "back": -amount}.get(what, 0)
        now += amount * PACKET if what == "loss" else 0
        for _ in range(amount if what == "play" else 1):
            now += sizes
            blocks += timeline.feed(ticks % RTP_TICKS, sound(1, sizes), now)
            ticks += sizes * 3
            fed += sizes
    blocks += timeline.flush()
    assert_contiguous(blocks)
    assert kinds(blocks)[BlockKind.AUDIO] + timeline.statistics.trimmed == fed
    if blocks:
        roundings = 3  # of the anchor, of the drift and of the block, each to a whole sample
        assert blocks[-1].end_sample <= now + SAMPLE_RATE + now // 1000 + roundings
