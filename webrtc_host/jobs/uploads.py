"""Resumable uploads: files that arrive in several requests, and become jobs when they are complete.

`tus` reads the headers of the protocol. Invariants: every byte that the client was told about is synced to
the disk. One request writes an upload at a time; a newer one takes it over, because the older one may be that
of a lost connection. A complete upload becomes exactly one job, also after a kill: the job has its id.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Row

from webrtc_host.errors import Overloaded, RequestError, StoreError
from webrtc_host.jobs.files import CHECK_BYTES, WRITE_BYTES, JobFiles, not_stored
from webrtc_host.jobs.options import options_from
from webrtc_host.jobs.service import JobService
from webrtc_host.jobs.upload_files import Upload, UploadFiles, write, write_and_sync

logger = logging.getLogger(__name__)

SWEEP_S = 60.0
RETRY_AFTER_S = 60.0
_ID = re.compile(r"j_[0-9a-f]{12}")
T = TypeVar("T")


class Uploads:
    """One per process; `run` is a task of the server."""

    def __init__(
        self, folder: Path, files: JobFiles, jobs: JobService, *, open_max: int, keep_s: float
    ) -> None:
        """open_max: unfinished uploads. keep_s: an upload without new data is removed after so long."""
        self._disk, self._files, self._jobs = UploadFiles(folder), files, jobs
        self._open_max, self.keep_s = open_max, keep_s
        self.bytes_max = files.bytes_max
        self._writing: dict[str, asyncio.Task[int]] = {}
        self._making, self._finishing = asyncio.Lock(), asyncio.Lock()

    async def create(self, upload: Upload) -> None:
        """Raises RequestError: 413 too large, 422 empty or unknown options, 429 too many, 507 no space."""
        if upload.length > self._files.bytes_max:
            raise self._files.too_large()
        if upload.length == 0:
            raise RequestError("empty_audio", "the file is empty", 422)
        self._jobs.check_options(options_from(upload.options))
        async with self._making:
            await asyncio.to_thread(self._create, upload)

    async def find(self, upload_id: str, who: str | None) -> tuple[Upload, int]:
        """(upload, bytes that have arrived). Ends a request that still writes the upload. Raises 404."""
        upload = await self._known(upload_id, who)
        await self._end_writing(upload.id)
        return upload, await asyncio.to_thread(self._disk.offset, upload)

    async def expires_wall_s(self, upload: Upload) -> float:
        return await asyncio.to_thread(self._disk.touched_wall_s, upload) + self.keep_s

    async def append(self, upload: Upload, offset: int, pieces: AsyncIterator[bytes]) -> int:
        """Write the pieces from `offset` on; returns the new offset. What arrived before an error stays.

        Raises RequestError: 409 another offset, or a newer request took over; 413 more than announced; 507.
        """
        await self._end_writing(upload.id)
        writing = asyncio.create_task(self._receive(upload, offset, pieces), name=f"upload {upload.id}")
        self._writing[upload.id] = writing
        writing.add_done_callback(lambda _: self._writing.pop(upload.id, None))
        try:
            await asyncio.wait((writing,))
        finally:
            if not writing.done():
                writing.cancel()
                await asyncio.wait((writing,))
        if writing.cancelled():
            raise RequestError("upload_taken_over", "a newer request continues this upload", 409)
        return writing.result()

    async def finish(self, upload: Upload) -> Row[Any]:
        """The job of a complete upload, made now or before.

        Raises RequestError: as `JobService.submit_file`; a file that is refused is removed, except when there
        is no place for it now (429, 507): then the server tries again later.
        """
        async with self._finishing:
            newest = await asyncio.to_thread(self._disk.find, upload.id)
            upload = newest or upload
            if upload.job is not None:
                return await self._jobs.get(upload.job)
            try:
                row = await self._submitted(upload)
            except RequestError as error:
                if error.status < 500 and error.status != 429:
                    await asyncio.to_thread(self._disk.remove, upload.id)
                raise
            await asyncio.to_thread(self._disk.describe, replace(upload, job=row.id))
            await asyncio.to_thread(self._disk.remove_data, upload.id)
            return row

    async def remove(self, upload: Upload) -> None:
        """A job that was made from the upload stays."""
        await self._end_writing(upload.id)
        await asyncio.to_thread(self._disk.remove, upload.id)

    async def run(self) -> None:
        """Make jobs of complete uploads without one (of a killed process); remove old uploads."""
        while True:
            try:
                await self._sweep()
            except OSError as error:
                logger.warning("the unfinished uploads cannot be checked: %s", error)
            await asyncio.sleep(SWEEP_S)

    async def _sweep(self) -> None:
        for name in await asyncio.to_thread(self._disk.clean, self.keep_s):
            logger.info("upload %s is removed: it got no data for %g s (jobs.upload_s)", name, self.keep_s)
        for upload in await asyncio.to_thread(self._complete):
            try:
                await self.finish(upload)
            except (RequestError, StoreError) as error:
                logger.warning("upload %s is complete and has no job: %s", upload.id, error)

    def _complete(self) -> list[Upload]:
        """Complete uploads without a job. Blocking."""
        return [one for one in self._disk.all() if one.job is None and self._left(one) == 0]

    def _left(self, upload: Upload) -> int:
        return upload.length - self._disk.offset(upload)

    def _create(self, upload: Upload) -> None:
        unfinished = [left for one in self._disk.all() if (left := self._left(one)) > 0]
        if len(unfinished) >= self._open_max:
            text = f"{len(unfinished)} uploads are not finished yet, which is the limit (jobs.uploads)"
            raise Overloaded("too_many_uploads", text, retry_after_s=RETRY_AFTER_S, status=429)
        self._files.prepare(sum(unfinished) + upload.length)
        try:
            self._disk.create(upload)
        except OSError as error:
            raise not_stored(error) from error

    async def _known(self, upload_id: str, who: str | None) -> Upload:
        found = None
        if _ID.fullmatch(upload_id):
            found = await asyncio.to_thread(self._disk.find, upload_id)
        if found is None or found.who != who:
            raise RequestError("unknown_upload", f"there is no upload {upload_id[:40]!r}", 404)
        return found

    async def _end_writing(self, upload_id: str) -> None:
        while (older := self._writing.get(upload_id)) is not None:
            older.cancel()
            await asyncio.wait((older,))

    async def _receive(self, upload: Upload, offset: int, pieces: AsyncIterator[bytes]) -> int:
        held = await asyncio.to_thread(self._disk.offset, upload)
        if offset != held:
            text = f"{held} bytes of the upload have arrived, so the next Upload-Offset is {held}"
            raise RequestError("wrong_offset", text, 409)
        if held == upload.length:
            return held
        file = await _unbroken(partial(self._disk.open, upload.id))
        rest, at, unchecked = bytearray(), offset, 0
        try:
            async for piece in pieces:
                if at + len(piece) > upload.length:
                    raise RequestError("too_large", f"the upload has {upload.length} bytes, not more", 413)
                rest += piece
                at += len(piece)
                if len(rest) >= WRITE_BYTES:
                    data = bytes(rest)
                    rest.clear()
                    await _unbroken(partial(write, file, data))
                    unchecked += len(data)
                if unchecked >= CHECK_BYTES:
                    unchecked = 0
                    await asyncio.to_thread(self._files.check_space, 0)
        finally:
            await _unbroken(partial(write_and_sync, file, bytes(rest)))
        return at

    async def _submitted(self, upload: Upload) -> Row[Any]:
        known = await self._jobs.find(upload.id)
        if known is not None:  # a process before made it, and was killed then
            return known
        await asyncio.to_thread(self._files.adopt, self._disk.data_path(upload.id), upload.id)
        return await self._jobs.submit_file(
            upload.id,
            upload.file_name,
            upload.length,
            options_from(upload.options),
            title=upload.title,
            key=upload.key,
            who=upload.who,
        )


async def _unbroken(call: Callable[[], T]) -> T:
    """Run the call in a thread; a cancellation waits until it is done, so that writes keep their order.

    Raises RequestError 507 when the disk refuses.
    """
    running = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait((running,))
        raise
    except OSError as error:
        raise not_stored(error) from error
