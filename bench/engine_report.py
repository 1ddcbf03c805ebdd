"""The report of the engine's benchmark: machine, model, a table of cases, ratios to faster-whisper."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

HEAD = (
    "channels | talk | final p50/p95/p99 ms (n/asked) | interim p50/p95/p99 ms (n/asked) | interims shed | "
    "rows per call final/interim | busy | cores used | peak MB | holds"
)


def machine() -> dict[str, Any]:
    return {
        "when": datetime.now(UTC).isoformat(timespec="minutes"),
        "machine": f"{_processor()}, {psutil.cpu_count()} cores, Linux {platform.release().split('-')[0]}",
        "load_average_at_start": round(psutil.getloadavg()[0], 2),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((ln.partition(":")[2].strip() for ln in lines if ln.startswith("model name")), "unknown")


def table(report: dict[str, Any]) -> str:
    rows = [f"{key}: {value}" for key, value in report["about"].items()]
    if through := report.get("throughput"):
        rounds = len(through["seconds"]["ours"])
        rows.append(f"seconds for {through['windows']} finals, {rounds} rounds: {through['seconds']}")
        rows.append(f"processor seconds: {through['cpu_seconds']}")
        rows.append(f"ours is so many times as fast: {through['ours_is_times_as_fast']}")
        rows.append(f"ours takes so many times less processor: {through['ours_takes_times_less_cpu']}")
    if report["cases"]:
        rows.append(HEAD)
    return "\n".join([*rows, *map(_line, report["cases"])])


def _line(case: dict[str, Any]) -> str:
    final, interim, rows = case["final_ms"], case["interim_ms"], case["rows_per_call"]
    cells = (
        case["channels"],
        f"{case['talk']:.0%}",
        f"{_triple(final)} ({final['n']}/{case['finals_sent']})",
        f"{_triple(interim)} ({interim['n']}/{case['interims_sent']})",
        case["interims_shed"],
        f"{rows['final']} / {rows['interim']}",
        f"{case['busy_share']:.0%}",
        case["cores_used"],
        case["peak_mb"],
        f"{'yes' if case['holds'] else 'no'} {case['errors'] or ''}{_beside(case)}",
    )
    return " | ".join(map(str, cells)).rstrip()


def _beside(case: dict[str, Any]) -> str:
    windows = case["file_windows"]
    return "" if windows is None else f" beside a recording, {windows} windows of it read"


def _triple(figures: dict[str, float]) -> str:
    return "/".join(str(figures.get(key, "-")) for key in ("p50", "p95", "p99"))
