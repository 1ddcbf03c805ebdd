"""The kill test of jobs: recordings in a queue, a real `host-stt serve`, and random kills; then every text is
compared with that of an undisturbed run.

First each recording is transcribed once without a kill: that is its reference. Then `jobs` jobs are made from
the recordings. Half of them are submitted before the kills, half between them, by a client that repeats a
request with the same Idempotency-Key until it has a response. At the end each job must have completed, with
the segments of its reference: none missing, none twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from bench.kill_run import TARGETS, TEXTS, Host
from bench.kill_run import Plan as HostPlan
from host_stt_cli.job_client import JobClient, JobRefused
from tests.support.recordings import write_wav
from tests.support.speech import say, silence

OFF_MS_MAX = 300
SETTLE_S = 3600.0
RETRY_S = 0.5
LOOK_S = 1.0
READ_AT_ONCE = 8
EXAMPLES_MAX = 5
Say = Callable[[str], None]
Line = tuple[int, str]
"""(start_ms, text) of a segment."""


@dataclass(frozen=True, slots=True)
class Plan:
    jobs: int = 200
    recordings: int = 10  # different ones
    phrases: int = 8  # of one recording
    kills: int = 20
    workers: int = 2
    seed: int = 1
    run_s: tuple[float, float] = (2.0, 10.0)  # from the last (re)start to the next kill
    options: tuple[str, ...] = ()  # more of `--set`


@dataclass(slots=True)
class Course:
    """What happened."""

    kills: list[str] = field(default_factory=list)
    working: int = 0  # kills at which a job was being transcribed
    down_s: list[float] = field(default_factory=list)
    repeated: int = 0  # requests that were sent again
    errors: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The comparison of one job with its reference."""

    missing: int
    doubled: int
    changed: int  # another text at the same time: a window was cut in another way
    off: int  # the same text, more than OFF_MS_MAX away

    @property
    def is_equal(self) -> bool:
        return not (self.missing or self.doubled or self.changed or self.off)


async def run(folder: Path, plan: Plan, tell: Say = lambda line: None) -> dict[str, Any]:
    """Run the test and return the report. folder: empty; the server's data are stored in it."""
    chance = random.Random(plan.seed)
    paths = await asyncio.to_thread(recordings, folder, plan, chance)
    options = ("--set", f"jobs.at_once={plan.workers}", "--set", "jobs.free_bytes_min=0", *plan.options)
    host, course = Host(folder, HostPlan(options=options)), Course()
    began_s = time.monotonic()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as http:
        client = JobClient(http, host.url)
        await asyncio.to_thread(host.start)
        try:
            await asyncio.to_thread(host.wait_ready)
            references = await references_of(client, paths, tell)
            queued = [chance.randrange(len(paths)) for _ in range(plan.jobs)]
            half = plan.jobs // 2
            jobs = await submit_all(client, paths, queued[:half], 0, course)
            tell(f"{len(jobs)} jobs are queued")
            late = asyncio.create_task(submit_all(client, paths, queued[half:], half, course))
            await _kill_often(host, client, chance, plan, course, tell)
            jobs += await late
            states = await settled(client, tell)
            failures = (await client.page(state="failed"))["jobs"]
            verdicts, segments, examples = await compared_all(client, jobs, queued, references)
            course.errors += host.errors
        finally:
            await asyncio.to_thread(host.close)
    return {
        **report(plan, course, states, verdicts, segments, time.monotonic() - began_s),
        "failures": [job["error"]["message"] for job in failures],
        "differences": examples,
    }


def compared(reference: Sequence[Line], found: Sequence[Line]) -> Verdict:
    """Compare the segments of a job with those of its reference, both by start."""
    left = list(found)
    missing = changed = off = 0
    for start_ms, text in reference:
        same = [line for line in left if line[1] == text]
        nearest = min(same, key=lambda line: abs(line[0] - start_ms), default=None)
        if nearest is not None:
            left.remove(nearest)
            off += abs(nearest[0] - start_ms) > OFF_MS_MAX
            continue
        there = next((line for line in left if abs(line[0] - start_ms) <= OFF_MS_MAX), None)
        if there is None:
            missing += 1
        else:
            left.remove(there)
            changed += 1
    return Verdict(missing, len(left), changed, off)


def recordings(folder: Path, plan: Plan, chance: random.Random) -> list[Path]:
    paths = []
    for number in range(plan.recordings):
        parts = [silence(0.5)]
        for text in chance.choices(TEXTS, k=plan.phrases):
            parts += [say(text), silence(chance.uniform(0.7, 1.6))]
        paths.append(write_wav(folder / f"recording-{number}.wav", np.concatenate(parts)))
    return paths


async def references_of(client: JobClient, paths: Sequence[Path], tell: Say) -> list[list[Line]]:
    """The segments of each recording in an undisturbed run."""
    ids = [str((await client.submit_file(path, {"language": "en"}))["job"]) for path in paths]
    await settled(client, lambda line: None)
    found = [await _segments(client, job) for job in ids]
    tell(f"references: {[len(lines) for lines in found]} segments")
    return found


