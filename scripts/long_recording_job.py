"""Transcribe a recording of many hours as a job, and watch the memory of the server.

  python scripts/long_recording_job.py --hours 10
  python scripts/long_recording_job.py --hours 10 --stop-after 600
  python scripts/long_recording_job.py --hours 0.5 --kill

Starts a real `host-stt serve` with the starter model on a free port, makes a WAV file with a spoken phrase
every 20 s, sends it by the tus protocol in pieces, and follows the job. --stop-after: cancel the job after so
many seconds, for a machine that is busy. --kill: kill -9 the server in the middle of the upload, which then
goes on with the server that is started again. Prints the memory of the media process as the job goes on, and
the report. Exit status 1 if the job failed, a phrase has no line, or the memory grows by more than 60 MB
after the first tenth of what was transcribed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.kill_run import Host, Plan  # noqa: E402
from host_stt_cli.job_client import JobClient  # noqa: E402
from tests.support.speech import say, silence  # noqa: E402

RATE = 16_000
EVERY_S = 20
TEXTS = ("alpha one proceed to gate seven", "bravo two calls you back", "echo six hold at gate nine")
PIECE_BYTES = 32 * 1024 * 1024
LOOK_S = 5.0
GROWTH_MB_MAX = 60.0
TUS = {"Tus-Resumable": "1.0.0"}


@dataclass(frozen=True, slots=True)
class Sample:
    at_s: float
    done_s: float  # of the recording
    rss_mb: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--hours", type=float, default=10.0)
    parser.add_argument("--stop-after", type=float, default=24 * 3600.0, metavar="SECONDS")
    parser.add_argument("--kill", action="store_true", help="kill -9 in the middle of the upload")
    parser.add_argument("--json", help="write the report there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="long-recording-") as folder:
        report = asyncio.run(run(Path(folder), options))
    text = json.dumps(report, indent=2)
    _say(text)
    if options.json:
        Path(options.json).write_text(text + "\n")
    return 0 if report["is_good"] else 1


async def run(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    path = folder / "long.wav"
    await asyncio.to_thread(write_recording, path, options.hours)
    _say(f"{path.stat().st_size / 1e6:.0f} MB of WAV")
    sets = ("--set", "jobs.free_bytes_min=0", "--set", "jobs.file_bytes=8000000000")
    host = Host(folder, Plan(options=sets))
    await asyncio.to_thread(host.start)
    try:
        await asyncio.to_thread(host.wait_ready)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=600)) as http:
            before_mb = rss_mb(host)
            began_s = time.monotonic()
            job, highest_mb = await send(http, host, path, is_killed=options.kill)
            sent_s = time.monotonic() - began_s
            _say(f"sent in {sent_s:.0f} s; memory {before_mb:.0f} MB before, at most {highest_mb:.0f} MB")
            samples, state = await watch(JobClient(http, host.url), job, host, options.stop_after)
            lines = await count_lines(JobClient(http, host.url), job)
    finally:
        await asyncio.to_thread(host.close)
    return report_of(options.hours, sent_s, before_mb, highest_mb, samples, state, lines)


def write_recording(path: Path, hours: float) -> None:
    """A phrase every EVERY_S seconds; the file is written piece by piece."""
    pieces = []
    for text in TEXTS:
        spoken = np.concatenate([silence(1.0), say(text)])
        padded = np.pad(spoken, (0, EVERY_S * RATE - len(spoken)))
        pieces.append((padded * 32767).astype("<i2").tobytes())
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        for number in range(round(hours * 3600 / EVERY_S)):
            file.writeframes(pieces[number % len(pieces)])


async def send(http: aiohttp.ClientSession, host: Host, path: Path, *, is_killed: bool) -> tuple[str, float]:
    """Send the file in pieces; returns the job, and the highest memory of the server meanwhile."""
    size, highest_mb = await asyncio.to_thread(lambda: path.stat().st_size), 0.0
    async with http.post(f"{host.url}/api/uploads", headers={**TUS, "Upload-Length": str(size)}) as response:
        response.raise_for_status()
        url = host.url + response.headers["Location"]
    with path.open("rb") as file:
        while (offset := await arrived(http, url)) < size:
            file.seek(offset)
            data = await asyncio.to_thread(file.read, PIECE_BYTES)
            sending = asyncio.create_task(send_piece(http, url, offset, data))
            if is_killed and offset >= size // 2:
                is_killed = False
                await asyncio.to_thread(host.kill, "media")
                await asyncio.gather(sending, return_exceptions=True)
                await asyncio.to_thread(host.start)
                await asyncio.to_thread(host.wait_ready)
                _say(f"killed at {offset / 1e6:.0f} MB; {await arrived(http, url) / 1e6:.0f} MB have arrived")
                continue
            await sending
            highest_mb = max(highest_mb, rss_mb(host))
    return url.rpartition("/")[2], highest_mb


async def send_piece(http: aiohttp.ClientSession, url: str, offset: int, data: bytes) -> None:
    headers = {**TUS, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
    async with http.patch(url, headers=headers, data=data) as response:
        response.raise_for_status()


async def arrived(http: aiohttp.ClientSession, url: str) -> int:
    async with http.head(url, headers=TUS) as response:
        response.raise_for_status()
        return int(response.headers["Upload-Offset"])


async def watch(client: JobClient, job: str, host: Host, stop_after_s: float) -> tuple[list[Sample], str]:
    began_s, samples = time.monotonic(), list[Sample]()
    while True:
        now = await client.get(job)
        at_s = time.monotonic() - began_s
        samples.append(Sample(at_s, now["done_s"], rss_mb(host)))
        if len(samples) % 12 == 1:
            _say(f"{at_s:6.0f} s: {now['done_s'] / 3600:5.2f} h are done, memory {samples[-1].rss_mb:.0f} MB")
        if now["state"] not in ("queued", "running"):
            return samples, str(now["state"])
        if at_s > stop_after_s:
            return samples, str((await client.cancel(job))["state"])
        await asyncio.sleep(LOOK_S)


async def count_lines(client: JobClient, job: str) -> int:
    lines = 0
    async for name, _ in client.events(job):
        lines += name == "transcript_segment"
    return lines


def rss_mb(host: Host) -> float:
    """Of the media process alone; the engine is a child."""
    return float(psutil.Process(host.pid).memory_info().rss) / 1e6


def report_of(
    hours: float,
    sent_s: float,
    before_mb: float,
    upload_mb: float,
    samples: list[Sample],
    state: str,
    lines: int,
) -> dict[str, Any]:
    done_s = samples[-1].done_s
    early = [one.rss_mb for one in samples if one.done_s <= done_s / 10] or [samples[0].rss_mb]
    late = [one.rss_mb for one in samples if one.done_s > done_s / 10] or early
    phrases = int(done_s // EVERY_S)
    growth_mb = max(late) - max(early)
    return {
        "hours": hours,
        "state": state,
        "done_hours": round(done_s / 3600, 2),
        "took_s": round(samples[-1].at_s),
        "upload_s": round(sent_s),
        "memory_mb": {
            "before": round(before_mb),
            "most_during_the_upload": round(upload_mb),
            "most_in_the_first_tenth": round(max(early)),
            "most_after_it": round(max(late)),
        },
        "phrases": phrases,
        "lines": lines,
        "is_good": state in ("completed", "cancelled") and lines >= phrases and growth_mb <= GROWTH_MB_MAX,
    }


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
