"""Kept sound as files: which there are, what is in them, and mending what a crash left.

Blocking, for threads. A file is named by its first sample, and every page tells its own time, so the files
are their own time index. Invariant: nothing here raises over a damaged file; it is mended, or set aside and
named in the log.
"""

from __future__ import annotations

import logging
import os
from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from webrtc_host.archive import ogg
from webrtc_host.archive.writer import CORRUPT, DONE, PART, TICKS, Place
from webrtc_host.seams import OpusPacket

logger = logging.getLogger(__name__)

HEAD_BYTES_MAX = 1024
"""Both header pages together are about 200 bytes long."""
TAIL_BYTES = 128 * 1024
"""A page is at most half as long: the last whole one lies in it, and a torn one behind that."""
SUFFIXES = (DONE, PART, DONE)
"""Where a file is looked for: it may be finished, and so renamed, at this moment."""


@dataclass(frozen=True, slots=True, order=True)
class KeptFile:
    """One file of a channel. modified_s: when it was last written, since 1970."""

    start_sample: int
    stem: str
    place: Place
    bytes: int = 0
    modified_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Contents:
    """What is whole in a file. is_whole: nothing else is. end: where its last whole page ends."""

    pages: tuple[ogg.Page, ...]
    end: int
    is_whole: bool
    has_head: bool
    has_holes: bool  # something unreadable lies in front of a readable page


def inspect(data: bytes) -> Contents:
    pages = tuple(ogg.read(data))
    end = pages[-1].end if pages else 0
    has_holes = sum(page.size for page in pages) != end
    has_head = bool(pages) and pages[0].packets[:1] != () and pages[0].packets[0].startswith(b"OpusHead")
    return Contents(pages, end, end == len(data) and not has_holes, has_head, has_holes)


def packets_in(contents: Contents, start_sample: int) -> Iterator[OpusPacket]:
    """The packets with their places. A page's granule is where its last packet ends."""
    for page in contents.pages:
        if page.flags & ogg.FIRST_PAGE or page.packets[:1] and page.packets[0].startswith(b"OpusTags"):
            continue
        lengths = [ogg.samples_of(packet) // TICKS for packet in page.packets]
        at = max(0, start_sample + page.granule // TICKS - sum(lengths))
        for packet, length in zip(page.packets, lengths, strict=True):
            yield OpusPacket(at, length, packet)
            at += length


def packets_of(folder: Path, file: KeptFile) -> list[OpusPacket]:
    """What is in a file; empty, and the file set aside, when it is none of ours any more."""
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
            set_aside(path)
            return []
        if contents.has_holes:
            logger.warning("the audio file %s is damaged; what is whole of it is used", path)
        return list(packets_in(contents, file.start_sample))
    return []


def end_of(folder: Path, file: KeptFile) -> int:
    """Where its newest packet ends, by the tail of the file; its first sample when nothing is in it."""
    for suffix in SUFFIXES:
        try:
            with path_of(folder, file, suffix).open("rb") as data:
                data.seek(max(0, data.seek(0, os.SEEK_END) - TAIL_BYTES))
                pages = list(ogg.read(data.read()))
        except FileNotFoundError:
            continue
        except OSError as error:
            logger.warning("the audio file %s of %s cannot be read: %s", file.stem, file.place, error)
            break
        if pages:
            return file.start_sample + max(page.granule for page in pages) // TICKS
        break  # damaged over a long stretch: by all of it
    return max((packet.end_sample for packet in packets_of(folder, file)), default=file.start_sample)


def path_of(folder: Path, file: KeptFile, suffix: str = DONE) -> Path:
    return folder / file.place.session / file.place.channel / (file.stem + suffix)


def set_aside(path: Path) -> None:
    """Rename it, so that nothing reads it again and a person can look at it."""
    aside = path.with_name(path.name + CORRUPT)
    try:
        os.replace(path, aside)
        logger.error("the audio file %s is damaged and was set aside as %s", path, aside.name)
    except OSError as error:
        logger.error("the audio file %s is damaged and could not be set aside: %s", path, error)


def mend(path: Path) -> bool:
    """Make a file that was not finished a finished one. False: nothing was in it, or it was set aside."""
    try:
        data = path.read_bytes()
        contents = inspect(data)
        if not any(True for _ in packets_in(contents, 0)):
            return _without_sound(path, data)
        done = path.with_suffix(DONE)
        if contents.has_holes or not contents.has_head:
            _salvage(path, done, data, contents)
            return True
        if not contents.is_whole:
            os.truncate(path, contents.end)
            logger.info("the audio file %s had a torn end of %d bytes", path, len(data) - contents.end)
        os.rename(path, done)
        return True
    except OSError as error:
        logger.error("the audio file %s cannot be mended: %s", path, error)
        return False


def _without_sound(path: Path, data: bytes) -> bool:
    is_begun = data.startswith(ogg.CAPTURE) and len(data) < HEAD_BYTES_MAX
    if data.strip(b"\0") == b"" or is_begun or inspect(data).has_head:
        path.unlink()  # the crash came before its first packet
    else:
        set_aside(path)
    return False


def _salvage(path: Path, done: Path, data: bytes, contents: Contents) -> None:
    """Beside the damaged file, set aside, one with its whole pages."""
    head = b"" if contents.has_head else ogg.page([ogg.opus_head()], 0, 1, 0, ogg.FIRST_PAGE)
    temporary = path.with_suffix(".mending")
    temporary.write_bytes(head + b"".join(data[page.offset : page.end] for page in contents.pages))
    os.rename(temporary, done)
    set_aside(path)


class Index:
    """The files of every place, in order of their start. Not for several threads at one time."""

    def __init__(self) -> None:
        self._files: dict[Place, list[KeptFile]] = {}

    def __iter__(self) -> Iterator[KeptFile]:
        for files in list(self._files.values()):
            yield from list(files)

    def places(self) -> list[Place]:
        return sorted(self._files)

    def of(self, place: Place) -> list[KeptFile]:
        return list(self._files.get(place, ()))

    def add(self, file: KeptFile) -> None:
        insort(self._files.setdefault(file.place, []), file)

    def replace(self, file: KeptFile) -> None:
        """The same file with other figures."""
        self.remove(file)
        self.add(file)

    def remove(self, file: KeptFile) -> None:
        files = self._files.get(file.place, [])
        files[:] = [known for known in files if known.stem != file.stem]
        if not files:
            self._files.pop(file.place, None)


def scan(folder: Path, is_ours: bool = True) -> Index:
    """Look through the folder, mend what was left unfinished (only when it is ours alone), and list it."""
    index = Index()
    for session in _folders(folder):
        for channel in _folders(session):
            place = Place(session.name, channel.name)
            for path in sorted(channel.iterdir()):
                if path.suffix == PART and is_ours and mend(path):
                    path = path.with_suffix(DONE)
                start = path.stem.partition("-")[0]
                if path.suffix == DONE and start.isdigit() and path.exists():
                    stat = path.stat()
                    index.add(KeptFile(int(start), path.stem, place, stat.st_size, stat.st_mtime))
    return index


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir())
