"""How late is the event loop while a recording is read for a job? Compare ways of reading, in turns.

  python -m scripts.bench_job_reading --rounds 4

The reader of a job and the event loop of all live channels share one interpreter. Two other processes
compute, as the engine does. A timer of 5 ms in the event loop measures how late it comes: without a reader,
beside a reader as jobs use it while somebody speaks, beside the same one when it need not rest, and beside a
thread of low priority (nice 10), which jobs used before. Each round has all four, in changing order.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from host_stt.contract import SAMPLE_RATE
from tests.support.recordings import write_wav
from tests.support.speech import say, silence
from webrtc_host.jobs import channels
from webrtc_host.jobs.channels import JobChannel
from webrtc_host.jobs.probing import PlannedChannel
from webrtc_host.jobs.reading import STARTER_WINDOWS, ChannelReader, reader

TICK_S = 0.005
NICENESS = 10
COMPUTE = "while True: sum(range(100_000))"
WAYS = ("none", "beside live speech", "without a rest", "thread of low priority")


async def measure(options: argparse.Namespace, path: Path) -> dict[str, Any]:
    late: dict[str, list[float]] = {way: [] for way in WAYS}
    read_s = dict.fromkeys(WAYS, 0.0)
    chance = random.Random(1)
    argv = (sys.executable, "-c", COMPUTE)
    computing = [await asyncio.create_subprocess_exec(*argv) for _ in range(options.processes)]
    try:
        for _ in range(options.rounds):
            for way in chance.sample(WAYS, len(WAYS)):
                reading = asyncio.create_task(_read(way, path, read_s))
                await asyncio.sleep(0.5)
                late[way] += await _ticks(options.seconds)
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
    finally:
        for process in computing:
            process.kill()
            await process.wait()
    return {way: _figures(late[way], read_s[way]) for way in WAYS}


async def _ticks(seconds: float) -> list[float]:
    """How late each tick came, in ms."""
    loop, late = asyncio.get_running_loop(), []
    end_s = loop.time() + seconds
    while (begin_s := loop.time()) < end_s:
        await asyncio.sleep(TICK_S)
        late.append((loop.time() - begin_s - TICK_S) * 1000)
    return late


async def _read(way: str, path: Path, read_s: dict[str, float]) -> None:
    if way == "none":
        return
    with _executor(way):
        while True:
            opened = ChannelReader(path, PlannedChannel("C01", "", 0), STARTER_WINDOWS, 36_000)
            unused: Any = None
            one = JobChannel(unused, unused, opened, unused, lambda: way == "beside live speech")
            try:
                while (stretch := await one.next()) is not None:
                    read_s[way] += len(stretch.samples) / SAMPLE_RATE
            finally:
                opened.close()


@contextlib.contextmanager
def _executor(way: str) -> Any:
    """The thread that reads: that of jobs, or one with a low priority in its place."""
    if way != "thread of low priority":
        yield
        return
    with ThreadPoolExecutor(1, initializer=_lower_priority) as slow:
        vars(channels)["reader"] = lambda: slow  # the former way, only here
        try:
            yield
        finally:
            vars(channels)["reader"] = reader


def _lower_priority() -> None:
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _figures(late: list[float], read_s: float) -> dict[str, float]:
    p50, p95, p99 = np.percentile(late, (50, 95, 99))
    figures = {"p50_ms": p50, "p95_ms": p95, "p99_ms": p99, "max_ms": max(late), "read_s": read_s}
    return {"ticks": len(late), **{name: round(float(value), 1) for name, value in figures.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each way in a round")
    parser.add_argument("--processes", type=int, default=2, help="that compute meanwhile")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-job-reading-") as folder:
        words = ("alpha one proceed to gate seven over", "echo six hold at gate nine")
        parts = [part for text in words for part in (say(text), silence(1.0))]
        path = write_wav(Path(folder) / "talk.wav", np.tile(np.concatenate(parts), 60))
        sys.stdout.write(json.dumps(asyncio.run(measure(options, path)), indent=2) + "\n")


if __name__ == "__main__":
    main()
