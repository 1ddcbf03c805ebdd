"""Workers that lend their engine to a job, with the queue of procrastinate on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from host_stt.contract import Answer, Window
from host_stt_cli.job_worker import JobWorker, WorkerOptions
from host_stt_common import job_queue
from tests.support import postgres
from tests.support.desk import Desk, a_config
from tests.support.polling import until
from tests.webrtc_host.jobs.helpers import a_server, accepted, events_of, job_of, talk, wav
from tests.webrtc_host.jobs.test_jobs import SOUND, assert_whole, words_in
from tests.webrtc_host.recovery.crashing import word_per_half_second
from tests.webrtc_host.speech.engine_server import engine_server
from webrtc_host.app import build_app
from webrtc_host.errors import ConfigError


@asynccontextmanager
async def a_worker(desk: Desk, job: str, engine: str) -> AsyncIterator[asyncio.Task[None]]:
    """A worker that has taken this job from the queue; it ends without a word, as a killed one."""
    options = WorkerOptions("", desk.url, "", engine, "")
    async with aiohttp.ClientSession() as http:
        working = asyncio.create_task(JobWorker(options, http, lambda line: None).work(job))
        try:
            yield working
        finally:
            working.cancel()
            await asyncio.wait((working,))


async def test_a_job_goes_on_with_another_worker_and_no_word_comes_twice(tmp_path: Path) -> None:
    def reads_one_window(window: Window) -> Answer | None:
        return word_per_half_second(window) if window.start_sample < 32_000 else None

    url = postgres.a_database()
    queue = job_queue.make_queue(url)
    jobs = {"engine": "procrastinate", "queue_url": url}
    async with (
        engine_server(reads_one_window) as first,
        engine_server(word_per_half_second) as second,
        a_server(tmp_path, jobs=jobs) as desk,
        queue.open_async(),
    ):
        job = await accepted(desk, wav(SOUND))

        async def queued() -> set[str]:
            try:
                return await job_queue.waiting_or_taken(queue)
            except Exception:  # the server has not made the tables yet
                return set()

        assert await until(queued) == {job}
        assert not await job_queue.put(queue, job), "a job waits in the queue once"
        async with a_worker(desk, job, first.url):
            await until(lambda: len(first.windows) > 1)

            async def has_begun() -> bool:
                return bool((await job_of(desk, job))["done_s"])

            await until(has_begun)
        async with a_worker(desk, job, second.url) as working:
            await working
        assert (await job_of(desk, job))["state"] == "completed"
        assert_whole(words_in(await events_of(desk, job)), SOUND)
        assert first.windows and second.windows
        async with a_worker(desk, job, second.url) as working:
            await working  # a task that is left over does nothing


async def test_cancelling_a_job_ends_the_work_of_its_worker(tmp_path: Path) -> None:
    url = postgres.a_database()
    async with (
        engine_server(lambda window: None) as engine,
        a_server(tmp_path, jobs={"engine": "procrastinate", "queue_url": url}) as desk,
    ):
        job = await accepted(desk, wav(talk("alpha one")))
        async with a_worker(desk, job, engine.url) as working:
            await until(lambda: engine.windows)
            async with desk.client.delete(f"{desk.url}/api/jobs/{job}") as response:
                assert (await response.json())["state"] == "cancelled"
            await working


def test_procrastinate_needs_postgresql(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="postgresql://"):
        build_app(a_config(tmp_path, jobs={"engine": "procrastinate"}))
