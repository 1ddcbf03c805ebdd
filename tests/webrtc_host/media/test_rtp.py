"""A stream of packets becomes audio at its true time: repaired, concealed or exactly silent."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from host_stt.contract import Float32Array
from tests.support.rtp import (
    MS,
    PACKET,
    TICKS,
    assert_contiguous,
    hum_packets,
    joined_samples,
    packet,
    samples_of,
)
from webrtc_host.media.jitter import RtpPacket
from webrtc_host.media.libopus import has_repair
from webrtc_host.media.opus import Codec, OpusDecoder
from webrtc_host.media.rtp import RtpStream
from webrtc_host.media.timeline import PacketBlock
from webrtc_host.seams import Block, BlockKind

COUNT = 150
PAYLOADS = hum_packets(COUNT)
END = next(n for n in range(75, COUNT) if has_repair(PAYLOADS[n]))
"""The first packet after the holes below; it carries a copy of the one before it."""


def sent(numbers: Iterable[int], *, later: int = 0) -> list[RtpPacket]:
    return [packet(n, (n + 1) * PACKET + later, payload=PAYLOADS[n]) for n in numbers]


def decode(packets: Iterable[RtpPacket], stream: RtpStream | None = None) -> tuple[RtpStream, list[Block]]:
    stream = stream or RtpStream(Codec.OPUS)
    blocks: list[Block] = []
    for one in packets:
        blocks += stream.feed(one)
    blocks += stream.flush()
    assert_contiguous(blocks)
    return stream, blocks


def truth() -> Float32Array:
    decoder = OpusDecoder()
    return np.concatenate([decoder.decode(payload) for payload in PAYLOADS])


def test_a_complete_stream_is_decoded_completely_and_its_packets_are_passed_on() -> None:
    stream, blocks = decode(sent(range(COUNT)))
    np.testing.assert_array_equal(joined_samples(blocks), truth())
    packets = [block.packet for block in blocks if isinstance(block, PacketBlock)]
    assert [p.payload for p in packets if p is not None] == list(PAYLOADS)
    assert all(
        p is not None and p.start_sample == b.start_sample for p, b in zip(packets, blocks, strict=True)
    )


def test_one_lost_packet_is_restored_from_the_next_one() -> None:
    stream, blocks = decode(sent(n for n in range(COUNT) if n != END - 1))
    assert (stream.jitter.statistics.lost, stream.repairs.repaired) == (1, 1)
    assert samples_of(blocks, BlockKind.LOST) == stream.repairs.concealed_samples == 0
    hole = slice((END - 1) * PACKET, END * PACKET)
    assert np.corrcoef(joined_samples(blocks)[hole], truth()[hole])[0, 1] > 0.8


def test_up_to_100_ms_are_concealed_and_the_last_of_them_repaired() -> None:
    stream, blocks = decode(sent(n for n in range(COUNT) if not END - 5 <= n < END))
    assert stream.repairs.repaired == 1
    assert stream.repairs.concealed_samples == 4 * PACKET
    assert samples_of(blocks, BlockKind.LOST) == 0
    assert len(joined_samples(blocks)) == COUNT * PACKET


def test_longer_gaps_are_exact_silence_except_for_the_last_packet() -> None:
    stream, blocks = decode(sent(n for n in range(COUNT) if not END - 20 <= n < END))
    assert samples_of(blocks, BlockKind.LOST) == 19 * PACKET
    assert (stream.repairs.repaired, stream.repairs.concealed_samples) == (1, 0)
    assert not joined_samples(blocks)[(END - 20) * PACKET : (END - 1) * PACKET].any()
    heard = joined_samples(blocks)[(END + 10) * PACKET :]
    assert np.corrcoef(heard, truth()[(END + 10) * PACKET :])[0, 1] > 0.95


def test_discontinuous_transmission_is_not_counted_as_loss() -> None:
    """DTX: RTP time advances, and no sequence number is missing."""
    early, late = sent(range(70)), sent(range(90, COUNT))
    late = [dataclasses.replace(p, sequence=(p.sequence - 20) % 2**16) for p in late]
    stream, blocks = decode([*early, *late])
    assert samples_of(blocks, BlockKind.LOST) == 0
    assert stream.timeline.statistics.silent == 20 * PACKET
    assert len(joined_samples(blocks)) == COUNT * PACKET


def test_discontinuous_transmission_at_the_start_is_not_counted_as_loss() -> None:
    late = [dataclasses.replace(p, sequence=(p.sequence - 20) % 2**16) for p in sent(range(23, 60))]
    stream, blocks = decode([*sent(range(3)), *late])
    assert samples_of(blocks, BlockKind.LOST) == 0
    assert stream.timeline.statistics.silent == 20 * PACKET


def test_an_undecodable_packet_affects_no_other() -> None:
    packets = sent(range(COUNT))
    packets[END - 2] = dataclasses.replace(packets[END - 2], payload=b"\x7b\xff\xff")
    packets[END - 1] = dataclasses.replace(packets[END - 1], payload=bytes(3000))
    stream, blocks = decode(packets)
    assert stream.repairs.undecodable == 2
    assert stream.repairs.repaired == 1 and stream.repairs.concealed_samples == PACKET
    assert len(joined_samples(blocks)) == COUNT * PACKET


def test_undecodable_packets_alone_become_silence_after_100_ms() -> None:
    packets = sent(range(40))
    packets += [dataclasses.replace(p, payload=b"\x7b\xff\xff") for p in sent(range(40, COUNT - 1))]
    stream, blocks = decode([*packets, *sent([COUNT - 1])])
    assert stream.repairs.undecodable == COUNT - 41
    assert stream.repairs.concealed_samples == 5 * PACKET
    assert len(joined_samples(blocks)) == COUNT * PACKET


def test_packets_with_padding_alone_change_nothing() -> None:
    packets = sent(range(60))
    after = [dataclasses.replace(p, sequence=(p.sequence + 1) % 2**16) for p in sent(range(60, COUNT))]
    padding = packet(60, 60 * PACKET)
    stream, blocks = decode([*packets, dataclasses.replace(padding, payload=b""), *after])
    assert stream.repairs.undecodable == 0
    np.testing.assert_array_equal(joined_samples(blocks), truth())


def test_a_new_source_continues_after_the_old_one_with_a_new_decoder() -> None:
    first = sent(range(70))
    at = 70 * PACKET + 500 * MS
    second = [
        packet(n, at + (n + 1) * PACKET, payload=PAYLOADS[n], ssrc=2, first_timestamp=77) for n in range(70)
    ]
    stream, blocks = decode([*first, *second])
    assert stream.timeline.statistics.restarts == 1
    assert samples_of(blocks, BlockKind.LOST) == 500 * MS
    heard = joined_samples(blocks)
    np.testing.assert_array_equal(heard[-70 * PACKET :], truth()[: 70 * PACKET])


def test_an_outage_longer_than_half_a_minute_keeps_rtp_time() -> None:
    """A step of 40 s in RTP time and in server time is no restart, for any jitter of its first packet."""
    later = 2_000
    after = [
        packet(n + later, (n + later + 1) * PACKET + (150 * MS if n == 70 else 0), payload=PAYLOADS[n])
        for n in range(70, COUNT)
    ]
    stream, blocks = decode([*sent(range(70)), *after])
    assert stream.timeline.statistics.restarts == 0
    assert blocks[-1].end_sample - blocks[0].start_sample == (COUNT + later) * PACKET


def test_g711_uses_its_own_rtp_clock() -> None:
    stream = RtpStream(Codec.PCMU)
    blocks: list[Block] = []
    for n in range(50):
        blocks += stream.feed(RtpPacket(n, n * 160, 1, bytes(range(160)), (n + 1) * PACKET))
    blocks += stream.flush()
    assert_contiguous(blocks)
    assert len(joined_samples(blocks)) == 50 * PACKET
    assert not any(isinstance(block, PacketBlock) for block in blocks), (
        "only Opus packets are archived unchanged"
    )


@settings(max_examples=60, deadline=None)
@given(
    lost=st.sets(st.integers(0, COUNT - 1), max_size=60),
    delays=st.lists(st.integers(0, 110 * MS), min_size=COUNT, max_size=COUNT),
    doubled=st.sets(st.integers(0, COUNT - 1), max_size=20),
)
def test_every_packet_within_the_wait_is_decoded_at_its_time(
    lost: set[int], delays: list[int], doubled: set[int]
) -> None:
    arrived = [n for n in range(COUNT) if n not in lost]
    packets = [packet(n, (n + 1) * PACKET + delays[n], payload=PAYLOADS[n]) for n in arrived]
    packets += [p for p in packets if (p.timestamp // TICKS) % COUNT in doubled]
    stream, blocks = decode(sorted(packets, key=lambda p: p.arrival_sample))
    kept = [b.packet.payload for b in blocks if isinstance(b, PacketBlock) and b.packet is not None]
    assert kept == [PAYLOADS[n] for n in arrived]
    if arrived:
        assert blocks[-1].end_sample - blocks[0].start_sample == (arrived[-1] + 1 - arrived[0]) * PACKET
        start = blocks[0].start_sample - arrived[0] * PACKET
        for block in blocks:
            if isinstance(block, PacketBlock) and block.packet is not None:
                assert (block.start_sample - start) % PACKET == 0
                assert PAYLOADS[(block.start_sample - start) // PACKET] == block.packet.payload


noise = st.tuples(
    st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1), st.integers(1, 3), st.binary(max_size=60)
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(noise, st.integers(0, COUNT - 1)), max_size=80))
def test_for_any_input_blocks_do_not_overlap_or_run_ahead(
    things: list[tuple[int, int, int, bytes] | int],
) -> None:
    stream, blocks, now = RtpStream(Codec.OPUS), [], 0
    for thing in things:
        now += PACKET
        if isinstance(thing, int):
            one = packet(thing, now, payload=PAYLOADS[thing])
        else:
            one = RtpPacket(*thing, arrival_sample=now)
        blocks += stream.feed(one)
        blocks += stream.on_tick(now)
    blocks += stream.flush()
    assert_contiguous(blocks)
    if blocks:
        assert blocks[-1].end_sample <= now + 40 * 16_000
