"""Archived audio as files: lists them, reads them, and repairs what a crash left.

The name of a file is its first sample, and each page has its own time, so no other index is needed. All
functions block; use a thread. Invariant: a damaged file raises no error here. It is repaired, or renamed with
the ending `.corrupt`, and the log names it.
"""

from __future__ import annotations

import logging
import os
from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from webrtc_host.archive import ogg
from webrtc_host.archive.segment_file import CORRUPT, DONE, PART, TICKS, ChannelKey
from webrtc_host.seams import OpusPacket

logger = logging.getLogger(__name__)

HEAD_BYTES_MAX = 1024
"""Both header pages together have about 200 bytes."""
TAIL_BYTES = 128 * 1024
"""Twice the largest page: it contains the last whole page, even with an incomplete one behind it."""
SUFFIXES = (DONE, PART, DONE)
"""The endings to try, in this order: the writer may rename a file from `.part` to `.opus` at any moment."""


@dataclass(frozen=True, slots=True, order=True)
class ArchiveFile:
    """One file of a channel. modified_s: time of the last write, seconds since 1970."""

    start_sample: int
    stem: str
    key: ChannelKey
    bytes: int = 0
    modified_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Contents:
    """The whole pages of a file.

    is_whole: the file has nothing else. end: offset behind the last whole page.
    """

    pages: tuple[ogg.Page, ...]
    end: int
    is_whole: bool
    has_head: bool
    has_holes: bool  # there are unreadable bytes before a readable page


def inspect(data: bytes) -> Contents:
    pages = tuple(ogg.read(data))
    end = pages[-1].end if pages else 0
    has_holes = sum(page.size for page in pages) != end
    has_head = bool(pages) and pages[0].packets[:1] != () and pages[0].packets[0].startswith(b"OpusHead")
    return Contents(pages, end, end == len(data) and not has_holes, has_head, has_holes)


