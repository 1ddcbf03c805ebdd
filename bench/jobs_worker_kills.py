"""The kill test of workers: jobs in procrastinate's queue on PostgreSQL, workers and the server with kill -9.

As `jobs_kill_run`, but `host-stt job worker` processes are killed. A killed worker is started again after its
job was taken over. `server_share` of the kills hit the media process in place of a worker; it is started
again at once, and the workers wait for it. At the end one worker is killed for good, and the others do the
rest.
"""

from __future__ import annotations

import asyncio
import random
import re
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from bench import jobs_kill_run as base
from bench.jobs_kill_run import Course, Plan, Say
from bench.kill_run import Host, free_port
from bench.kill_run import Plan as HostPlan
from host_stt_cli.job_client import JobClient
from tests.support.server import command, environment

READY_S = 90.0
TAKEOVER_S, LOOK_S = 180.0, 0.1
WORKER, SERVER = "worker", "server"
_TAKEN = re.compile(r"job (\w+): taken")
_DONE = re.compile(r"job (\w+): (completed|failed|cancelled)")
Takings = list[tuple[float, str]]
"""Of all workers: (clock, job)."""


@dataclass(slots=True)
class Waits:
    """How long jobs waited after a kill until they went on, in seconds, by what was killed."""

    worker: list[float] = field(default_factory=list)
    server: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Worker:
    """One `host-stt job worker`. held: the jobs it works on now."""

    argv: list[str]
    taken: Takings
    process: subprocess.Popen[str] | None = None
    held: set[str] = field(default_factory=set)
    ready: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        self.held.clear()
        self.ready.clear()
        self.process = subprocess.Popen(
            self.argv,
            env=environment(PYTHONUNBUFFERED="1"),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()

    def kill(self) -> set[str]:
        """SIGKILL; returns the jobs that it worked on."""
        held = set(self.held)
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        return held

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("ready"):
                self.ready.set()
            elif found := _TAKEN.search(line):
                self.held.add(found[1])
                self.taken.append((time.monotonic(), found[1]))
            elif found := _DONE.search(line):
                self.held.discard(found[1])


async def run(
    folder: Path, plan: Plan, queue_url: str, tell: Say = lambda line: None, server_share: float = 0.0
) -> dict[str, Any]:
    """Run the test and return the report. folder: empty. queue_url: of an empty database.

    server_share: 0 to 1, the share of the kills that hit the server.
    """
    chance = random.Random(plan.seed)
    paths = await asyncio.to_thread(base.recordings, folder, plan, chance)
    engine_port = free_port()
    sets = ("jobs.engine=procrastinate", "jobs.free_bytes_min=0", f"store.url={queue_url}")
    options = tuple(part for one in (*sets, f"engine.port={engine_port}") for part in ("--set", one))
    host, course = Host(folder, HostPlan(options=(*options, *plan.options))), Course()
    argv = command("job", "worker", "--server", host.url, "--queue", queue_url)
    argv += ["--engine", f"http://127.0.0.1:{engine_port}"]
    taken: Takings = []
    workers = [Worker(argv, taken) for _ in range(plan.workers)]
    waits = Waits()
    began_s = time.monotonic()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as http:
        client = JobClient(http, host.url)
        await asyncio.to_thread(host.start)
        try:
            await asyncio.to_thread(host.wait_ready)
            for worker in workers:
                worker.start()
                if not await asyncio.to_thread(worker.ready.wait, READY_S):
                    raise TimeoutError("a worker is not ready")
            references = await base.references_of(client, paths, tell)
            queued = [chance.randrange(len(paths)) for _ in range(plan.jobs)]
            jobs = await base.submit_all(client, paths, queued, 0, course)
            tell(f"{len(jobs)} jobs are queued")
            over = asyncio.Event()
            killer = _Killer(host, client, workers, taken, chance, course, waits, tell, over)
            killing = asyncio.create_task(killer.kill_often(plan, server_share))
            states = await base.settled(client, tell)
            over.set()
            await killing
            failures = (await client.page(state="failed"))["jobs"]
            verdicts, segments, examples = await base.compared_all(client, jobs, queued, references)
            course.errors += host.errors
        finally:
            for worker in workers:
                worker.kill()
            await asyncio.to_thread(host.close)
    return {
        **base.report(plan, course, states, verdicts, segments, time.monotonic() - began_s),
        "jobs_taken_over": len(waits.worker),
        "takeover_s": _spread(waits.worker),
        "goes_on_after_the_server_s": _spread(waits.server),
        "failures": [job["error"]["message"] for job in failures],
        "differences": examples,
    }


@dataclass(frozen=True, slots=True)
class _Killer:
    """Kills one process after the other while jobs are worked on, and notes how long the jobs waited."""

    host: Host
    client: JobClient
    workers: Sequence[Worker]
    taken: Takings
    chance: random.Random
    course: Course
    waits: Waits
    tell: Say
    over: asyncio.Event  # set when all jobs have ended: nothing is killed any more

    async def kill_often(self, plan: Plan, server_share: float) -> None:
        for number in range(1, plan.kills + 1):
            await asyncio.sleep(self.chance.uniform(*plan.run_s))
            if self.over.is_set():
                return
            if self.chance.random() < server_share:
                await self._kill_server(f"kill {number} of {plan.kills}")
            else:
                await self._kill_worker(f"kill {number} of {plan.kills}", is_last=number == plan.kills)

    async def _kill_server(self, which: str) -> None:
        before = await self._progress()
        killed_s = time.monotonic()
        await asyncio.to_thread(self.host.kill, "media")
        self.course.kills.append(SERVER)
        self.course.working += bool(before)
        await asyncio.to_thread(self.host.start)
        await asyncio.to_thread(self.host.wait_ready)
        self.course.down_s.append(time.monotonic() - killed_s)
        while before and time.monotonic() < killed_s + TAKEOVER_S:
            now = [(await self.client.get(job), done_s) for job, done_s in before.items()]
            if any(job["state"] == "completed" or job["done_s"] > done_s for job, done_s in now):
                self.waits.server.append(time.monotonic() - killed_s)
                self.tell(f"{which}: server; a job goes on after {self.waits.server[-1]:.1f} s")
                return
            await asyncio.sleep(LOOK_S)

    async def _kill_worker(self, which: str, *, is_last: bool) -> None:
        busy = [worker for worker in self.workers if worker.held]
        if not busy:
            return
        worker = self.chance.choice(busy)
        held, killed_s = worker.kill(), time.monotonic()
        held &= (await self._progress()).keys()  # a worker may not have heard how a job ended in a kill
        self.course.kills.append(WORKER)
        self.course.working += bool(held)
        for job in held:
            again_s = await _taken_again(self.taken, job, killed_s)
            if again_s is not None:
                self.waits.worker.append(again_s - killed_s)
                self.tell(f"{which}: {job} goes on after {self.waits.worker[-1]:.1f} s")
        if not is_last:
            worker.start()

    async def _progress(self) -> dict[str, float]:
        """How much of each job that runs is transcribed, in seconds."""
        page = await self.client.page(state="running", limit="20")
        return {job["job"]: float(job["done_s"] or 0.0) for job in page["jobs"]}


async def _taken_again(taken: Takings, job: str, after_s: float) -> float | None:
    """When a worker took the job after this moment, on the clock; None: not within TAKEOVER_S."""
    for _ in range(round(TAKEOVER_S / LOOK_S)):
        again = next((at_s for at_s, name in list(taken) if name == job and at_s > after_s), None)
        if again is not None:
            return again
        await asyncio.sleep(LOOK_S)
    return None


def _spread(values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {}
    ranked = sorted(values)
    middle = ranked[len(ranked) // 2]
    return {"min": round(ranked[0], 1), "p50": round(middle, 1), "max": round(ranked[-1], 1)}
