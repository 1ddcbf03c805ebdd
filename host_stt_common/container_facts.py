"""Read from a container's structure whether the file is cut off, and how long it should be.

Pure: bytes in, facts out; decodes nothing. Reads only the sizes of chunks, boxes, elements and pages of WAV,
RF64, AVI, AIFF, AU, CAF, MP4, Matroska, WebM, Ogg, ASF and MPEG-TS, and the Xing header of MP3.
Invariant: a streamed file, whose writer could not know the sizes, is not reported as cut off.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable
from dataclasses import dataclass

Data = bytes | mmap.mmap

STREAMED_SIZE_MIN = 0x7FFF0000
"""Sizes from here on are place holders: 0x7FFFFFFF, 0x7FFFF000 (SoX), 0xFFFFFFFF, or these minus a header."""
SLACK_BYTES = 64
"""Writers that add their header to a size are wrong by 44 bytes; such a difference is not a cut."""
ELEMENTS_MAX = 1_000_000
"""Elements that are read in one file: about a second of work, 16 h of live WebM in blocks of 60 ms. A file
with more gives no facts, because a gigabyte of empty elements would keep the processor busy for minutes.
"""
_OGG_PAGE_MAX = 27 + 255 + 255 * 255


@dataclass(frozen=True, slots=True)
class ContainerFacts:
    """What the structure says. A demuxer alone cannot find it out."""

    is_cut: bool = False  # the structure promises more bytes than the file has
    has_length: bool = False  # the header contains the length of the recording
    announced_s: float | None = None  # that length, where a demuxer would report only the length of the rest
    lacks_index: bool = False  # of MP4: without it nothing can be read; writers add it at the end


def facts_of(data: Data) -> ContainerFacts:
    """The facts of a file; for an unknown container all facts are unknown."""
    for is_kind, read in _READERS:
        if is_kind(data[:16]):
            return read(data)
    return ContainerFacts()


def _size_is_cut(end: int, data: Data) -> bool:
    return end > len(data) + SLACK_BYTES


_UNCOMPRESSED = (1, 3, 6, 7, 0xFFFE)
"""WAVE format tags: PCM, float, A-law, µ-law, extensible."""


# --- RIFF: WAV, RF64, AVI -------------------------------------------------------------------------------


def _riff(data: Data) -> ContainerFacts:
    if data[8:12] != b"WAVE":
        size = int.from_bytes(data[4:8], "little")
        return ContainerFacts(0 < size < STREAMED_SIZE_MIN and _size_is_cut(8 + size, data))
    long_size, bytes_per_s = None, 0  # set for sizes over 4 GiB; set for formats without compression
    at = 12
    for _ in range(ELEMENTS_MAX):
        if at + 8 > len(data):
            break
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        body = at + 8
        if name == b"ds64" and size >= 16:
            long_size = int.from_bytes(data[body + 8 : body + 16], "little")
        elif name == b"fmt " and size >= 16:
            form = data[body : body + 14].ljust(14, b"\0")
            tag, _, rate, _, block_bytes = struct.unpack("<HHIIH", form)
            bytes_per_s = rate * block_bytes if tag in _UNCOMPRESSED else 0
        elif name == b"data":
            return _wav_facts(data, body, size if long_size is None else long_size, bytes_per_s)
        at = body + size + size % 2
    size = int.from_bytes(data[4:8], "little")
    return ContainerFacts(0 < size < STREAMED_SIZE_MIN and _size_is_cut(8 + size, data))


def _wav_facts(data: Data, body: int, size: int, bytes_per_s: int) -> ContainerFacts:
    if size == 0 or STREAMED_SIZE_MIN <= size < 1 << 32 or size >= 1 << 62:
        return ContainerFacts()
    return ContainerFacts(_size_is_cut(body + size, data), True, size / bytes_per_s if bytes_per_s else None)


# --- other containers of sized chunks -------------------------------------------------------------------


def _aiff(data: Data) -> ContainerFacts:
    size = int.from_bytes(data[4:8], "big")
    return ContainerFacts(0 < size < STREAMED_SIZE_MIN and _size_is_cut(8 + size, data), has_length=True)


def _au(data: Data) -> ContainerFacts:
    offset, size = struct.unpack(">II", data[4:12].ljust(8, b"\0"))
    is_known = 0 < size < STREAMED_SIZE_MIN
    return ContainerFacts(is_known and _size_is_cut(offset + size, data), is_known)


def _caf(data: Data) -> ContainerFacts:
    at = 8
    for _ in range(ELEMENTS_MAX):
        if at + 12 > len(data):
            return ContainerFacts(has_length=True)
        size = int.from_bytes(data[at + 4 : at + 12], "big", signed=True)
        if size < 0:  # to the end of the file
            return ContainerFacts()
        at += 12 + size
        if _size_is_cut(at, data):
            return ContainerFacts(True)
    return ContainerFacts()


def _asf(data: Data) -> ContainerFacts:
    at = 0
    for _ in range(ELEMENTS_MAX):
        if at + 24 > len(data):
            return ContainerFacts(has_length=True)
        size = int.from_bytes(data[at + 16 : at + 24], "little")
        if size < 24:  # a broadcast has no size
            return ContainerFacts()
        at += size
        if _size_is_cut(at, data):
            return ContainerFacts(True)
    return ContainerFacts()


def _boxes(data: Data) -> ContainerFacts:
    """ISO base media: MP4, M4A, MOV, 3GP."""
    at, is_fragmented, has_index = 0, False, False
    for _ in range(ELEMENTS_MAX):
        if at + 8 > len(data):
            break
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if not all(0x20 <= letter < 0x7F for letter in kind):
            break  # padding
        is_fragmented = is_fragmented or kind in (b"moof", b"styp")
        has_index = has_index or kind == b"moov"
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if size < 8:  # 0: to the end of the file
            break
        at += size
    lacks_index = not has_index and not is_fragmented
    return ContainerFacts(at > len(data), has_length=not is_fragmented, lacks_index=lacks_index)


def _ebml(data: Data) -> ContainerFacts:
    """Matroska and WebM: walk the elements; enter those of unknown size."""
    at = 0
    for _ in range(ELEMENTS_MAX):
        if at >= len(data):
            break
        id_bytes = _leading_zeros(data[at]) + 1
        if id_bytes > 4:
            break  # padding
        if at + id_bytes >= len(data):
            return ContainerFacts(True, has_length=True)
        size_bytes = _leading_zeros(data[at + id_bytes]) + 1
        body = at + id_bytes + size_bytes
        if size_bytes > 8:
            break
        unknown = (1 << 7 * size_bytes) - 1
        size = int.from_bytes(data[at + id_bytes : body], "big") & unknown
        at = body if size == unknown else body + size
    return ContainerFacts(at > len(data), has_length=True)


def _leading_zeros(byte: int) -> int:
    return 8 - byte.bit_length()


# --- streams of pages and packets -----------------------------------------------------------------------


def _ogg(data: Data) -> ContainerFacts:
    """Cut off if the last page is not complete."""
    at = data.rfind(b"OggS", max(0, len(data) - _OGG_PAGE_MAX))
    if at < 0:
        return ContainerFacts(True)
    segments_end = at + 27 + (data[at + 26] if at + 26 < len(data) else 0)
    end = segments_end + sum(data[at + 27 : segments_end])
    return ContainerFacts(at + 27 > len(data) or end > len(data))


def _mpegts(data: Data) -> ContainerFacts:
    return ContainerFacts(len(data) % 188 != 0)


def _is_mpegts(head: bytes) -> bool:
    return head[:1] == b"\x47"


# --- MP3 ------------------------------------------------------------------------------------------------

_MP3_RATES = (44_100, 48_000, 32_000)
_MP3_KBITS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0)
_MP3_KBITS_LOW = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0)


def mp3_frame_bytes(frame: bytes) -> int:
    """Size of the frame by its header; 0 if it does not begin with a header of layer III."""
    if len(frame) < 4 or frame[0] != 0xFF or frame[1] & 0xE6 != 0xE2 or frame[2] & 0x0C == 0x0C:
        return 0
    version = frame[1] >> 3 & 3  # 3: MPEG-1, 2: MPEG-2, 0: MPEG-2.5
    kbits = (_MP3_KBITS if version == 3 else _MP3_KBITS_LOW)[frame[2] >> 4]
    rate = _MP3_RATES[frame[2] >> 2 & 3] // {3: 1, 2: 2}.get(version, 4)
    return (144_000 if version == 3 else 72_000) * kbits // rate + (frame[2] >> 1 & 1)


def _mp3(data: Data) -> ContainerFacts:
    """From a Xing or Info header, which counts frames and bytes; no facts without one."""
    at = 0
    if data[:3] == b"ID3":
        a, b, c, d = data[6:10].ljust(4, b"\0")
        at = 10 + (a << 21 | b << 14 | c << 7 | d)
    for sync in range(at, min(at + 4096, len(data) - 4)):
        if data[sync] == 0xFF and data[sync + 1] & 0xE6 == 0xE2 and data[sync + 2] & 0x0C != 0x0C:
            return _xing(data, sync)
    return ContainerFacts()


def _xing(data: Data, frame: int) -> ContainerFacts:
    version = data[frame + 1] >> 3 & 3  # 3: MPEG-1, 2: MPEG-2, 0: MPEG-2.5
    is_mono = data[frame + 3] >> 6 == 3
    side_bytes = (17 if is_mono else 32) if version == 3 else (9 if is_mono else 17)
    at = frame + 4 + side_bytes
    if data[at : at + 4] not in (b"Xing", b"Info"):
        return ContainerFacts()
    flags = int.from_bytes(data[at + 4 : at + 8], "big")
    has_frames, has_bytes = flags & 1, flags & 2
    at += 12 if has_frames else 8
    counted = int.from_bytes(data[at : at + 4], "big") if has_bytes else 0
    return ContainerFacts(_size_is_cut(frame + counted, data), bool(has_frames))


_Reader = tuple[Callable[[bytes], bool], Callable[[Data], ContainerFacts]]
_READERS: tuple[_Reader, ...] = (
    (lambda head: head[:4] in (b"RIFF", b"RF64", b"BW64"), _riff),
    (lambda head: head[:4] == b"FORM", _aiff),
    (lambda head: head[:4] == b".snd", _au),
    (lambda head: head[:4] == b"caff", _caf),
    (lambda head: head[:4] == b"\x30\x26\xb2\x75", _asf),
    (lambda head: head[4:8] in (b"ftyp", b"styp", b"moov", b"mdat", b"free", b"skip", b"wide"), _boxes),
    (lambda head: head[:4] == b"\x1a\x45\xdf\xa3", _ebml),
    (lambda head: head[:4] == b"OggS", _ogg),
    (_is_mpegts, _mpegts),
    (lambda head: head[:3] == b"ID3" or (head[:1] == b"\xff" and head[1:2] >= b"\xe0"), _mp3),
)
