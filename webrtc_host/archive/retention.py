"""Retention: chooses which archived audio is removed, and when.

Pure: the rules (age by channel, total size, free space on the disk) and their order. The oldest files go
first. This module deletes nothing itself. Invariant: no rule chooses a file of a held channel, or a file that
is still being written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from webrtc_host.archive.files import ArchiveFile
from webrtc_host.archive.segment_file import ChannelKey

DAY_S = 86_400.0
SHED_BYTES = 64 * 1024 * 1024
"""Removed at a time when the disk is full: a quarter of an hour of 16 channels."""


@dataclass(frozen=True, slots=True)
class RetentionConfig:
    """The rules of `archive` in the configuration."""

    keep_days: float = 0.0  # 0: no limit
    keep_days_of: Mapping[str, float] = field(default_factory=dict)  # by channel, in place of keep_days
    keep_bytes: int = 0  # of all audio; 0: no limit
    free_bytes_min: int = 0  # of the disk, kept free


@dataclass(frozen=True, slots=True)
class Holds:
    """Sessions and channels whose audio must not be removed. A held session holds all its channels."""

    sessions: frozenset[str] = frozenset()
    channels: frozenset[ChannelKey] = frozenset()

    def __contains__(self, key: ChannelKey) -> bool:
        return key.session in self.sessions or key in self.channels


def due(
    files: Iterable[ArchiveFile],
    config: RetentionConfig,
    holds: Holds,
    *,
    now_s: float,
    free_bytes: int,
    open_stems: Collection[tuple[ChannelKey, str]] = (),
) -> list[ArchiveFile]:
    """The files to remove now, oldest first. now_s: since 1970. free_bytes: on the disk at this moment."""
    known = list(files)
    unheld = [f for f in known if f.key not in holds and (f.key, f.stem) not in open_stems]
    unheld.sort(key=lambda file: (file.modified_s, file.start_sample))
    too_old = [f for f in unheld if _is_too_old(f, config, now_s)]
    chosen_ids = {id(f) for f in too_old}
    rest = [f for f in unheld if id(f) not in chosen_ids]
    freed = sum(f.bytes for f in too_old)
    held_bytes = sum(f.bytes for f in known)
    excess = held_bytes - freed - config.keep_bytes if config.keep_bytes else 0
    missing = config.free_bytes_min - (free_bytes + freed)
    return too_old + oldest(rest, max(excess, missing))


def oldest(files: Iterable[ArchiveFile], needed_bytes: int) -> list[ArchiveFile]:
    """The first files that together have at least `needed_bytes` bytes; all files when they have less."""
    chosen: list[ArchiveFile] = []
    for file in files:
        if needed_bytes <= 0:
            break
        chosen.append(file)
        needed_bytes -= file.bytes
    return chosen


def _is_too_old(file: ArchiveFile, config: RetentionConfig, now_s: float) -> bool:
    days = config.keep_days_of.get(file.key.channel, config.keep_days)
    return days > 0 and now_s - file.modified_s > days * DAY_S
