"""Packets come out in order, the wait for a missing packet ends in time, and every packet is counted."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.rtp import MS, PACKET, packet
from webrtc_host.media.jitter import Frame, JitterBuffer, JitterConfig, RtpPacket

PROMPT = JitterConfig(wait_min_samples=60 * MS, wait_first_samples=100 * MS, wait_max_samples=200 * MS)


def started(config: JitterConfig = PROMPT, packets: int = 20) -> tuple[JitterBuffer, list[Frame]]:
    """A buffer that is past the ordering of its first packets, with `packets` released."""
    buffer = JitterBuffer(config)
    frames = feed(buffer, (packet(number) for number in range(packets)))
    assert numbers(frames) == list(range(packets))
    return buffer, frames


def feed(buffer: JitterBuffer, packets: Iterable[RtpPacket]) -> list[Frame]:
    return [frame for one in packets for frame in buffer.feed(one)]


def numbers(frames: list[Frame]) -> list[int]:
    return [int.from_bytes(frame.packet.payload, "big") for frame in frames]


def assert_accounted(buffer: JitterBuffer) -> None:
    s = buffer.statistics
    assert s.received == s.released + buffer.held + s.late + s.duplicates + s.strays


def test_packets_in_order_are_released_at_once() -> None:
    buffer, _ = started()
    for number in range(20, 200):
        assert numbers(buffer.feed(packet(number))) == [number]
    assert (buffer.statistics.lost, buffer.held) == (0, 0)


def test_the_first_packets_are_put_in_order_too() -> None:
    buffer = JitterBuffer(PROMPT)
    frames = feed(buffer, (packet(n, at * MS) for n, at in [(2, 10), (0, 20), (1, 30), (3, 60)]))
    assert frames == []
    frames = buffer.feed(packet(4, 120 * MS))
    assert numbers(frames) == [0, 1, 2, 3, 4]
    assert not any(frame.lost_before or frame.is_restart for frame in frames)


def test_a_reordered_packet_is_put_in_its_place() -> None:
    buffer, _ = started()
    assert numbers(buffer.feed(packet(21))) == []
    assert numbers(buffer.feed(packet(20, 22 * PACKET))) == [20, 21]
    assert (buffer.statistics.reordered, buffer.statistics.lost) == (1, 0)


def test_after_the_wait_the_next_packet_has_the_number_of_lost_packets() -> None:
    buffer, _ = started()
    assert buffer.feed(packet(23, 1000 * MS)) == []
    assert buffer.feed(packet(24, 1050 * MS)) == []
    frames = buffer.feed(packet(25, 1100 * MS))
    assert numbers(frames) == [23, 24, 25]
    assert [frame.lost_before for frame in frames] == [3, 0, 0]
    assert buffer.statistics.lost == 3


def test_the_tick_ends_the_wait_when_no_packet_comes() -> None:
    buffer, _ = started()
    buffer.feed(packet(21, 1000 * MS))
    assert buffer.on_tick(1050 * MS) == []
    assert numbers(buffer.on_tick(1100 * MS)) == [21]


def test_each_missing_packet_has_a_separate_wait() -> None:
    buffer, _ = started()
    buffer.feed(packet(21, 1000 * MS))
    buffer.feed(packet(23, 1080 * MS))
    assert numbers(buffer.on_tick(1110 * MS)) == [21]
    assert numbers(buffer.on_tick(1180 * MS)) == [23]


def test_late_and_duplicate_packets_are_dropped_and_counted_separately() -> None:
    buffer, _ = started()
    buffer.feed(packet(21, 1000 * MS))
    buffer.on_tick(1100 * MS)
    assert buffer.feed(packet(20, 1110 * MS)) == []
    assert buffer.feed(packet(20, 1120 * MS)) == []
    assert buffer.feed(packet(21, 1120 * MS)) == []
    assert buffer.feed(packet(23, 1130 * MS)) == buffer.feed(packet(23, 1130 * MS)) == []
    assert (buffer.statistics.late, buffer.statistics.duplicates) == (1, 3)
    assert_accounted(buffer)


def test_the_wait_adapts_to_the_network_within_its_bounds() -> None:
    buffer, _ = started()
    assert buffer.wait_samples == PROMPT.wait_first_samples
    memory = PROMPT.memory_samples
    buffer.on_tick(3 * memory)
    assert buffer.wait_samples == PROMPT.wait_min_samples, "in order for a minute"
    at = 3 * memory + PACKET
    buffer.feed(packet(21, at))
    buffer.feed(packet(20, at + 80 * MS))
    assert buffer.wait_samples == 80 * MS * 5 // 4 + PROMPT.wait_margin_samples
    buffer.feed(packet(23, at + 100 * MS))
    buffer.on_tick(at + 500 * MS)
    buffer.feed(packet(22, at + 900 * MS))
    assert buffer.wait_samples == PROMPT.wait_max_samples, "late packets increase the wait too"


def test_the_sequence_number_may_wrap() -> None:
    buffer, frames = started(packets=20)
    for number in range(20, 300):
        frames += buffer.feed(packet(number))
    assert numbers(frames) == list(range(300))


def test_a_new_source_replaces_the_old_one_with_its_second_packet_and_loses_none() -> None:
    buffer, _ = started()
    frames = feed(buffer, [packet(20), packet(22, 430 * MS)])  # 21 is missing when the new source begins
    at = 440 * MS
    assert buffer.feed(packet(100, at, ssrc=2, first_sequence=7)) == []
    frames += buffer.feed(packet(101, at + PACKET, ssrc=2, first_sequence=7))
    assert numbers(frames) == [20, 22], "waiting packets of the old source come first"
    frames = buffer.feed(packet(102, at + 200 * MS, ssrc=2, first_sequence=7))
    assert numbers(frames) == [100, 101, 102]
    assert [frame.is_restart for frame in frames] == [True, False, False]
    assert buffer.statistics.restarts == 1


def test_late_packets_of_the_old_source_do_not_make_it_current_again() -> None:
    buffer, _ = started()
    at = 440 * MS
    feed(buffer, [packet(n, at + n * MS, ssrc=2) for n in range(3)])
    assert feed(buffer, [packet(n, at + 50 * MS) for n in (20, 21, 22)]) == []
    assert numbers(feed(buffer, [packet(n, at + n * PACKET, ssrc=2) for n in range(3, 20)])) == [*range(20)]
    assert (buffer.statistics.late, buffer.statistics.restarts) == (3, 1)


def test_a_single_packet_of_another_source_changes_nothing() -> None:
    buffer, _ = started()
    assert buffer.feed(packet(5, 400 * MS, ssrc=9)) == []
    assert numbers(buffer.feed(packet(20))) == [20]
    assert buffer.feed(packet(300, 450 * MS, ssrc=8)) == []
    assert numbers(buffer.feed(packet(21))) == [21]
    assert buffer.statistics.strays == 1
    assert buffer.flush() == []
    assert buffer.statistics.strays == 2
    assert_accounted(buffer)


def test_a_jump_of_the_sequence_number_is_followed() -> None:
    buffer, _ = started()
    at = 430 * MS
    frames = feed(buffer, [packet(30_000 + n, at + n * PACKET) for n in range(10)])
    assert numbers(frames) == [30_000 + n for n in range(len(frames))] and len(frames) > 4
    assert (frames[0].lost_before, frames[0].is_restart) == (1, False), (
        "RTP time shows whether packets were lost"
    )


def test_the_end_releases_waiting_packets() -> None:
    buffer, _ = started()
    feed(buffer, [packet(21), packet(24)])
    frames = buffer.flush()
    assert numbers(frames) == [21, 24]
    assert [frame.lost_before for frame in frames] == [1, 2]


def test_the_numbers_of_held_and_recorded_packets_are_bounded() -> None:
    config = JitterConfig(packets_max=50, remembered_packets=64)
    buffer, _ = started(config, packets=14)
    assert len(feed(buffer, (packet(n, 14 * PACKET) for n in range(20, 69)))) == 0
    assert len(buffer.feed(packet(69, 14 * PACKET))) == 50
    for step in range(1, 40):
        feed(buffer, [packet(69 + step * 1000, 14 * PACKET)])
        buffer.on_tick((20 + step * 50) * PACKET)
    assert buffer.remembered <= 64 and buffer.held <= 50


def test_jitter_is_measured_as_in_rfc_3550() -> None:
    even, _ = started()
    assert even.jitter_ms == 0
    buffer = JitterBuffer(PROMPT)
    rng = np.random.default_rng(2)
    feed(buffer, (packet(n, (n + 1) * PACKET + int(rng.integers(0, 40 * MS))) for n in range(500)))
    assert 8 < buffer.jitter_ms < 20  # the mean step of a uniform delay of 40 ms is 13 ms


networks = st.lists(
    st.tuples(
        st.integers(-30, 30),  # which packet, beside the one that is due
        st.integers(0, 60 * MS),  # later than the one before
        st.sampled_from([1, 1, 1, 1, 1, 1, 2]),  # SSRC
        st.sampled_from([0, 0, 0, 0, 5_000, 40_000]),  # a jump
    ),
    max_size=200,
)


@settings(max_examples=150, deadline=None)
@given(network=networks, ticks=st.lists(st.booleans(), min_size=200, max_size=200))
def test_for_any_input_the_order_holds_and_every_packet_is_counted(
    network: list[tuple[int, int, int, int]], ticks: list[bool]
) -> None:
    buffer, frames, at = JitterBuffer(PROMPT), [], 0
    offsets = {1: 100, 2: 9_000}
    for (near, later, ssrc, jump), tick in zip(network, ticks, strict=False):
        at += later
        offsets[ssrc] += 1 + jump
        frames.append(buffer.feed(packet(offsets[ssrc] + near, at, ssrc=ssrc)))
        if tick:
            frames.append(buffer.on_tick(at))
        assert buffer.held <= PROMPT.packets_max + 1
        assert_accounted(buffer)
    frames.append(buffer.flush())
    assert buffer.held == 0
    assert_accounted(buffer)
    flat = [frame for group in frames for frame in group]
    assert len(flat) == buffer.statistics.released
    streams: list[list[int]] = [[]]
    for frame in flat:
        number = int.from_bytes(frame.packet.payload, "big")
        if frame.is_restart or frame.lost_before and streams[-1] and abs(number - streams[-1][-1]) > 100:
            streams.append([])
        streams[-1].append(number)
    for stream in streams:
        assert all(a < b for a, b in zip(stream, stream[1:], strict=False)), stream


@settings(max_examples=100, deadline=None)
@given(
    delays=st.lists(st.integers(0, 95 * MS), min_size=5, max_size=300),
    lost=st.sets(st.integers(0, 300)),
    doubled=st.sets(st.integers(0, 300)),
)
def test_every_packet_within_the_wait_comes_out_once(
    delays: list[int], lost: set[int], doubled: set[int]
) -> None:
    """Delays up to the wait, in any order: nothing that arrived is lost, nothing comes twice."""
    config = JitterConfig(wait_min_samples=100 * MS, wait_first_samples=100 * MS)
    sent = [n for n in range(len(delays)) if n not in lost]
    arrivals = [packet(n, (n + 1) * PACKET + delays[n]) for n in sent]
    arrivals += [packet(n, (n + 1) * PACKET + delays[n] + 1) for n in sent if n in doubled]
    buffer = JitterBuffer(config)
    frames = feed(buffer, sorted(arrivals, key=lambda p: p.arrival_sample)) + buffer.flush()
    assert numbers(frames) == sent
    if sent:
        assert buffer.statistics.lost == sent[-1] + 1 - sent[0] - len(sent)
