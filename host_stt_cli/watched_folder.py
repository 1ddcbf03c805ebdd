"""A watched folder: which recordings in it are complete and were not submitted yet.

A file is complete when its size and its time have not changed for `settle_s`: programs that write a
recording, and copies over a network, need a while. What was submitted is remembered in a file in the folder,
by path, size and time; a recording that is replaced is new. Invariant: each version of a file has one key,
also when that file is lost, and the server makes one job of a key.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from host_stt_cli.recordings import SUFFIXES

MEMORY_NAME = ".host-stt-watch.jsonl"


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a file. name: relative to the folder."""

    name: str
    size: int
    time_ns: int

    @property
    def key(self) -> str:
        """The Idempotency-Key of its job."""
        said = f"{self.name}\0{self.size}\0{self.time_ns}"
        return f"watch-{hashlib.sha256(said.encode('utf-8', 'surrogateescape')).hexdigest()[:40]}"


class WatchedFolder:
    def __init__(self, folder: Path, settle_s: float, clock: Callable[[], float]) -> None:
        self.folder = folder
        self._settle_s, self._clock = settle_s, clock
        self._memory = folder / MEMORY_NAME
        self._done = set(_remembered(self._memory))
        self._seen: dict[str, tuple[Version, float]] = {}  # by name: the version, and since when

    def ready(self) -> list[Version]:
        """The complete recordings that were not submitted, by name."""
        now, found = self._clock(), {version.name: version for version in _recordings(self.folder)}
        self._seen = {
            name: self._seen[name]
            if name in self._seen and self._seen[name][0] == version
            else (version, now)
            for name, version in found.items()
        }
        return [
            version
            for name, (version, since) in sorted(self._seen.items())
            if now - since >= self._settle_s and version.size and version.key not in self._done
        ]

    def is_unchanged(self, version: Version) -> bool:
        """Whether the file is still this version."""
        return _version(self.folder, self.folder / version.name) == version

    def remember(self, version: Version, outcome: str) -> None:
        """Note that the version is dealt with. outcome: its job, or why it was refused."""
        self._done.add(version.key)
        line = {"key": version.key, "file": version.name, "outcome": outcome}
        with self._memory.open("a", encoding="utf-8") as file:
            # The line break comes first: a crash may have cut off the line before.
            file.write("\n" + json.dumps(line, ensure_ascii=True))
            file.flush()
            os.fsync(file.fileno())


def _remembered(memory: Path) -> Iterator[str]:
    """The keys in the file.

    A line that a crash cut off is left out: its file is sent again, and the server, which has the key, makes
    no second job of it.
    """
    if not memory.exists():
        return
    for line in memory.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            yield str(json.loads(line)["key"])
        except (ValueError, KeyError, TypeError):
            continue


def _recordings(folder: Path) -> Iterator[Version]:
    for path in folder.rglob("*"):
        is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower().lstrip(".") in SUFFIXES and not is_hidden:
            version = _version(folder, path)
            if version is not None:
                yield version


def _version(folder: Path, path: Path) -> Version | None:
    """None: it is no file, or it is gone."""
    try:
        found = path.stat()
    except OSError:
        return None
    if not path.is_file():
        return None
    return Version(path.relative_to(folder).as_posix(), found.st_size, found.st_mtime_ns)
