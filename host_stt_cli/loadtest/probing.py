"""Measure the processes of a run: CPU, memory, threads, files, event-loop lag, the engine's queue, the GPU.

Takes a sample each second; `verdict` judges them. Finds processes by the port that they listen on, so
processes of another machine are not measured; the report says so.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import psutil
from prometheus_client.parser import text_string_to_metric_families

SELF = "load test"
MEDIA, ENGINE = "8082", "8081"
Samples = dict[str, float]


async def scrape(http: aiohttp.ClientSession, url: str) -> Samples:
    """The samples of a /metrics page by name{labels}; empty if it cannot be read."""
    try:
        async with http.get(f"{url}/metrics") as response:
            return parsed(await response.text()) if response.status == 200 else {}
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return {}


def parsed(text: str) -> Samples:
    samples: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            samples[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return samples


def difference(after: Samples, before: Samples) -> Samples:
    return {name: value - before.get(name, 0.0) for name, value in after.items()}


def quantiles(spent: Samples, name: str, **labels: str) -> dict[str, float]:
    """n, p50, p95, p99 of a histogram's growth; each is the upper bound of its bucket."""
    wanted = {f"{key}={value}" for key, value in labels.items()}
    buckets: dict[float, float] = {}
    for key, value in spent.items():
        head, _, tail = key.rstrip("}").partition("{")
        parts = set(tail.split(","))
        if head == f"{name}_bucket" and wanted <= parts:
            bound = next(float(part[3:]) for part in parts if part.startswith("le="))
            buckets[bound] = buckets.get(bound, 0.0) + value
    total = max(buckets.values(), default=0.0)
    figures: dict[str, float] = {"n": total}
    if total:
        for share in (50, 95, 99):
            bound = min(b for b, count in buckets.items() if count >= total * share / 100)
            figures[f"p{share}"] = bound if bound != float("inf") else -1.0
    return figures


# --- processes ------------------------------------------------------------------------------------------


def listener(url: str) -> psutil.Process | None:
    """The process of this machine that listens at `url`; None if none can be seen."""
    port = urlsplit(url).port
    for process in psutil.process_iter():
        try:
            if any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in _tcp(process)):
                return process
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue
    return None


def engine_of(media: psutil.Process) -> tuple[psutil.Process, str] | None:
    """The engine that `serve` runs as its child, and its URL."""
    for child in media.children():
        for connection in _tcp(child):
            if connection.status == psutil.CONN_LISTEN:
                return child, f"http://127.0.0.1:{connection.laddr.port}"
    return None


def _tcp(process: psutil.Process) -> Iterable[Any]:
    connections: Iterable[Any] = process.net_connections("tcp")
    return connections


@dataclass(slots=True)
class Sample:
    at_s: float
    processes: dict[str, dict[str, float]] = field(default_factory=dict)
    machine_percent: float = 0.0  # of all cores
    loop_lag_ms: float | None = None  # mean of 8082 in this second
    gpu: dict[str, float] = field(default_factory=dict)


class Probe:
    """Takes a sample each second until it is stopped."""

    def __init__(self, http: aiohttp.ClientSession, base: str, engine: str | None) -> None:
        self._http, self._base = http, base
        self._processes = {SELF: psutil.Process()}
        self.engine = engine
        media = listener(base) if _is_here(base) else None
        if media is not None:
            self._processes[MEDIA] = media
            if found := engine_of(media):
                self._processes[ENGINE], self.engine = found[0], engine or found[1]
        if engine and ENGINE not in self._processes and _is_here(engine) and (process := listener(engine)):
            self._processes[ENGINE] = process
        self.samples: list[Sample] = []
        self._lag = (0.0, 0.0)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._processes)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for process in self._processes.values():
            _percent(process)  # the first call only starts the measurement
        psutil.cpu_percent()
        while True:
            await asyncio.sleep(1.0)
            self.samples.append(await self._sample(loop.time()))

    async def _sample(self, at_s: float) -> Sample:
        sample = Sample(at_s, machine_percent=psutil.cpu_percent())
        for name, process in self._processes.items():
            if figures := _figures(process):
                sample.processes[name] = figures
        media = await scrape(self._http, self._base)
        total = media.get("host_stt_loop_lag_seconds_sum", 0.0)
        count = media.get("host_stt_loop_lag_seconds_count", 0.0)
        if count > self._lag[1]:
            sample.loop_lag_ms = 1000 * (total - self._lag[0]) / (count - self._lag[1])
        self._lag = (total, count)
        sample.gpu = await gpu_now()
        return sample


def _is_here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    here = {address.address for each in psutil.net_if_addrs().values() for address in each}
    return host == "localhost" or host in here


def _percent(process: psutil.Process) -> float:
    try:
        return float(process.cpu_percent())
    except psutil.Error:
        return 0.0


def _figures(process: psutil.Process) -> dict[str, float]:
    """Figures of a process; empty if it has ended."""
    try:
        with process.oneshot():
            return {
                "cpu_percent": float(process.cpu_percent()),  # of one core
                "rss_mb": round(process.memory_info().rss / 1e6, 1),
                "threads": float(process.num_threads()),
                "fds": float(process.num_fds()),
            }
    except psutil.Error:
        return {}


async def gpu_now() -> dict[str, float]:
    """Load and memory of the first GPU by nvidia-smi; empty if there is none."""
    if not shutil.which("nvidia-smi"):
        return {}
    query = "--query-gpu=utilization.gpu,memory.used"
    process = await asyncio.create_subprocess_exec(
        "nvidia-smi", query, "--format=csv,noheader,nounits", stdout=asyncio.subprocess.PIPE, env=os.environ
    )
    said, _ = await process.communicate()
    fields = said.decode().splitlines()[0].split(",") if said.strip() else []
    try:
        return {"load_percent": float(fields[0]), "memory_mb": float(fields[1])}
    except (IndexError, ValueError):
        return {}
