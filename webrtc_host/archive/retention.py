"""Retention: which kept sound goes, and when.

Pure. Owns the rules (age by channel, size of all, room on the disk) and their order: the oldest goes first,
what is under a hold never goes. Deletes nothing itself. Invariant: no rule chooses a file of a held place, or
one that is still written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from webrtc_host.archive.files import KeptFile
from webrtc_host.archive.writer import Place

DAY_S = 86_400.0
SHED_BYTES = 64 * 1024 * 1024
"""Removed at a time when the disk is full: a quarter of an hour of 16 channels."""


@dataclass(frozen=True, slots=True)
class RetentionConfig:
    keep_days: float = 0.0  # 0: for ever
    keep_days_of: Mapping[str, float] = field(default_factory=dict)  # by channel, in place of keep_days
    keep_bytes: int = 0  # of all sound; 0: whatever the disk holds
    free_bytes_min: int = 0  # of the disk, left free


@dataclass(frozen=True, slots=True)
class Holds:
    """What may not go. A held session holds all its channels."""

    sessions: frozenset[str] = frozenset()
    places: frozenset[Place] = frozenset()

    def __contains__(self, place: Place) -> bool:
        return place.session in self.sessions or place in self.places


def due(
    files: Iterable[KeptFile],
    config: RetentionConfig,
    holds: Holds,
    *,
    now_s: float,
    free_bytes: int,
    open_stems: Collection[tuple[Place, str]] = (),
) -> list[KeptFile]:
    """What goes now, oldest first. now_s: since 1970. free_bytes: of the disk, at this moment."""
    known = list(files)
    free = [f for f in known if f.place not in holds and (f.place, f.stem) not in open_stems]
    free.sort(key=lambda file: (file.modified_s, file.start_sample))
    too_old = [f for f in free if _is_too_old(f, config, now_s)]
    gone = {id(f) for f in too_old}
    rest = [f for f in free if id(f) not in gone]
    freed = sum(f.bytes for f in too_old)
    held_bytes = sum(f.bytes for f in known)
    excess = held_bytes - freed - config.keep_bytes if config.keep_bytes else 0
    missing = config.free_bytes_min - (free_bytes + freed)
    return too_old + oldest(rest, max(excess, missing))


def oldest(files: Iterable[KeptFile], needed_bytes: int) -> list[KeptFile]:
    """The first ones that together hold at least so many bytes; all when they hold less."""
    chosen: list[KeptFile] = []
    for file in files:
        if needed_bytes <= 0:
            break
        chosen.append(file)
        needed_bytes -= file.bytes
    return chosen


def _is_too_old(file: KeptFile, config: RetentionConfig, now_s: float) -> bool:
    days = config.keep_days_of.get(file.place.channel, config.keep_days)
    return days > 0 and now_s - file.modified_s > days * DAY_S
