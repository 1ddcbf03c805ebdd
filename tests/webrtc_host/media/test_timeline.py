"""Positions come from RTP time: exact, contiguous, never twice, whatever the network or the sender does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_stt.contract import SAMPLE_RATE, Float32Array
from webrtc_host.media.timeline import RTP_TICKS, Timeline, TimelineConfig
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


def test_the_first_pieces_are_placed_by_the_promptest_arrival_among_them() -> None:
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


def test_what_the_receiver_holds_back_is_taken_off() -> None:
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


def test_the_32_bit_wrap_is_not_noticed() -> None:
    timeline = Timeline()
    blocks = play(timeline, 0, 100, ticks=RTP_TICKS - 50 * TICKS - 7)
    assert_contiguous(blocks)
    assert kinds(blocks)[BlockKind.AUDIO] == 100 * PACKET == blocks[-1].end_sample - blocks[0].start_sample


def test_a_day_of_packets_with_wraps_and_losses_ends_within_20_ms_of_the_truth() -> None:
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


@pytest.mark.parametrize("ppm", [100, -100])
def test_a_day_on_a_clock_that_drifts_keeps_rtp_time_and_shows_the_drift(ppm: int) -> None:
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


def test_a_source_that_stood_still_gets_the_missing_time_as_a_pause() -> None:
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


def test_packets_that_were_held_up_and_come_at_once_get_nothing_inserted() -> None:
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


def test_a_few_packets_pushed_together_after_a_pause_do_not_look_like_a_burst() -> None:
    timeline = Timeline()
    blocks = play(timeline, 0, 50)
    at = 50 * PACKET + SAMPLE_RATE
    late = [18, 5, 0, 0, 0, 0, 0, 0, 0, 0]
    for i, late_ms in enumerate(late):
        blocks += timeline.feed((50 + i) * TICKS, sound(50 + i), at + i * PACKET + late_ms * MS)
    assert_contiguous(blocks)
    assert (timeline.statistics.pauses, timeline.statistics.bursts) == (1, 0)


def test_a_decision_that_takes_too_long_is_made_by_the_tick() -> None:
    timeline = Timeline()
    play(timeline, 0, 50)
    at = 50 * PACKET + SAMPLE_RATE
    assert timeline.feed(50 * TICKS, sound(50), at) == []
    assert timeline.on_tick(at + 100 * MS) == []
    blocks = timeline.on_tick(at + 400 * MS)
    assert kinds(blocks) == {BlockKind.PAUSED: SAMPLE_RATE, BlockKind.AUDIO: PACKET, BlockKind.LOST: 0}


def test_the_end_hands_on_what_waits_for_a_decision() -> None:
    timeline = Timeline()
    play(timeline, 0, 50)
    assert timeline.feed(50 * TICKS, sound(50), 50 * PACKET + SAMPLE_RATE) == []
    assert kinds(timeline.flush())[BlockKind.AUDIO] == PACKET
    assert timeline.flush() == []


def test_an_outage_that_rtp_time_accounts_for_is_lost_not_paused() -> None:
    timeline = Timeline()
    blocks = play(timeline, 0, 50)
    blocks += play(timeline, 150, 50, ticks=150 * TICKS, at=150 * PACKET)
    assert_contiguous(blocks)
    assert kinds(blocks)[BlockKind.LOST] == 100 * PACKET
    assert timeline.statistics.pauses == 0


def test_a_sender_that_starts_over_goes_on_at_the_present() -> None:
    timeline = Timeline()
    blocks = play(timeline, 0, 50, ticks=4_000_000_000, at=PACKET)
    at = 51 * PACKET + 700 * MS
    blocks += play(timeline, 50, 50, ticks=1_000, at=at)
    assert_contiguous(blocks)
    assert timeline.statistics.restarts == 1
    assert blocks[-1].end_sample == at + 49 * PACKET
    assert kinds(blocks)[BlockKind.AUDIO] == 100 * PACKET


def test_unrolled_time_of_a_decoder_that_took_a_restart_for_a_wrap_is_understood() -> None:
    """aiortc adds 2**32 when a timestamp goes back, a jump of 24.8 h."""
    timeline = Timeline()
    play(timeline, 0, 50, ticks=10_000_000, at=PACKET)
    blocks: list[Block] = []
    for i in range(10):
        blocks += timeline.feed(5_000 + i * TICKS + RTP_TICKS, sound(1), (51 + i) * PACKET)
    assert blocks[-1].end_sample == 60 * PACKET
    assert timeline.statistics.restarts == 1


def test_rtp_time_that_runs_ahead_of_the_clock_does_not_take_the_channel_along() -> None:
    timeline = Timeline()
    blocks = play(timeline, 0, 50)
    for i in range(20):  # 29 s of RTP time in every packet
        blocks += timeline.feed((50 * TICKS + i * 29 * 48_000) % RTP_TICKS, sound(i), (50 + i) * PACKET)
    assert_contiguous(blocks)
    assert blocks[-1].end_sample <= 70 * PACKET + SAMPLE_RATE


def quiet_for(timeline: Timeline, last: int, seconds: int) -> list[Block]:
    return [block for ms in range(0, seconds * 1000, 250) for block in timeline.on_tick(last + ms * MS)]


def test_a_quiet_line_is_filled_behind_the_present_and_goes_on_where_rtp_time_says() -> None:
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


def test_of_what_was_held_up_for_seconds_only_the_one_that_ended_the_utterance_is_missing() -> None:
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


def test_a_stall_of_ours_is_not_taken_for_a_quiet_line() -> None:
    timeline = Timeline()
    play(timeline, 0, 50)
    assert timeline.on_tick(50 * PACKET) == []
    assert timeline.on_tick(50 * PACKET + 12 * SAMPLE_RATE) == []
    assert not timeline.is_quiet


def test_a_slow_sender_clock_is_never_taken_for_a_pause() -> None:
    """300 ppm slow for an hour is 1.08 s of lateness that grew by itself."""
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
def test_whatever_comes_the_blocks_are_contiguous_and_never_run_away(
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
        assert blocks[-1].end_sample <= now + SAMPLE_RATE + now // 1000 + 1
