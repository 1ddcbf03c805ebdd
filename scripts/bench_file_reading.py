"""How late is live text while the engine reads a recording? Compare ways of reading, in turns.

  python -m scripts.bench_file_reading --rounds 4

Three real engines with the starter model run, one for each way of reading: as the engine does it (the
thread rests while somebody speaks), without rests, and with a thread of low priority (nice 10), which the
engine used before. Only one of them has work at a time. Live windows go to it, one after the other, while
it reads a recording of silence, which costs nothing but reading. Other processes compute meanwhile. Each
round has all ways, and one without a recording, in changing order.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import sys
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
import numpy as np

from host_stt.config import EngineConfig
from host_stt.contract import SAMPLE_RATE, Priority, Window, encode_window
from host_stt.files import job
from host_stt.server import serve
from tests.support.audio_files import encoded
from tests.support.speech import say

PAUSE_S = 0.05
NICENESS = 10
COMPUTE = "while True: sum(range(100_000))"
NONE, NOW, NO_REST, LOW = "no recording", "as now", "without rests", "thread of low priority"
WAYS = (NONE, NOW, NO_REST, LOW)
SILENCE_S = 3600


def run_engine(way: str) -> None:
    """In a process of its own: an engine that reads in this way. Prints its port."""
    if way in (NO_REST, LOW):
        vars(job)["rest_s"] = lambda read_s: 0.0
    if way == LOW:
        slow = ThreadPoolExecutor(1, initializer=_lower_priority)
        vars(job)["reader"] = lambda: slow
        vars(job)["TURN_BLOCKS"] = 30

    def on_port(port: int) -> None:
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()

    asyncio.run(serve(EngineConfig(port=0, model="starter"), None, on_port=on_port))


def _lower_priority() -> None:
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


@contextlib.asynccontextmanager
async def an_engine(way: str) -> AsyncIterator[str]:
    argv = (sys.executable, "-m", "scripts.bench_file_reading", "--engine", way)
    process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(await process.stdout.readline())}"
    finally:
        process.kill()
        await process.wait()


async def measure(options: argparse.Namespace, recording: bytes) -> dict[str, Any]:
    took: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    chance = random.Random(1)
    argv = (sys.executable, "-c", COMPUTE)
    async with contextlib.AsyncExitStack() as stack:
        engines = {way: await stack.enter_async_context(an_engine(way)) for way in WAYS[1:]}
        engines[NONE] = engines[NOW]
        client = await stack.enter_async_context(aiohttp.ClientSession())
        for url in engines.values():
            await _until_ready(client, url)
        computing = [await asyncio.create_subprocess_exec(*argv) for _ in range(options.processes)]
        try:
            for _ in range(options.rounds):
                for way in chance.sample(WAYS, len(WAYS)):
                    reading = asyncio.create_task(_read(client, engines[way], way, recording))
                    await asyncio.sleep(1.0)
                    took[way] += await _windows(client, engines[way], options.seconds)
                    assert way == NONE or not reading.done(), "the recording was too short"
                    reading.cancel()
                    await asyncio.gather(reading, return_exceptions=True)
        finally:
            for process in computing:
                process.kill()
                await process.wait()
    return {way: _figures(took[way], took[NONE]) for way in WAYS}


async def _until_ready(client: aiohttp.ClientSession, url: str) -> None:
    while True:
        async with client.get(f"{url}/ready") as response:
            if response.status == 200:
                return
        await asyncio.sleep(0.2)


async def _read(client: aiohttp.ClientSession, url: str, way: str, recording: bytes) -> None:
    if way == NONE:
        return
    form = aiohttp.FormData()
    form.add_field("file", recording, filename="silence.flac")
    async with client.post(
        f"{url}/v1/audio/transcriptions", data=form, timeout=aiohttp.ClientTimeout(total=None)
    ) as response:
        await response.read()


async def _windows(client: aiohttp.ClientSession, url: str, seconds: float) -> list[tuple[float, float]]:
    """(the time from a live window to its text, the time of GET /health) in ms."""
    samples = say("echo six hold")
    took: list[tuple[float, float]] = []
    async with client.ws_connect(f"{url}/v1/windows") as socket:
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            window = Window(
                id=f"w{len(took)}",
                channel="C01",
                samples=samples,
                start_sample=len(took) * SAMPLE_RATE,
                priority=Priority.FINAL,
                language="en",
            )
            begin_s = time.monotonic()
            await socket.send_bytes(encode_window(window))
            while json.loads((await socket.receive()).data).get("id") != window.id:
                pass
            text_s = time.monotonic() - begin_s
            begin_s = time.monotonic()
            async with client.get(f"{url}/health") as response:
                await response.read()
            took.append((text_s * 1000, (time.monotonic() - begin_s) * 1000))
            await asyncio.sleep(PAUSE_S)
    return took


def _figures(took: list[tuple[float, float]], alone: list[tuple[float, float]]) -> dict[str, Any]:
    return {
        "windows": len(took),
        "text": _percentiles([text for text, _ in took], [text for text, _ in alone]),
        "health": _percentiles([health for _, health in took], [health for _, health in alone]),
    }


def _percentiles(took: list[float], alone: list[float]) -> dict[str, float]:
    p50, p95, p99 = np.percentile(took, (50, 95, 99))
    ratio = p95 / np.percentile(alone, 95)
    figures = {"p50_ms": p50, "p95_ms": p95, "p99_ms": p99, "max_ms": max(took), "p95_ratio": ratio}
    return {name: round(float(value), 2) for name, value in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each way in a round")
    parser.add_argument("--processes", type=int, default=2, help="that compute meanwhile")
    parser.add_argument("--engine", choices=WAYS[1:], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.engine:
        run_engine(options.engine)
        return
    silence = encoded(np.zeros((1, SILENCE_S * SAMPLE_RATE), np.float32), SAMPLE_RATE, "flac", "flac")
    sys.stdout.write(json.dumps(asyncio.run(measure(options, silence)), indent=2) + "\n")


if __name__ == "__main__":
    main()