async def submit_all(
    client: JobClient, paths: Sequence[Path], queued: Sequence[int], first: int, course: Course
) -> list[str]:
    """Submit the jobs one after the other, each until it has a response. Returns their ids."""
    ids = []
    for number, recording in enumerate(queued, start=first):
        while True:
            try:
                job = await client.submit_file(paths[recording], {"language": "en"}, f"kill-test-{number}")
                break
            except (JobRefused, OSError) as error:
                if isinstance(error, JobRefused) and not error.is_passing:
                    raise
                course.repeated += 1
                await asyncio.sleep(RETRY_S)
        ids.append(str(job["job"]))
    return ids


async def _kill_often(
    host: Host, client: JobClient, chance: random.Random, plan: Plan, course: Course, tell: Say
) -> None:
    for number in range(plan.kills):
        await asyncio.sleep(chance.uniform(*plan.run_s))
        target = chance.choice(TARGETS)
        course.errors += host.errors
        with contextlib.suppress(JobRefused):
            course.working += bool((await client.page(state="running", limit="1"))["jobs"])
        killed_s = time.monotonic()
        await asyncio.to_thread(host.kill, target)
        if target != "engine":
            await asyncio.to_thread(host.start)
            await asyncio.to_thread(host.wait_ready)
            course.down_s.append(time.monotonic() - killed_s)
        course.kills.append(target)
        tell(f"kill {number + 1} of {plan.kills}: {target}")


async def settled(client: JobClient, tell: Say) -> Counter[str]:
    """Wait until every job has ended. Returns how many ended in each state."""
    said = time.monotonic()
    async with asyncio.timeout(SETTLE_S):
        while True:
            states: Counter[str] = Counter()
            with contextlib.suppress(JobRefused):
                before: dict[str, str] = {}
                while True:
                    page = await client.page(limit="200", **before)
                    states.update(job["state"] for job in page["jobs"])
                    if page["next_before"] is None:
                        break
                    before = {"before": str(page["next_before"])}
                if not states["queued"] and not states["running"]:
                    return states
            if time.monotonic() - said > 30:
                said = time.monotonic()
                tell(f"waiting: {dict(states)}")
            await asyncio.sleep(LOOK_S)


async def compared_all(
    client: JobClient, jobs: Sequence[str], queued: Sequence[int], references: Sequence[Sequence[Line]]
) -> tuple[list[Verdict], Counter[str], list[dict[str, Any]]]:
    """The verdict of each job, how often each segment's id occurs in all of them, and some differences."""
    places = asyncio.Semaphore(READ_AT_ONCE)
    segments: Counter[str] = Counter()
    examples: list[dict[str, Any]] = []

    async def one(job: str, recording: int) -> Verdict:
        async with places:
            lines = await _segments(client, job, segments)
        verdict = compared(references[recording], lines)
        if not verdict.is_equal and len(examples) < EXAMPLES_MAX:
            examples.append({"job": job, "reference": references[recording], "found": lines})
        return verdict

    return list(await asyncio.gather(*map(one, jobs, queued))), segments, examples


async def _segments(client: JobClient, job: str, ids: Counter[str] | None = None) -> list[Line]:
    lines = []
    async for name, data in client.events(job):
        if name == "transcript_segment":
            lines.append((int(data["start_ms"]), str(data["text"])))
            if ids is not None:
                ids[data["segment"]] += 1
    return sorted(lines)


def report(
    plan: Plan,
    course: Course,
    states: Counter[str],
    verdicts: Sequence[Verdict],
    segments: Counter[str],
    took_s: float,
) -> dict[str, Any]:
    return {
        "jobs": plan.jobs,
        "workers": plan.workers,
        "recordings": plan.recordings,
        "seed": plan.seed,
        "kills": dict(Counter(course.kills)),
        "kills_while_a_job_ran": course.working,
        "completed": states["completed"] - plan.recordings,
        "not_completed": sum(states.values()) - states["completed"],
        "equal_to_the_undisturbed_run": sum(one.is_equal for one in verdicts),
        "segments": sum(segments.values()),
        "segments_missing": sum(one.missing for one in verdicts),
        "segments_doubled": sum(one.doubled for one in verdicts),
        "segments_with_another_text": sum(one.changed for one in verdicts),
        "segments_off_by_more_than_300_ms": sum(one.off for one in verdicts),
        "ids_used_twice": sum(count > 1 for count in segments.values()),
        "requests_repeated": course.repeated,
        "down_s_max": round(max(course.down_s, default=0.0), 1),
        "duration_s": round(took_s),
        "load": [round(x, 1) for x in os.getloadavg()],
        "errors_logged": course.errors[:20],
    }


def is_clean(report: dict[str, Any]) -> bool:
    """Whether every job completed, with nothing missing and nothing twice."""
    return report["completed"] == report["jobs"] and not (
        report["not_completed"]
        or report["segments_missing"]
        or report["segments_doubled"]
        or report["ids_used_twice"]
    )


def as_json(report: dict[str, Any]) -> str:
    return json.dumps(report, indent=2, ensure_ascii=False)
