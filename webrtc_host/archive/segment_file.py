"""One file of the archive while it is being written: an Ogg Opus file with a part of one channel's audio.

`writer.py` decides which packets go to which file, and calls these methods in its threads: they block.
Invariant: a file has whole pages only; what an error left behind is cut off before the next page.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from host_stt.contract import SAMPLE_RATE
from webrtc_host.archive import ogg
from webrtc_host.seams import OpusPacket

GAP_SAMPLES_MAX = 5 * SAMPLE_RATE
"""A longer gap begins a new file. A file without new packets is closed after the same time."""
SLACK_SAMPLES = 16
"""Packets whose positions differ from each other's end by less than this (1 ms) count as contiguous."""
PART, DONE, CORRUPT = ".part", ".opus", ".corrupt"
TICKS = ogg.MEDIA_RATE // SAMPLE_RATE


@dataclass(frozen=True, slots=True, order=True)
class ChannelKey:
    """The session and channel that audio belongs to."""

    session: str
    channel: str


class SegmentFile:
    """One file that is being written. The methods block."""

    def __init__(self, folder: Path, key: ChannelKey, start_sample: int, serial: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.stem = _free_stem(folder, start_sample)
        self.folder = folder
        self.start_sample = self.end_sample = start_sample
        self.size = self.synced_size = 0
        self._serial = serial
        self._sequence = 0
        self._is_listed = False  # the folder entries that lead to the file are synced
        self._fd = os.open(folder / (self.stem + PART), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        try:
            self._append(_head(key, start_sample, serial))
        except OSError:
            os.close(self._fd)
            os.unlink(folder / (self.stem + PART))
            raise
        self._sequence = 2

    def takes(self, packet: OpusPacket, samples_max: int) -> bool:
        """True when the packet follows the newest one after a short gap, and the file is not full."""
        gap = packet.start_sample - self.end_sample
        return (
            -SLACK_SAMPLES <= gap <= GAP_SAMPLES_MAX
            and packet.end_sample - self.start_sample <= samples_max + SLACK_SAMPLES
        )

    def write(self, packets: Sequence[OpusPacket]) -> None:
        """Append all packets, or none. A gap begins a new page: then the time of each page is exact."""
        if not packets:
            return
        pages = list(_pages(packets, self.start_sample, self._serial, self._sequence))
        self._append(b"".join(pages))
        self._sequence, self.end_sample = self._sequence + len(pages), packets[-1].end_sample

    def sync(self) -> None:
        """Sync the file, and at the first time the folders above it: a file without its name is lost too."""
        size = self.size
        os.fsync(self._fd)
        if not self._is_listed:
            for folder in (self.folder, self.folder.parent, self.folder.parent.parent):
                _sync_folder(folder)
            self._is_listed = True
        self.synced_size = size

    def finish(self) -> None:
        """Sync and close the file, and rename it from `.part` to its final name."""
        try:
            self.sync()
        finally:
            os.close(self._fd)
        os.rename(self.folder / (self.stem + PART), self.folder / (self.stem + DONE))

    def abandon(self) -> None:
        """Close it as it is; the next start of the server checks and repairs it."""
        os.close(self._fd)

    def _append(self, data: bytes) -> None:
        # `write` may take only a part of the data. After an error the part is cut off again, so that the
        # next page begins at a page boundary.
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            os.ftruncate(self._fd, self.size)
            os.lseek(self._fd, self.size, os.SEEK_SET)
            raise
        self.size += len(data)


def whole_file(key: ChannelKey, start_sample: int, serial: int, packets: Sequence[OpusPacket]) -> bytes:
    """A file with these packets, as `SegmentFile` writes it. start_sample: the one in the file's name."""
    return b"".join((_head(key, start_sample, serial), *_pages(packets, start_sample, serial, 2)))


def _head(key: ChannelKey, start_sample: int, serial: int) -> bytes:
    comments = {"TITLE": key.channel, "SESSION": key.session, "START_SAMPLE": str(start_sample)}
    return b"".join(
        (
            ogg.page([ogg.opus_head()], 0, serial, 0, ogg.FIRST_PAGE),
            ogg.page([ogg.opus_tags(comments)], 0, serial, 1),
        )
    )


def _pages(packets: Sequence[OpusPacket], start_sample: int, serial: int, sequence: int) -> Iterator[bytes]:
    """The pages of the packets. sequence: number of the first one. The granule is the end of a page."""
    for number, run in enumerate(_runs(packets), sequence):
        granule = max(0, run[-1].end_sample - start_sample) * TICKS
        yield ogg.page([packet.payload for packet in run], granule, serial, number)


def _free_stem(folder: Path, start_sample: int) -> str:
    stem = f"{start_sample:014d}"
    for number in range(1, 1000):
        name = stem if number == 1 else f"{stem}-{number}"
        if not any((folder / (name + suffix)).exists() for suffix in (PART, DONE)):
            return name
    raise OSError(errno.EEXIST, "a thousand files begin at this sample", str(folder / stem))


def _runs(packets: Sequence[OpusPacket]) -> Iterator[list[OpusPacket]]:
    """The packets in groups that are contiguous and fit into one page."""
    run: list[OpusPacket] = []
    segments = 0
    for packet in packets:
        needed = ogg.segments_of(packet.payload)
        is_apart = run and abs(packet.start_sample - run[-1].end_sample) > SLACK_SAMPLES
        if run and (is_apart or segments + needed > ogg.SEGMENTS_MAX):
            yield run
            run, segments = [], 0
        run.append(packet)
        segments += needed
    if run:
        yield run


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
