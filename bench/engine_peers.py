"""Compare speed on the same finals in one run: our batches, and faster-whisper's two methods one by one.

faster-whisper pads every window to 30 s. So a model that our engine decodes in short windows is also measured
with ours at 30 s. Our engine also computes word times, faster-whisper here does not. Rounds alternate, so
that other work on the machine affects all of them.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from statistics import median
from typing import Any

import psutil

from bench.engine_case import EngineProcess, Subject
from bench.engine_load import send_all
from bench.one_by_one import seconds_for
from host_stt.contract import Float32Array

Took = tuple[float, float]
"""(seconds, CPU seconds)"""


async def throughput(
    subject: Subject, clips: list[Float32Array], *, windows: int, rounds: int, threads: int = 0
) -> dict[str, Any]:
    """Decode `windows` finals of 16 channels, `rounds` times with each method."""
    sounds = (clips * (1 + windows // len(clips)))[:windows]
    threads = threads or len(psutil.Process().cpu_affinity())
    ways: dict[str, list[Took]] = {}
    for _ in range(rounds):
        for name, took in (await _round(subject, sounds, threads)).items():
            ways.setdefault(name, []).append(took)
    middle = {name: median(t for t, _ in took) for name, took in ways.items()}
    # On a machine with other work, only CPU times can be compared.
    cpu = {name: median(t for _, t in took) for name, took in ways.items()}
    return {
        "windows": windows,
        "seconds": {name: [round(t, 3) for t, _ in took] for name, took in ways.items()},
        "cpu_seconds": {name: [round(t, 3) for _, t in took] for name, took in ways.items()},
        "ours_is_times_as_fast": {name: round(took / middle["ours"], 2) for name, took in middle.items()},
        "ours_takes_times_less_cpu": {name: round(took / cpu["ours"], 2) for name, took in cpu.items()},
    }


async def _round(subject: Subject, sounds: list[Float32Array], threads: int) -> dict[str, Took]:
    took = {"ours": await _ours(subject, sounds, threads)}
    if subject.is_short:
        took["ours at 30 s"] = await _ours(replace(subject, is_short=False), sounds, threads)
    for name, batched in (("transcribe", False), ("batched pipeline", True)):
        took[name] = await asyncio.to_thread(
            seconds_for,
            subject.folder,
            sounds,
            batched=batched,
            tokens_per_s=subject.tokens_per_s,
            threads=threads,
        )
    return took


async def _ours(subject: Subject, sounds: list[Float32Array], threads: int) -> Took:
    engine = EngineProcess(subject, threads)
    try:
        await engine.ready()
        await send_all(engine.url, sounds[:1])
        began = engine.cpu_s()
        took_s = await send_all(engine.url, sounds)
        return took_s, engine.cpu_s() - began
    finally:
        engine.end()
