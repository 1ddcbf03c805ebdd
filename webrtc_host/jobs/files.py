"""The files of jobs: written to the disk as they arrive, and removed when their job has ended.

Writes happen in a thread, a megabyte at a time, so no file is in memory as a whole. Invariant: a file with
its final name is complete and synced; what a crash leaves is removed at the next start.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

from webrtc_host.errors import RequestError

WRITE_BYTES = 1024 * 1024
CHECK_BYTES = 64 * 1024 * 1024
"""The space on the disk is checked again after so many bytes."""
COMPLETE, PART = ".recording", ".part"


class JobFiles:
    """The folder of the files of all jobs."""

    def __init__(self, folder: Path, bytes_max: int, free_bytes_min: int) -> None:
        self.folder = folder
        self.bytes_max = bytes_max
        self._free_bytes_min = free_bytes_min

    def path(self, job_id: str) -> Path:
        return self.folder / f"{job_id}{COMPLETE}"

    @asynccontextmanager
    async def incoming(self, job_id: str, announced_bytes: int | None = None) -> AsyncIterator[Incoming]:
        """A file that arrives. When the body raises, nothing is left of it.

        Raises RequestError: 413 too large, 507 too little space.
        """
        if announced_bytes is not None and announced_bytes > self.bytes_max:
            raise self.too_large()
        await asyncio.to_thread(self.prepare, announced_bytes or 0)
        part = self.folder / f"{job_id}{PART}"
        incoming = Incoming(self, part, await asyncio.to_thread(part.open, "wb"))
        try:
            yield incoming
        except BaseException:
            self.path(job_id).unlink(missing_ok=True)
            raise
        finally:
            incoming.close()
            part.unlink(missing_ok=True)  # there is none after `finish`

    def too_large(self) -> RequestError:
        text = f"the file is over {self.bytes_max} bytes (jobs.file_bytes); send it in parts, or compressed"
        return RequestError("too_large", text, 413)

    def check_space(self, more_bytes: int) -> None:
        """Raises RequestError 507 when the disk has no space for so many bytes. Blocking."""
        free = shutil.disk_usage(self.folder).free
        if free - more_bytes < self._free_bytes_min:
            text = (
                f"the disk has {free // 1024**2} MiB free, and {self._free_bytes_min // 1024**2} MiB must "
                "stay free (jobs.free_bytes_min); remove something, or send a smaller file"
            )
            raise RequestError("no_room", text, 507)

    async def remove(self, job_id: str) -> None:
        """Remove the file of a job; there may be none."""
        await asyncio.to_thread(self.path(job_id).unlink, missing_ok=True)

    async def clean(self, needed: Collection[str]) -> int:
        """Remove what an earlier process left: parts, and files of jobs that do not need them."""
        return await asyncio.to_thread(self._clean, needed)

    def adopt(self, path: Path, job_id: str) -> None:
        """Give a complete, synced file to a job. It stays under its old name, too. Blocking."""
        self.folder.mkdir(parents=True, exist_ok=True)
        own = self.path(job_id)
        own.unlink(missing_ok=True)
        try:
            own.hardlink_to(path)
        except OSError:  # a file system without links
            shutil.copyfile(path, own)

    def prepare(self, more_bytes: int) -> None:
        """Make the folder. Raises RequestError 507 when the disk has no space for so many bytes. Blocking."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.check_space(more_bytes)

    def _clean(self, needed: Collection[str]) -> int:
        removed = 0
        for path in self.folder.glob("*") if self.folder.exists() else ():
            if path.suffix == PART or (path.suffix == COMPLETE and path.stem not in needed):
                path.unlink(missing_ok=True)
                removed += 1
        return removed


class Incoming:
    """A file on its way to the disk."""

    def __init__(self, files: JobFiles, path: Path, file: IO[bytes]) -> None:
        self._files, self._path, self._file = files, path, file
        self._held = bytearray()
        self._unchecked = 0
        self.size = 0

    async def add(self, data: bytes) -> None:
        """Raises RequestError: 413 too large, 507 too little space."""
        self.size += len(data)
        if self.size > self._files.bytes_max:
            raise self._files.too_large()
        self._held += data
        if len(self._held) >= WRITE_BYTES:
            await self._write()

    async def finish(self, job_id: str) -> Path:
        """Write the rest, sync, and give the file its final name."""
        await self._write()
        return await asyncio.to_thread(self._finish, self._files.path(job_id))

    def close(self) -> None:
        self._file.close()

    async def _write(self) -> None:
        data = bytes(self._held)
        self._held.clear()
        self._unchecked += len(data)
        is_checked, self._unchecked = self._unchecked >= CHECK_BYTES, self._unchecked % CHECK_BYTES
        try:
            if is_checked:
                await asyncio.to_thread(self._files.check_space, 0)
            await asyncio.to_thread(self._file.write, data)
        except OSError as error:
            raise not_stored(error) from error

    def _finish(self, path: Path) -> Path:
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._path.replace(path)
        except OSError as error:
            raise not_stored(error) from error
        return path


def not_stored(error: OSError) -> RequestError:
    """The error of a disk that refuses to write."""
    return RequestError("no_room", f"the file cannot be stored: {error.strerror or error}", 507)
