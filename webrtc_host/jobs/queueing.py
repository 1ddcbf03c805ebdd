"""Keeps the queue of procrastinate in step with the record, for `jobs.engine: procrastinate`.

The record says which jobs there are; the queue only says which worker may work on which one. So a job whose
task was lost is queued again, and a task whose job has ended does nothing. Invariant: every open job has a
task, or gets one within `LOOK_S` as soon as the queue can be reached.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from host_stt_common import job_queue

logger = logging.getLogger(__name__)

LOOK_S = 5.0


class JobQueue:
    """`running` is a start step."""

    def __init__(
        self, url: str, open_jobs: Callable[[], Awaitable[list[str]]], *, look_s: float = LOOK_S
    ) -> None:
        """open_jobs: ids of the jobs that are queued or running, the first one first.

        Raises NoQueue when procrastinate is not installed, or the address is none of PostgreSQL.
        """
        self._app = job_queue.make_queue(url)
        self._open_jobs = open_jobs
        self._look_s = look_s
        self._wake = asyncio.Event()
        self.revived = 0

    def wake(self) -> None:
        """There is a new job."""
        self._wake.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._run(), name="job queue")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait((task,))

    async def _run(self) -> None:
        while True:
            try:
                async with self._app.open_async():
                    await job_queue.prepare(self._app)
                    await self._keep()
            except Exception as error:  # of the driver, of procrastinate, or of the record
                logger.warning("the queue of jobs waits: %s: %s", type(error).__name__, error)
            await asyncio.sleep(self._look_s)

    async def _keep(self) -> None:
        while True:
            self._wake.clear()
            for job in await job_queue.revive(self._app):
                self.revived += 1
                logger.info("job %s: its worker is gone, another one may take it", job)
            known = await job_queue.waiting_or_taken(self._app)
            for job in await self._open_jobs():
                if job not in known:
                    await job_queue.put(self._app, job)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._look_s):
                    await self._wake.wait()
