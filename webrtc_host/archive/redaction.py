"""Removes the audio of a range from files of the archive, and keeps late audio of such ranges out of it.

A file is rewritten without the packets of the range, and replaces the old file when it is on disk. The time
of the other packets does not change: readers find a gap, as where audio was lost. The functions block.
Invariant: at any moment, also after a crash, a file is the old one or the new one as a whole.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from webrtc_host.archive.files import ArchiveFile, packets_of, path_of
from webrtc_host.archive.segment_file import CORRUPT, ChannelKey, whole_file
from webrtc_host.seams import OpusPacket

logger = logging.getLogger(__name__)

REWRITING = ".rewriting"
"""Ending of a new file until it replaces the old one. It never has audio of the range."""
RANGES_MAX = 1000
"""Ranges of one channel that are remembered; late audio of the oldest one may be archived again."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is left of a file. bytes: its new size; 0: nothing is left, and the file was deleted."""

    bytes: int
    removed_samples: int


class RedactedRanges:
    """The ranges that were redacted since the start of the server. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ranges: dict[ChannelKey, list[tuple[int, int]]] = {}

    def add(self, key: ChannelKey, from_sample: int, to_sample: int) -> None:
        with self._lock:
            ranges = self._ranges.setdefault(key, [])
            ranges.append((from_sample, to_sample))
            del ranges[:-RANGES_MAX]

    def forget(self, session: str) -> None:
        """The session was removed."""
        with self._lock:
            self._ranges = {key: one for key, one in self._ranges.items() if key.session != session}

    def outside(self, key: ChannelKey, packets: Sequence[OpusPacket]) -> Sequence[OpusPacket]:
        """The packets that touch no redacted range."""
        with self._lock:
            ranges = tuple(self._ranges.get(key, ()))
        if not ranges:
            return packets
        return [packet for packet in packets if not any(_touches(packet, *one) for one in ranges)]


def without_range(folder: Path, file: ArchiveFile, from_sample: int, to_sample: int) -> Kept:
    """Rewrite a finished file without the packets that touch the range. Raises OSError."""
    packets = packets_of(folder, file)
    kept = [packet for packet in packets if not _touches(packet, from_sample, to_sample)]
    removed = sum(packet.samples for packet in packets) - sum(packet.samples for packet in kept)
    path = path_of(folder, file)
    if not removed:
        return Kept(file.bytes, 0)
    if not kept:
        path.unlink(missing_ok=True)
        _sync_folder(path.parent)
        return Kept(0, removed)
    serial = int.from_bytes(os.urandom(3), "big")
    data = whole_file(file.key, file.start_sample, serial, kept)
    new = path.with_suffix(REWRITING)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640), "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    os.replace(new, path)
    _sync_folder(path.parent)
    return Kept(len(data), removed)


def damaged_in(folder: Path, key: ChannelKey) -> list[str]:
    """Damaged files of a channel that were put aside."""
    place = folder / key.session / key.channel
    if not place.is_dir():
        return []
    return sorted(
        f"{key.session}/{key.channel}/{one.name}" for one in place.iterdir() if one.suffix == CORRUPT
    )


def _touches(packet: OpusPacket, from_sample: int, to_sample: int) -> bool:
    return packet.start_sample < to_sample and packet.end_sample > from_sample


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
