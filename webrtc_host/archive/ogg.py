"""Ogg: packs Opus packets into pages with their times, and reads them back (RFC 3533, RFC 7845).

Pure: the bytes of a page, the two header packets, and the search for whole pages in a damaged file. Packets
are not changed, and no packet spans two pages. Granule positions are samples at 48 kHz, whatever the sample
rate of the audio. Invariant: every page that `read` returns has a correct checksum.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MEDIA_RATE = 48_000
CAPTURE = b"OggS"
FIRST_PAGE, LAST_PAGE, CONTINUED = 0x02, 0x04, 0x01
SEGMENTS_MAX = 255
PACKET_BYTES_MAX = 255 * 254
"""The longest packet that fits one page; the longest one of RFC 6716 has 61,440 bytes."""
PACKET_SAMPLES_MAX = MEDIA_RATE * 120 // 1000
SILENCE_20_MS = b"\xf8\xff\xfe"
"""A CELT frame with its silence flag: every decoder returns digital silence."""
_SILENCES = ((960, SILENCE_20_MS), (480, b"\xf0\xff\xfe"), (240, b"\xe8\xff\xfe"), (120, b"\xe0\xff\xfe"))
_HEAD = struct.Struct("<4sBBqIIIB")
_REVERSED = bytes(int(f"{n:08b}"[::-1], 2) for n in range(256))
_SILK_SAMPLES = (480, 960, 1920, 2880)
_CELT_SAMPLES = (120, 240, 480, 960)


@dataclass(frozen=True, slots=True)
class Page:
    """offset, size: position of its bytes in the data. granule: samples at the end of its last packet."""

    offset: int
    size: int
    flags: int
    granule: int
    serial: int
    sequence: int
    packets: tuple[bytes, ...]

    @property
    def end(self) -> int:
        return self.offset + self.size


def checksum(page: bytes) -> int:
    """Ogg's CRC-32, most significant bit first: the result of zlib, with the bits of every byte reversed."""
    raw = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(raw.to_bytes(4, "little").translate(_REVERSED), "big")


def page(packets: Sequence[bytes], granule: int, serial: int, sequence: int, flags: int = 0) -> bytes:
    """One page. Raises ValueError when the packets need more than 255 segments (`segments_of`)."""
    lacing = b"".join(b"\xff" * (len(packet) // 255) + bytes((len(packet) % 255,)) for packet in packets)
    if len(lacing) > SEGMENTS_MAX:
        raise ValueError(f"{len(packets)} packets need {len(lacing)} segments; a page holds {SEGMENTS_MAX}")
    head = _HEAD.pack(CAPTURE, 0, flags, granule, serial, sequence, 0, len(lacing))
    whole = b"".join((head, lacing, *packets))
    return b"".join((whole[:22], checksum(whole).to_bytes(4, "little"), whole[26:]))


def segments_of(packet: bytes) -> int:
    return len(packet) // 255 + 1


def read(data: bytes) -> Iterator[Page]:
    """Every whole page with a correct checksum, in order; other bytes are skipped."""
    at = data.find(CAPTURE)
    while at >= 0:
        found = _page_at(data, at)
        if found is not None:
            yield found
        at = data.find(CAPTURE, found.end if found else at + 1)


def _page_at(data: bytes, at: int) -> Page | None:
    if at + _HEAD.size > len(data):
        return None
    _, version, flags, granule, serial, sequence, crc, count = _HEAD.unpack_from(data, at)
    body = at + _HEAD.size + count
    end = body + sum(data[at + _HEAD.size : body])
    if version or flags & CONTINUED or end > len(data):
        return None
    whole = data[at:end]
    if checksum(b"".join((whole[:22], bytes(4), whole[26:]))) != crc:
        return None
    packets = _packets(data, data[at + _HEAD.size : body], body)
    return Page(at, end - at, flags, granule, serial, sequence, packets)


def _packets(data: bytes, lacing: bytes, at: int) -> tuple[bytes, ...]:
    packets: list[bytes] = []
    begin = at
    for length in lacing:
        at += length
        if length < 255:
            packets.append(data[begin:at])
            begin = at
    return tuple(packets)


def opus_head(pre_skip: int = 0, channels: int = 2) -> bytes:
    """The first packet of a file. pre_skip: samples at 48 kHz that a player decodes and does not play.

    channels: 1 or 2: the number that a player decodes to, whatever the packets hold. A stereo packet that is
    decoded to one channel becomes the mean of its sides, which can be silence. So use 2, unless every packet
    is known to be mono.
    """
    return struct.pack("<8sBBHIhB", b"OpusHead", 1, channels, pre_skip, MEDIA_RATE, 0, 0)


def is_stereo(packet: bytes) -> bool:
    """True when an Opus packet holds two channels (RFC 6716, 3.1)."""
    return bool(packet) and bool(packet[0] & 0x04)


def opus_tags(comments: dict[str, str]) -> bytes:
    parts = [b"OpusTags", _counted(b"host-stt"), struct.pack("<I", len(comments))]
    return b"".join((*parts, *(_counted(f"{name}={value}".encode()) for name, value in comments.items())))


def _counted(text: bytes) -> bytes:
    return struct.pack("<I", len(text)) + text


def samples_of(packet: bytes) -> int:
    """Length of an Opus packet in samples at 48 kHz, from its first bytes; 0 for other data (RFC 6716, 3)."""
    if not packet or len(packet) > PACKET_BYTES_MAX:
        return 0
    config, code = packet[0] >> 3, packet[0] & 3
    if config < 12:
        each = _SILK_SAMPLES[config & 3]
    elif config < 16:
        each = _CELT_SAMPLES[2 + (config & 1)]  # hybrid: 10 or 20 ms
    else:
        each = _CELT_SAMPLES[config & 3]
    if code < 3:
        frames = 1 if code == 0 else 2
    else:
        frames = packet[1] & 0x3F if len(packet) > 1 else 0
    samples = each * frames
    return samples if samples <= PACKET_SAMPLES_MAX else 0


def silence(samples: int) -> list[bytes]:
    """Packets of silence, together at most `samples` at 48 kHz; less than 2.5 ms may be missing."""
    packets: list[bytes] = []
    for length, packet in _SILENCES:
        count, samples = divmod(samples, length)
        packets += [packet] * count
    return packets
