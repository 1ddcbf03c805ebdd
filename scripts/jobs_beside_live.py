"""Does a running job delay live finals? Measure with and without one, in short phases of one run.

  python scripts/jobs_beside_live.py --runs 3
  python scripts/jobs_beside_live.py --runs 3 --blocks 5 --phase 12 --model base --json report.json

Starts a real `host-stt serve` on a free port. In each run, the channels of a load test speak without a break.
Meanwhile a job is submitted and cancelled again and again: each block of the run has one phase with a job and
one without, in random order. So both are measured on the same machine in the same half minute, and a slow
minute does not count for one side only. Prints the time to final text with and without a job, and the
difference at p95 with its interval of 95 % confidence. Exit status 0 if the whole interval is at most
--target (50 ms), 1 if the whole interval is above it, 3 if the run does not decide it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.job_phases import Block, Final, Phase, blocks_of, compared  # noqa: E402
from bench.kill_run import TEXTS  # noqa: E402
from host_stt_cli.job_client import JobClient, JobRefused  # noqa: E402
from host_stt_cli.loadtest import sounds  # noqa: E402
from host_stt_cli.loadtest.plan import Door, Load  # noqa: E402
from host_stt_cli.loadtest.run import Progress, Target  # noqa: E402
from host_stt_cli.loadtest.run import run as load_test  # noqa: E402
from tests.support.recordings import write_wav  # noqa: E402
from tests.support.server import Server  # noqa: E402
from tests.support.speech import say, silence  # noqa: E402

JOB_MINUTES = 10
BEGIN_S = 6.0
"""The first seconds of a run are not measured."""
CALM_S = 3.0
"""After a job was cancelled: its last window may still be in the engine."""
WARM_UP_S = 10.0
POINTS_MAX = 1000
"""A report keeps all finals up to 1200; a run must not have more."""


@dataclass(slots=True)
class Course:
    """What happened in one run. began_s: on the loop's clock."""

    begun: asyncio.Event = field(default_factory=asyncio.Event)
    began_s: float = 0.0
    phases: list[Phase] = field(default_factory=list)
    done_s: float = 0.0  # of jobs, transcribed

    def note(self, progress: Progress) -> None:
        if not self.begun.is_set():
            self.began_s = asyncio.get_running_loop().time() - progress.done_s
            self.begun.set()


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="jobs-beside-live-") as folder:
        report = asyncio.run(measure(Path(folder), options))
    text = json.dumps(report, indent=2)
    _say(text)
    if options.json:
        Path(options.json).write_text(text + "\n")
    found = report["difference_p95_ms"]
    if found["high"] <= options.target:
        return 0
    return 1 if found["low"] > options.target else 3


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--blocks", type=int, default=5, help="of each run")
    parser.add_argument("--phase", type=float, default=12.0, metavar="SECONDS")
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--talk", type=float, default=0.5, help="share of time that each channel speaks")
    parser.add_argument("--door", default="socket", choices=["socket", "webrtc", "whip"])
    parser.add_argument("--model", default="starter")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", type=float, default=50.0, metavar="MS")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for the server")
    parser.add_argument("--json", help="write the report there")
    return parser.parse_args()


async def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    recording = await asyncio.to_thread(make_recording, folder / "job.wav")
    clips = await asyncio.to_thread(sounds.spoken, "en")
    sets = [part for value in ("jobs.free_bytes_min=0", *options.set) for part in ("--set", value)]
    server = Server(folder, *sets, model=options.model)
    await asyncio.to_thread(server.__enter__)
    blocks: list[Block] = []
    transcribed_s = 0.0
    try:
        await asyncio.to_thread(server.wait_ready)
        target = Target(server.url)
        warm_up = Load(options.channels, WARM_UP_S, options.talk, door=Door(options.door), seed=options.seed)
        await load_test(target, warm_up, clips, "en", asyncio.Event())
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as http:
            client = JobClient(http, server.url)
            for number in range(1, options.runs + 1):
                found, course = await one_run(target, client, recording, clips, options, number)
                blocks += found
                transcribed_s += course.done_s
                _say(f"run {number}: {json.dumps(compared(found))}")
    finally:
        await asyncio.to_thread(server.__exit__)
    return {
        "channels": options.channels,
        "talk": options.talk,
        "model": options.model,
        "runs": options.runs,
        "phase_s": options.phase,
        **compared(blocks, options.seed),
        "transcribed_of_jobs_s": round(transcribed_s),
        "target_ms": options.target,
        "load": [round(x, 1) for x in os.getloadavg()],
    }


async def one_run(
    target: Target,
    client: JobClient,
    recording: Path,
    clips: list[sounds.Clip],
    options: argparse.Namespace,
    number: int,
) -> tuple[list[Block], Course]:
    """Speak and switch the job on and off; returns the finals of each block."""
    course, stop = Course(), asyncio.Event()
    seed = options.seed * 1000 + number
    seconds = BEGIN_S + options.blocks * 2 * (options.phase + CALM_S) + 30.0  # the switching ends the run
    load = Load(options.channels, seconds, options.talk, door=Door(options.door), seed=seed)
    switching = asyncio.create_task(switch(client, recording, options, course, random.Random(seed)))
    switching.add_done_callback(lambda _: stop.set())
    found = await load_test(target, load, clips, "en", stop, course.note)
    await switching
    points = found["series"]["ttfs_ms"]
    if len(points) > POINTS_MAX:
        raise RuntimeError(f"a run has {len(points)} finals: give fewer --blocks and more --runs")
    return blocks_of(course.phases, [Final(at_s, ms) for at_s, ms in points]), course


async def switch(
    client: JobClient, recording: Path, options: argparse.Namespace, course: Course, chance: random.Random
) -> None:
    """Make the phases of a run, in random order within each block."""
    loop = asyncio.get_running_loop()
    await course.begun.wait()
    await asyncio.sleep(BEGIN_S)
    for block in range(options.blocks):
        for has_job in chance.sample((False, True), 2):
            from_s = loop.time() - course.began_s
            if has_job:
                job = str((await client.submit_file(recording, {"language": "en"}))["job"])
                await asyncio.sleep(max(0.0, course.began_s + from_s + options.phase - loop.time()))
                to_s = loop.time() - course.began_s
                course.done_s += await _cancelled(client, job)
                await asyncio.sleep(CALM_S)
            else:
                await asyncio.sleep(options.phase)
                to_s = loop.time() - course.began_s
            course.phases.append(Phase(block, has_job, from_s, to_s))


async def _cancelled(client: JobClient, job: str) -> float:
    """Cancel the job; returns how much of it was transcribed, in seconds."""
    while True:
        try:
            return float((await client.cancel(job))["done_s"] or 0.0)
        except JobRefused as error:
            if not error.is_passing:
                raise
            await asyncio.sleep(0.5)


def make_recording(path: Path) -> Path:
    minute = np.concatenate([part for text in TEXTS for part in (say(text), silence(1.0))])
    repeats = int(JOB_MINUTES * 60 * 16_000 / len(minute)) + 1
    return write_wav(path, np.tile(minute, repeats))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
