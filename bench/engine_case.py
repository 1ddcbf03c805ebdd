"""Run one case of the engine's benchmark: 8081 as a process, N channels of load, and the figures.

Controls the engine's process and reads its figures: `/metrics` before and after, CPU time, peak memory. A
case may also transcribe a recording at the same time (`/v1/audio/transcriptions`, again and again without a
pause); live channels should not notice that.
"""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
import time
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import psutil

from bench.engine_load import Load, Tally, run_load
from host_stt.contract import SAMPLE_RATE, Float32Array, Priority

ROOT = Path(__file__).resolve().parent.parent
FINAL_P95_S = 0.5
"""A case holds if no final is lost or shed, and 95 of 100 finals get their result within this time."""
FILE_S = 600
"""Length of the recording, speech and pauses, that is transcribed during a case again and again."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A model to measure. tokens_per_s: fixed for random weights, which do not end a text by themselves."""

    name: str
    folder: Path
    is_short: bool
    tokens_per_s: float | None


class EngineProcess:
    """8081 with `subject`. The constructor starts it, `end` stops it."""

    def __init__(self, subject: Subject, threads: int) -> None:
        settings = {
            "cpu_threads": threads,
            "hang_s": 600,
            "folder": str(subject.folder),
            "name": subject.name,
            "short": subject.is_short,
            "tokens_per_s": subject.tokens_per_s,
        }
        command = [sys.executable, "-m", "bench.engine_process", json.dumps(settings)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = f"http://127.0.0.1:{self.process.stdout.readline().split()[1]}"

    async def ready(self) -> None:
        async with aiohttp.ClientSession() as http:
            while True:
                async with http.get(f"{self.url}/ready") as answer:
                    if answer.status == 200:
                        return
                await asyncio.sleep(0.2)

    async def figures(self) -> dict[str, float]:
        """The samples of /metrics by name and labels."""
        async with aiohttp.ClientSession() as http, http.get(f"{self.url}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return {k: float(v) for k, _, v in (ln.rpartition(" ") for ln in lines if not ln.startswith("#"))}

    def cpu_s(self) -> float:
        spent = psutil.Process(self.process.pid).cpu_times()
        return float(spent.user + spent.system)

    def peak_mb(self) -> int:
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 // 1_000_000 for line in lines if line.startswith("VmHWM"))

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(30)


async def run_case(
    subject: Subject, clips: list[Float32Array], load: Load, *, threads: int = 0, with_file: bool = False
) -> dict[str, Any]:
    """The figures of one load on a newly started engine."""
    engine = EngineProcess(subject, threads)
    try:
        await engine.ready()
        async with _reading_a_file(engine.url, clips if with_file else []):
            before = await engine.figures()
            began, began_cpu = time.monotonic(), engine.cpu_s()
            tally = await run_load(engine.url, load, clips)
            took_s, cpu_s = time.monotonic() - began, engine.cpu_s() - began_cpu
            after = await engine.figures()
        peak_mb = engine.peak_mb()
    finally:
        engine.end()
    spent = {name: after[name] - before.get(name, 0.0) for name in after}
    return {
        "channels": load.channels,
        "talk": load.talk,
        "file_windows": round(_sum_of_rows(spent, Priority.BACKGROUND)) if with_file else None,
        "final_ms": _percentiles(tally.latencies_s[Priority.FINAL]),
        "interim_ms": _percentiles(tally.latencies_s[Priority.INTERIM]),
        "finals_asked": tally.asked[Priority.FINAL],
        "interims_asked": tally.asked[Priority.INTERIM],
        "interims_shed": tally.errors.get("interim shed", 0),
        "errors": tally.errors,
        "rows_per_call": {p.value: _rows_per_call(spent, p) for p in (Priority.FINAL, Priority.INTERIM)},
        "busy_share": round(spent["host_stt_engine_busy_seconds_total"] / took_s, 3),
        "cores_used": round(cpu_s / took_s, 2),
        "peak_mb": peak_mb,
        "holds": _holds(tally),
    }


def _holds(tally: Tally) -> bool:
    finals = tally.latencies_s[Priority.FINAL]
    is_whole = not tally.unanswered_finals and not any(key.startswith("final") for key in tally.errors)
    return bool(finals) and is_whole and float(np.percentile(finals, 95)) <= FINAL_P95_S


def _sum_of_rows(spent: dict[str, float], priority: Priority) -> float:
    return spent.get(f'host_stt_engine_batch_windows_sum{{priority="{priority.value}"}}', 0.0)


def _rows_per_call(spent: dict[str, float], priority: Priority) -> float:
    calls = spent.get(f'host_stt_engine_batch_windows_count{{priority="{priority.value}"}}', 0.0)
    return round(_sum_of_rows(spent, priority) / calls, 2) if calls else 0.0


def _percentiles(seconds: list[float]) -> dict[str, float]:
    if not seconds:
        return {"n": 0}
    p50, p95, p99 = (round(1000 * float(x)) for x in np.percentile(seconds, [50, 95, 99]))
    return {"n": len(seconds), "p50": p50, "p95": p95, "p99": p99}


# --- a recording at the same time --------------------------------------------------------------------------


@asynccontextmanager
async def _reading_a_file(url: str, clips: list[Float32Array]) -> AsyncIterator[None]:
    """Transcribe a recording while the block runs; without clips, do nothing."""
    if not clips:
        yield
        return
    began = asyncio.Event()
    reading = asyncio.create_task(_read_on(url, _recording(clips), began))
    try:
        async with asyncio.timeout(120):
            await began.wait()
        yield
        if reading.done():
            reading.result()
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def _read_on(url: str, sound: bytes, began: asyncio.Event) -> None:
    """Send the recording and read its text, again and again, until cancelled."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout()) as http:
        while True:
            form = aiohttp.FormData({"model": "whisper-1", "language": "en", "stream": "true"})
            form.add_field("file", sound, filename="long.wav", content_type="audio/wav")
            async with http.post(f"{url}/v1/audio/transcriptions", data=form) as answer:
                answer.raise_for_status()
                async for line in answer.content:
                    if line.startswith(b"data:"):
                        began.set()


def _recording(clips: list[Float32Array]) -> bytes:
    """A WAV file of FILE_S seconds: the clips repeated, with pauses of 0.8 s."""
    pause = np.zeros(round(0.8 * SAMPLE_RATE), np.float32)
    once = np.concatenate([part for clip in clips for part in (clip, pause)])
    samples = np.resize(once, FILE_S * SAMPLE_RATE)
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE)
        out.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return file.getvalue()
