"""The runner: leases jobs from the record and works on them, inside the server.

One task for each place (`jobs.at_once`); there are no places when workers lend their engines (`lend`). A
lease is renewed while its job is worked on, and ends by itself when a worker is gone. Invariants: a start
ends all leases, because only one server uses a record; a stop gives its jobs back, so they do not wait for
the end of a lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sqlalchemy import Row

from webrtc_host.errors import Overloaded, StoreError
from webrtc_host.jobs.reading import Windows
from webrtc_host.jobs.work import JobTools, JobWork
from webrtc_host.seams import Transcriber
from webrtc_host.transcript import jobs as rows
from webrtc_host.transcript.jobs import JobState, Lease, LeaseLost

logger = logging.getLogger(__name__)

LEASE_S = 30.0
RENEW_S = 10.0
LOOK_S = 5.0
"""A worker without a job looks into the queue this often: another worker's lease may have ended."""
RETRY_S = 5.0
FORGET_MS = 30 * 86_400_000
"""For so long the list shows a job whose text was removed, or that never had one."""


@dataclass(slots=True)
class JobFigures:
    """Since the start of the process."""

    started: int = 0
    completed: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class _Running:
    work: JobWork
    task: asyncio.Task[None]


class JobRunner:
    """One per process. `running` is a start step, after the sessions are restored and the engine's client is
    started.
    """

    def __init__(self, tools: JobTools, *, places: int, on_new: Callable[[], None] = lambda: None) -> None:
        """places: jobs that this process takes itself. on_new: called when there is a new job."""
        self._tools, self._places, self._on_new = tools, places, on_new
        self._name = secrets.token_hex(4)
        self._wake = asyncio.Event()
        self._running: dict[str, _Running] = {}
        self.figures = JobFigures()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self._clean_up()
        places = [
            asyncio.create_task(self._work(f"{self._name}-{number}"), name=f"jobs {number}")
            for number in range(1, self._places + 1)
        ]
        try:
            yield
        finally:
            for place in places:
                place.cancel()
            if places:
                await asyncio.wait(places)

    def wake(self) -> None:
        """There is a new job."""
        self._wake.set()
        self._on_new()

    async def lend(self, job_id: str, who: str, engine: Transcriber, windows: Windows | None) -> str | None:
        """Work on this job with the engine of a worker, until the job has ended; returns its state.

        None: another worker has it, or it goes back to the queue. Cancel it when the worker is gone: the job
        then goes back to the queue. Raises StoreError and Overloaded.
        """
        owner = f"{self._name}-{secrets.token_hex(4)}"
        now, lease_ms = self._tools.wall_ms(), round(LEASE_S * 1000)
        take = partial(rows.take_this, job_id=job_id, owner=owner, now_wall_ms=now, lease_ms=lease_ms)
        row = await self._tools.store.write(take)
        if row is not None:
            logger.info("job %s is worked on by %s", job_id, who)
            tools = replace(self._tools, engine=engine, windows=lambda: windows)
            await self._do(row, owner, tools)
        ended = await self._found(job_id)
        return ended.state if ended is not None and JobState(ended.state).is_final else None

    async def open_jobs(self) -> list[str]:
        """The ids of the jobs that are queued or running. Raises StoreError and Overloaded."""
        return await self._tools.store.read(rows.open_ids)

    async def stop_job(self, job_id: str) -> None:
        """Stop the work on a job that was cancelled; returns when its session has ended."""
        running = self._running.get(job_id)
        if running is not None:
            running.work.cancel()
            running.task.cancel()
            await asyncio.wait((running.task,))
        await self._tools.files.remove(job_id)
        self._tools.changes.note(job_id)

    def statistics(self) -> dict[str, float]:
        figures = self.figures
        return {
            "running": len(self._running),
            "started": figures.started,
            "completed": figures.completed,
            "failed": figures.failed,
        }

    async def _clean_up(self) -> None:
        """End what a process before has left: leases, sessions of ended jobs, and files."""
        tools = self._tools
        try:
            await tools.store.write(partial(rows.forget, before_wall_ms=tools.wall_ms() - FORGET_MS))
            released = await tools.store.write(partial(rows.release_all, now_wall_ms=tools.wall_ms()))
            left_open = await tools.store.read(rows.left_open)
            removed = await tools.files.clean(await tools.store.read(rows.with_files))
        except (StoreError, Overloaded, OSError) as error:
            logger.warning("the jobs of the process before cannot be checked: %s", error)
            return
        if released or removed:
            logger.info("jobs: %d are continued, %d files were left over and removed", released, removed)
        for session in tools.registry:
            if session.id in left_open:
                await tools.registry.end(session, "cancelled")

    async def _work(self, owner: str) -> None:
        while True:
            self._wake.clear()
            try:
                row = await self._take(owner)
            except (StoreError, Overloaded) as error:
                logger.warning("no job can be taken: %s", error)
                row = None
            if row is None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await self._wake.wait()
                continue
            self._wake.set()  # another place may take the next job
            await self._do(row, owner, self._tools)

    async def _take(self, owner: str) -> Row[Any] | None:
        now = self._tools.wall_ms()
        take = partial(rows.take, owner=owner, now_wall_ms=now, lease_ms=round(LEASE_S * 1000))
        return await self._tools.store.write(take)

    async def _do(self, row: Row[Any], owner: str, tools: JobTools) -> None:
        lease = self._lease(row.id, owner)
        work = JobWork(tools, row, lease)
        task = asyncio.create_task(work.run(), name=f"job {row.id}")
        self._running[row.id] = _Running(work, task)
        self.figures.started += 1
        self._tools.changes.note(row.id)
        try:
            await self._keep_lease(task, lease, work)
        except asyncio.CancelledError:  # the server stops, or the worker that lends its engine is gone
            task.cancel()
            await asyncio.wait((task,))
            work.let_go()
            await self._give_back(lease, is_tried=False)
            raise
        finally:
            del self._running[row.id]
        await self._conclude(row, lease, work, task)

    async def _keep_lease(self, task: asyncio.Task[None], lease: Lease, work: JobWork) -> None:
        """Renew the lease until the task has ended."""
        while not task.done():
            await asyncio.wait((task,), timeout=RENEW_S)
            if task.done():
                return
            try:
                await self._tools.store.write(partial(rows.renew, lease=self._lease(lease.job, lease.owner)))
            except LeaseLost:
                work.cancel()
                task.cancel()
                await asyncio.wait((task,))
            except StoreError as error:
                logger.warning("the lease of job %s cannot be renewed: %s", lease.job, error)

    async def _conclude(self, row: Row[Any], lease: Lease, work: JobWork, task: asyncio.Task[None]) -> None:
        """Handle the end of the work: give the job back, or remove its file."""
        error = None if task.cancelled() else task.exception()
        if isinstance(error, StoreError | Overloaded):
            logger.warning("job %s waits: %s", row.id, error)
            work.let_go()
            await asyncio.sleep(RETRY_S)
            await self._give_back(lease, is_tried=False)
            return
        if error is not None:
            logger.error("job %s failed", row.id, exc_info=error)
            await self._fail(lease)
            with contextlib.suppress(StoreError, Overloaded):
                await work.end_session("failed")
        ended = await self._found(row.id)
        if ended is not None and JobState(ended.state).is_final:
            self.figures.completed += ended.state == JobState.COMPLETED
            self.figures.failed += ended.state == JobState.FAILED
            await self._tools.files.remove(row.id)
        self._tools.changes.note(row.id)

    async def _found(self, job_id: str) -> Row[Any] | None:
        try:
            return await self._tools.store.read(partial(rows.find, job_id=job_id))
        except (StoreError, Overloaded):
            return None

    async def _fail(self, lease: Lease) -> None:
        """The server has a fault; its log has the traceback."""
        fail = partial(
            rows.fail,
            lease=lease,
            wall_ms=self._tools.wall_ms(),
            code="internal",
            message="the server failed on this job; its log has the details",
        )
        with contextlib.suppress(StoreError, LeaseLost):
            await self._tools.store.write(fail)

    async def _give_back(self, lease: Lease, *, is_tried: bool) -> None:
        with contextlib.suppress(StoreError, LeaseLost):
            await self._tools.store.write(partial(rows.release, lease=lease, is_tried=is_tried))

    def _lease(self, job_id: str, owner: str) -> Lease:
        return Lease(job_id, owner, self._tools.wall_ms() + round(LEASE_S * 1000))
