"""Makes one Ogg Opus file of a range of archived packets, exact to the sample, with silence in the gaps.

Pure. The packets are used as they were received; nothing is encoded. Invariant: sample p of the decoded file
is sample from_sample + p of the channel; after a gap the error is at most 2.5 ms (Opus has no shorter
silence).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from host_stt.contract import SAMPLE_RATE
from webrtc_host.archive import ogg
from webrtc_host.seams import SAMPLES_PER_MS, OpusPacket

ROLL_SAMPLES = 80 * SAMPLES_PER_MS
"""Decoded before the range and not played: a decoder needs this time to converge (RFC 7845, 4.6)."""
TICKS = ogg.MEDIA_RATE // SAMPLE_RATE
STEP_SAMPLES = 40
"""2.5 ms, the shortest packet."""
PAGE_PACKETS = 50
SERIAL = 1


def ogg_file(
    packets: Sequence[OpusPacket], from_sample: int, to_sample: int, comments: dict[str, str] | None = None
) -> bytes:
    """packets: in order, starting ROLL_SAMPLES before the range where audio exists."""
    roll_sample = max(0, from_sample - ROLL_SAMPLES)
    inside = [p for p in packets if p.end_sample > roll_sample and p.start_sample < to_sample]
    begin = _begin(inside[0].start_sample, roll_sample) if inside else roll_sample
    row = list(_row(inside, begin, to_sample))
    pre_skip = (from_sample - begin) * TICKS
    channels = 2 if any(ogg.is_stereo(packet.payload) for packet in inside) else 1
    pages = [
        ogg.page([ogg.opus_head(pre_skip, channels)], 0, SERIAL, 0, ogg.FIRST_PAGE),
        ogg.page([ogg.opus_tags(comments or {})], 0, SERIAL, 1),
    ]
    end = (to_sample - begin) * TICKS
    return b"".join((*pages, *_pages(row, end)))


def _begin(first_sample: int, roll_sample: int) -> int:
    """The start of the file, at or before `roll_sample`: whole silence packets lead to the first packet."""
    steps = max(0, -(-(first_sample - roll_sample) // STEP_SAMPLES))
    return first_sample - steps * STEP_SAMPLES


def _row(packets: Sequence[OpusPacket], begin: int, to_sample: int) -> Iterator[bytes]:
    """The payloads in order, with gaps filled.

    A packet that overlaps the one before by half of itself or more is a duplicate and is left out.
    """
    at = begin * TICKS
    for packet in packets:
        start = packet.start_sample * TICKS
        if start <= at - packet.samples * TICKS // 2:
            continue
        for payload in ogg.silence(start - at):
            at += ogg.samples_of(payload)
            yield payload
        at += ogg.samples_of(packet.payload)
        yield packet.payload
    for payload in ogg.silence(to_sample * TICKS - at + 119):  # rounded up: it must reach the end
        at += ogg.samples_of(payload)
        yield payload


def _pages(row: Sequence[bytes], end: int) -> Iterator[bytes]:
    """The pages of the file. end: granule of the last page, where a player stops."""
    granule, sequence, held, segments = 0, 2, list[bytes](), 0
    for payload in row:
        needed = ogg.segments_of(payload)
        if held and (len(held) == PAGE_PACKETS or segments + needed > ogg.SEGMENTS_MAX):
            yield ogg.page(held, min(granule, end), SERIAL, sequence)
            sequence, held, segments = sequence + 1, [], 0
        held.append(payload)
        segments += needed
        granule += ogg.samples_of(payload)
    yield ogg.page(held, min(granule, end), SERIAL, sequence, ogg.LAST_PAGE)
