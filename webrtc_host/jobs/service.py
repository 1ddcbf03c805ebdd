"""Jobs as the rest of the server uses them: submit, find, list, cancel, follow.

Other interfaces (the pages, the command line, a second API) use this service only. Invariant: a job that was
accepted is in the record, and its file is synced to the disk.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import PurePath
from typing import Any

from sqlalchemy import Row

from host_stt_common.audio_file import AudioFileError
from webrtc_host.errors import Overloaded, RequestError
from webrtc_host.jobs.addresses import checked_url, shown
from webrtc_host.jobs.files import Incoming
from webrtc_host.jobs.following import JobEvent, follow
from webrtc_host.jobs.options import JobOptions
from webrtc_host.jobs.probing import check_readable
from webrtc_host.jobs.runner import JobRunner
from webrtc_host.jobs.work import JobTools
from webrtc_host.transcript import jobs as rows
from webrtc_host.transcript.jobs import JobFilter, NewJob, QueueFull

TITLE_CHARS_MAX = 200
NAME_CHARS_MAX = 200
RETRY_AFTER_S = 30.0


class JobService:
    def __init__(
        self, tools: JobTools, runner: JobRunner, *, check_template: Callable[[str], object]
    ) -> None:
        """check_template: raises RequestError 422 for a summary template that does not exist."""
        self._tools, self._runner, self._check_template = tools, runner, check_template

    def incoming(self, job_id: str, announced_bytes: int | None) -> AbstractAsyncContextManager[Incoming]:
        """The file of a new job on its way to the disk; see `JobFiles.incoming`."""
        return self._tools.files.incoming(job_id, announced_bytes)

    async def check_room(self) -> None:
        """Raises Overloaded 429 when the queue is full, before a file is received."""
        held = await self._tools.store.read(rows.count_open)
        if held >= self._tools.config.open:
            raise _queue_full(held)

    def check_options(self, options: JobOptions) -> None:
        """Raises RequestError 422 for a summary template that does not exist; it names those that do."""
        if options.summary is not None:
            self._check_template(options.summary)

    async def by_key(self, key: str) -> Row[Any] | None:
        """The job that was made with this key."""
        return await self._tools.store.read(partial(rows.by_key, key=key))

    async def submit_file(
        self,
        job_id: str,
        file_name: str,
        size: int,
        options: JobOptions,
        *,
        title: str | None = None,
        key: str | None = None,
        who: str | None = None,
    ) -> Row[Any]:
        """Accept a job whose file is on the disk. A file that is not accepted is removed.

        Raises RequestError: 413, 415 and 422 for the file, 422 for the summary's template, 429 when the queue
        is full; StoreError.
        """
        files, file_name = self._tools.files, plain_name(file_name)
        try:
            self.check_options(options)
            read = partial(check_readable, files.path(job_id), file_name, self._tools.config.file_s)
            seconds = await asyncio.to_thread(read)
            new = NewJob(
                job_id,
                title or _title_of(file_name),
                file_name,
                options.as_json(),
                self._tools.wall_ms(),
                bytes=size,
                total_ms=None if seconds is None else round(seconds * 1000),
                key=key,
                who=who,
            )
            row, is_new = await self._add(new)
        except BaseException as error:
            await files.remove(job_id)
            if isinstance(error, AudioFileError):
                raise RequestError(error.code, error.message, error.status) from error
            raise
        if not is_new:
            await files.remove(job_id)
        return row

    async def submit_url(
        self,
        url: str,
        options: JobOptions,
        *,
        title: str | None = None,
        key: str | None = None,
        who: str | None = None,
    ) -> Row[Any]:
        """Accept a job whose file is fetched when its turn comes. Raises RequestError 422 and 429."""
        self.check_options(options)
        address = checked_url(url)
        file_name = plain_name(PurePath(address.path).name)
        new = NewJob(
            new_id(),
            title or (_title_of(file_name) if file_name else shown(url)[:TITLE_CHARS_MAX]),
            file_name,
            options.as_json(),
            self._tools.wall_ms(),
            url=str(address),
            key=key,
            who=who,
        )
        return (await self._add(new))[0]

    async def get(self, job_id: str) -> Row[Any]:
        """Raises RequestError 404."""
        row = await self.find(job_id)
        if row is None:
            raise _unknown(job_id)
        return row

    async def find(self, job_id: str) -> Row[Any] | None:
        return await self._tools.store.read(partial(rows.find, job_id=_storable(job_id)))

    async def page(self, wanted: JobFilter) -> rows.Rows:
        """Jobs, newest first; one more than `limit` when there are more."""
        return await self._tools.store.read(partial(rows.page, wanted=wanted))

    async def cancel(self, job_id: str) -> Row[Any]:
        """Cancel a job; what is transcribed stays. A job that has ended is not changed. Raises 404."""
        now = self._tools.wall_ms()
        row = await self._tools.store.write(partial(rows.cancel, job_id=_storable(job_id), wall_ms=now))
        if row is None:
            raise _unknown(job_id)
        await self._runner.stop_job(row.id)
        return await self.get(row.id)

    def follow(self, job_id: str, after: int, idle_s: float) -> AsyncGenerator[JobEvent | None, None]:
        """The events of a job; see `following.follow`."""
        return follow(self._tools.store, self._tools.changes, job_id, after, idle_s)

    async def _add(self, new: NewJob) -> tuple[Row[Any], bool]:
        try:
            row, is_new = await self._tools.store.write(
                partial(rows.add, new=new, open_max=self._tools.config.open)
            )
        except QueueFull as error:
            raise _queue_full(error.held) from error
        self._runner.wake()
        return row, is_new


def new_id() -> str:
    return f"j_{secrets.token_hex(6)}"


def plain_name(name: str) -> str:
    """The last part of a file's name, without characters that a database or a terminal cannot take."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(one for one in last if one.isprintable())[:NAME_CHARS_MAX]


def _title_of(file_name: str) -> str:
    return PurePath(file_name).stem[:TITLE_CHARS_MAX] or "recording"


def _storable(text: str) -> str:
    return text[:64].encode(errors="replace").decode().replace("\0", "\ufffd")


def _unknown(job_id: str) -> RequestError:
    return RequestError("unknown_job", f"there is no job {job_id[:40]!r}", 404)


def _queue_full(held: int) -> Overloaded:
    text = f"{held} jobs are queued or running, which is the limit (jobs.open); wait until some are done"
    return Overloaded("too_many_jobs", text, retry_after_s=RETRY_AFTER_S, status=429)
