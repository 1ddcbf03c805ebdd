"""The queue of jobs in procrastinate: what the server puts in, and a worker takes out.

Optional: the extra `procrastinate`. A task says only which job to work on; what a job is, and how
far it is, is in the server's record. The tables are in a schema of their own, beside those of the record.
Invariant: a job waits in the queue at most once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from host_stt_common.extras import install_command

if TYPE_CHECKING:
    from procrastinate import App

QUEUE, TASK = "host-stt", "host_stt.transcribe"
SCHEMA = "host_stt_queue"
HEARTBEAT_S, STALLED_S = 5.0, 15.0
"""A worker says so often that it lives; after so long without a word, its job goes to another one."""
RETRY_S = 10
Work = Callable[[str], Awaitable[None]]


class NoQueue(Exception):
    """The queue cannot be used; the text says why."""


def make_queue(url: str, work: Work | None = None) -> App:
    """url: postgresql://... work: gets the id of a job and returns when it has ended; only a worker has it.

    Raises NoQueue.
    """
    try:
        from procrastinate import App, PsycopgConnector, RetryStrategy
    except ImportError as error:
        message = f"the queue needs procrastinate; install it with: {install_command('procrastinate')}"
        raise NoQueue(message) from error
    if not url.startswith(("postgresql://", "postgres://")):
        raise NoQueue("the queue is in PostgreSQL: its address begins with postgresql://")
    app = App(connector=PsycopgConnector(conninfo=_in_schema(url), min_size=1, max_size=4))

    async def transcribe(job: str) -> None:
        if work is None:
            raise NoQueue("this process is no worker")
        await work(job)

    app.task(name=TASK, queue=QUEUE, retry=RetryStrategy(wait=RETRY_S))(transcribe)
    return app


async def prepare(app: App) -> None:
    """Make the tables when there are none."""
    connector = app.connector
    await connector.execute_query_async(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    if not await app.check_connection_async():
        await app.schema_manager.apply_schema_async()


async def put(app: App, job: str) -> bool:
    """Queue a job; False when it waits already."""
    from procrastinate.exceptions import AlreadyEnqueued

    try:
        # The lock: a task of this job that is put in a second time never runs beside the first one.
        await app.configure_task(TASK, queue=QUEUE, lock=job, queueing_lock=job).defer_async(job=job)
    except AlreadyEnqueued:
        return False
    return True


async def revive(app: App) -> list[str]:
    """Let the jobs of workers that live no longer be taken again. Returns the jobs."""
    manager = app.job_manager
    stalled = await manager.get_stalled_jobs(queue=QUEUE, seconds_since_heartbeat=STALLED_S)
    revived = []
    for one in stalled:
        await manager.retry_job(one)
        revived.append(str(one.task_kwargs.get("job")))
    return revived


async def waiting_or_taken(app: App) -> set[str]:
    """The jobs that have a task which waits or is worked on."""
    manager = app.job_manager
    return {
        str(one.task_kwargs.get("job"))
        for state in ("todo", "doing")
        for one in await manager.list_jobs_async(queue=QUEUE, status=state)
    }


def _in_schema(url: str) -> str:
    """The address, with the schema of the queue in front."""
    parts = urlsplit(url)
    query = [*parse_qsl(parts.query, keep_blank_values=True), ("options", f"-csearch_path={SCHEMA}")]
    return urlunsplit(parts._replace(query=urlencode(query, quote_via=quote)))