def packets_in(contents: Contents, start_sample: int) -> Iterator[OpusPacket]:
    """The packets with their positions. The granule of a page is the end of its last packet."""
    for page in contents.pages:
        if page.flags & ogg.FIRST_PAGE or page.packets[:1] and page.packets[0].startswith(b"OpusTags"):
            continue
        lengths = [ogg.samples_of(packet) // TICKS for packet in page.packets]
        at = max(0, start_sample + page.granule // TICKS - sum(lengths))
        for packet, length in zip(page.packets, lengths, strict=True):
            yield OpusPacket(at, length, packet)
            at += length


def packets_of(folder: Path, file: ArchiveFile) -> list[OpusPacket]:
    """The packets of a file. When the file has lost its header, it is renamed, and the result is empty."""
    for suffix in SUFFIXES:
        path = path_of(folder, file, suffix)
        try:
            contents = inspect(path.read_bytes())
        except FileNotFoundError:
            continue
        except OSError as error:
            logger.warning("the audio file %s cannot be read: %s", path, error)
            return []
        if not contents.has_head and suffix == DONE:
            rename_corrupt(path)
            return []
        if contents.has_holes:
            logger.warning("the audio file %s is damaged; its undamaged pages are used", path)
        return list(packets_in(contents, file.start_sample))
    return []


def end_of(folder: Path, file: ArchiveFile) -> int:
    """The end of the newest packet, read from the end of the file; its first sample without any packet."""
    for suffix in SUFFIXES:
        try:
            with path_of(folder, file, suffix).open("rb") as data:
                data.seek(max(0, data.seek(0, os.SEEK_END) - TAIL_BYTES))
                pages = list(ogg.read(data.read()))
        except FileNotFoundError:
            continue
        except OSError as error:
            logger.warning("the audio file %s of %s cannot be read: %s", file.stem, file.key, error)
            break
        if pages:
            return file.start_sample + max(page.granule for page in pages) // TICKS
        break  # no page in the tail: read the whole file
    return max((packet.end_sample for packet in packets_of(folder, file)), default=file.start_sample)


def path_of(folder: Path, file: ArchiveFile, suffix: str = DONE) -> Path:
    return folder / file.key.session / file.key.channel / (file.stem + suffix)


def rename_corrupt(path: Path) -> None:
    """Rename a damaged file, so that the server does not read it again and a person can examine it."""
    aside = path.with_name(path.name + CORRUPT)
    try:
        os.replace(path, aside)
        logger.error("the audio file %s is damaged and was renamed to %s", path, aside.name)
    except OSError as error:
        logger.error("the audio file %s is damaged and could not be renamed: %s", path, error)


def repair(path: Path) -> bool:
    """Finish a file that a crash left unfinished. False: it had no packets, or it was renamed as damaged."""
    try:
        data = path.read_bytes()
        contents = inspect(data)
        if not any(True for _ in packets_in(contents, 0)):
            return _remove_empty(path, data)
        done = path.with_suffix(DONE)
        if contents.has_holes or not contents.has_head:
            _save_undamaged(path, done, data, contents)
            return True
        if not contents.is_whole:
            os.truncate(path, contents.end)
            cut = len(data) - contents.end
            logger.info("the incomplete end of the audio file %s was cut off (%d bytes)", path, cut)
        os.rename(path, done)
        return True
    except OSError as error:
        logger.error("the audio file %s cannot be repaired: %s", path, error)
        return False


def _remove_empty(path: Path, data: bytes) -> bool:
    is_begun = data.startswith(ogg.CAPTURE) and len(data) < HEAD_BYTES_MAX
    if data.strip(b"\0") == b"" or is_begun or inspect(data).has_head:
        path.unlink()  # the crash came before the first packet was written
    else:
        rename_corrupt(path)
    return False


def _save_undamaged(path: Path, done: Path, data: bytes, contents: Contents) -> None:
    """Write the undamaged pages into a new file, then rename the damaged file."""
    head = b"" if contents.has_head else ogg.page([ogg.opus_head()], 0, 1, 0, ogg.FIRST_PAGE)
    temporary = path.with_suffix(".mending")
    temporary.write_bytes(head + b"".join(data[page.offset : page.end] for page in contents.pages))
    os.rename(temporary, done)
    rename_corrupt(path)


class Index:
    """The files of every channel, ordered by their first sample. Not thread-safe."""

    def __init__(self) -> None:
        self._files: dict[ChannelKey, list[ArchiveFile]] = {}

    def __iter__(self) -> Iterator[ArchiveFile]:
        for files in list(self._files.values()):
            yield from list(files)

    def channels(self) -> list[ChannelKey]:
        return sorted(self._files)

    def of(self, key: ChannelKey) -> list[ArchiveFile]:
        return list(self._files.get(key, ()))

    def add(self, file: ArchiveFile) -> None:
        insort(self._files.setdefault(file.key, []), file)

    def replace(self, file: ArchiveFile) -> None:
        """Replace the entry of the same file (other size or time)."""
        self.remove(file)
        self.add(file)

    def remove(self, file: ArchiveFile) -> None:
        files = self._files.get(file.key, [])
        files[:] = [known for known in files if known.stem != file.stem]
        if not files:
            self._files.pop(file.key, None)


def scan(folder: Path, is_only_process: bool = True) -> Index:
    """List all files below the folder. is_only_process: also finish and repair files that a crash left."""
    index = Index()
    for session in _folders(folder):
        for channel in _folders(session):
            key = ChannelKey(session.name, channel.name)
            for path in sorted(channel.iterdir()):
                if path.suffix == PART and is_only_process and repair(path):
                    path = path.with_suffix(DONE)
                start = path.stem.partition("-")[0]
                if path.suffix == DONE and start.isdigit() and path.exists():
                    stat = path.stat()
                    index.add(ArchiveFile(int(start), path.stem, key, stat.st_size, stat.st_mtime))
    return index


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir())
