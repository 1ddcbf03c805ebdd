"""Simulated power cuts: the content of a disk after one, computed from a trace of system calls.

strace records every write and every sync of the files below a folder, with their bytes. From the trace,
the content of the disk at any moment can be computed. Synced bytes are present. Of the bytes written since,
there is nothing, all but the end of the last write, or some pieces of 512 bytes in any order. A disk that
obeys sync calls cannot lose more.
"""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

SECTOR_BYTES = 512
CALLS = "pwrite64,write,fsync,fdatasync,ftruncate,unlink,openat"
_CALL = re.compile(r"^\d+ +(\w+)\((.*)\) += +(-?\d+)")
_FD = re.compile(r"^(\d+)<([^>]*)>")
_QUOTED = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


class Leftover(Enum):
    """Which of the writes that were not synced are on the disk."""

    NOTHING = "nothing of it is there"
    TORN = "all of it but the end of the last write"
    PIECES = "some sectors of it"


@dataclass(frozen=True, slots=True)
class Write:
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    size: int


@dataclass(slots=True)
class File:
    """synced: the bytes that a power cut always leaves. later: the changes since, oldest first."""

    synced: bytearray = field(default_factory=bytearray)
    later: list[Write | Truncate] = field(default_factory=list)
    is_unlinked: bool = False

    def sync(self) -> None:
        for change in self.later:
            _apply(self.synced, change)
        self.later.clear()

    def after_a_cut(self, leftover: Leftover, rng: random.Random) -> bytes:
        content = bytearray(self.synced)
        if leftover is Leftover.NOTHING or not self.later:
            return bytes(content)
        if leftover is Leftover.TORN:
            for change in self.later[:-1]:
                _apply(content, change)
            last = self.later[-1]
            if isinstance(last, Write):
                _apply(content, Write(last.offset, last.data[: len(last.data) // 2]))
            return bytes(content)
        pieces = [piece for change in self.later for piece in _sectors(change)]
        for piece in rng.sample(pieces, rng.randrange(len(pieces) + 1)):
            _apply(content, piece)
        return bytes(content)


class Disk:
    """The files of a folder, after each system call."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self.files: dict[str, File] = {}
        self.printed = bytearray()  # what the process wrote to its standard output

    def play(self, line: str) -> bool:
        """Apply one line of the trace. True if it changed the folder or the output."""
        call = _CALL.match(line)
        if call is None or int(call[3]) < 0:
            return False
        name, arguments = call[1], call[2]
        if name == "unlink":
            return self._unlink(_text(arguments))
        if (fd := _FD.match(arguments)) is None:
            return False
        number, path = int(fd[1]), bytes.fromhex(fd[2].replace("\\x", "")).decode()
        if name == "write" and number == 1:
            self.printed += _bytes(arguments)
            return True
        if path == self._folder and name in ("fsync", "fdatasync"):
            self.files = {path: file for path, file in self.files.items() if not file.is_unlinked}
            return True
        if not path.startswith(self._folder + "/"):
            return False
        return self._change(self.files.setdefault(path, File()), name, arguments)

    def write_to(self, folder: Path, leftover: Leftover, rng: random.Random) -> None:
        """Write the folder as it is after the power cut."""
        folder.mkdir()
        for path, file in self.files.items():
            if path.endswith("-shm") or (file.is_unlinked and leftover is not Leftover.NOTHING):
                continue  # SQLite rebuilds its shared-memory file
            (folder / Path(path).name).write_bytes(file.after_a_cut(leftover, rng))

    def _change(self, file: File, name: str, arguments: str) -> bool:
        if name in ("fsync", "fdatasync"):
            file.sync()
        elif name == "pwrite64":
            offset = int(arguments.rpartition(",")[2])
            file.later.append(Write(offset, _bytes(arguments)))
        elif name == "ftruncate":
            file.later.append(Truncate(int(arguments.rpartition(",")[2])))
        else:
            assert name == "openat", f"{name} of a file of the record is not supported by this simulation"
        file.is_unlinked = False
        return True

    def _unlink(self, path: str) -> bool:
        if path in self.files:
            self.files[path].is_unlinked = True
        return path in self.files


def traced(trace: Path, *argv: str) -> None:
    """Run a program under strace. Raises CalledProcessError when it fails."""
    watch = ["strace", "-f", "-y", "-xx", "-s", "10000000", "--seccomp-bpf", "-e", f"trace={CALLS}"]
    subprocess.run([*watch, "-o", str(trace), *argv], check=True, stdout=subprocess.PIPE)


def lines(trace: Path) -> Iterator[str]:
    """The calls in the order of their end; the two parts of an interrupted call are joined."""
    begun: dict[str, str] = {}
    with trace.open(encoding="ascii") as file:
        for line in file:
            pid = line.partition(" ")[0]
            if line.rstrip().endswith("<unfinished ...>"):
                begun[pid] = line.rstrip().removesuffix("<unfinished ...>").rstrip()
            elif "resumed>" in line:
                yield begun.pop(pid, "") + line.partition("resumed>")[2]
            else:
                yield line


def _bytes(arguments: str) -> bytes:
    found = _QUOTED.search(arguments)
    assert found is not None, f"no bytes in {arguments[:80]}"
    return bytes.fromhex(found[1].replace("\\x", ""))


def _text(arguments: str) -> str:
    return _bytes(arguments).decode()


def _apply(content: bytearray, change: Write | Truncate) -> None:
    if isinstance(change, Truncate):
        del content[change.size :]
        content.extend(bytes(change.size - len(content)))
        return
    content.extend(bytes(max(0, change.offset - len(content))))
    content[change.offset : change.offset + len(change.data)] = change.data


def _sectors(change: Write | Truncate) -> list[Write | Truncate]:
    if isinstance(change, Truncate):
        return [change]
    starts = range(0, len(change.data), SECTOR_BYTES)
    return [Write(change.offset + start, change.data[start : start + SECTOR_BYTES]) for start in starts]
