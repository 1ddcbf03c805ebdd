"""Unfinished uploads on the disk: the bytes that have arrived, and beside them what the upload is about.

All calls block: use a thread. The offset of an upload is the size of its file, so after a crash it is right
without any other note. Invariant: a description is replaced as a whole, never changed in place.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

DATA, ABOUT, NEW = ".upload", ".json", ".new"


@dataclass(frozen=True, slots=True)
class Upload:
    """length: bytes of the whole file. job: made from the upload; None: none yet."""

    id: str
    length: int
    file_name: str
    metadata: str  # the header as it came
    options: Mapping[str, Any] = field(default_factory=dict)
    title: str | None = None
    key: str | None = None
    who: str | None = None
    job: str | None = None


class UploadFiles:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def data_path(self, upload_id: str) -> Path:
        return self._folder / f"{upload_id}{DATA}"

    def create(self, upload: Upload) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self.data_path(upload.id).touch()
        self.describe(upload)

    def open(self, upload_id: str) -> IO[bytes]:
        """To write at the end."""
        return self.data_path(upload_id).open("ab")

    def describe(self, upload: Upload) -> None:
        """Write the description, synced."""
        path = self._about_path(upload.id)
        new = path.with_suffix(NEW)
        with new.open("w", encoding="utf-8") as file:
            json.dump(asdict(upload), file, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)

    def find(self, upload_id: str) -> Upload | None:
        """None: there is no such upload, or its description cannot be read."""
        try:
            return Upload(**json.loads(self._about_path(upload_id).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def offset(self, upload: Upload) -> int:
        """Bytes that have arrived."""
        if upload.job is not None:
            return upload.length
        try:
            return self.data_path(upload.id).stat().st_size
        except OSError:
            return 0

    def touched_wall_s(self, upload: Upload) -> float:
        """When the upload last got data, or was made."""
        for path in (self.data_path(upload.id), self._about_path(upload.id)):
            with contextlib.suppress(OSError):
                return path.stat().st_mtime
        return 0.0

    def all(self) -> Iterator[Upload]:
        for path in sorted(self._folder.glob(f"*{ABOUT}")) if self._folder.exists() else ():
            if (upload := self.find(path.stem)) is not None:
                yield upload

    def remove_data(self, upload_id: str) -> None:
        self.data_path(upload_id).unlink(missing_ok=True)

    def remove(self, upload_id: str) -> None:
        self._about_path(upload_id).unlink(missing_ok=True)
        self.remove_data(upload_id)

    def clean(self, keep_s: float) -> list[str]:
        """Remove uploads without new data for so long, and files without a description. Returns the ids."""
        known = {one.id: self.touched_wall_s(one) for one in self.all()}
        removed = [name for name, touched in known.items() if time.time() - touched > keep_s]
        for path in self._folder.glob("*") if self._folder.exists() else ():
            if path.stem not in known and time.time() - path.stat().st_mtime > keep_s:
                path.unlink(missing_ok=True)
        for name in removed:
            self.remove(name)
        return removed

    def _about_path(self, upload_id: str) -> Path:
        return self._folder / f"{upload_id}{ABOUT}"


def write(file: IO[bytes], data: bytes) -> None:
    """Hand the data to the system, so that a killed process has written them."""
    file.write(data)
    file.flush()


def write_and_sync(file: IO[bytes], rest: bytes) -> None:
    """Write the rest, sync and close."""
    with file:
        file.write(rest)
        file.flush()
        os.fsync(file.fileno())
