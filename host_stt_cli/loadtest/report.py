"""Build the report of a run: one plain dictionary for JSON, for the page and for a comparison.

Pure except for the machine's name and the time. Defines the names of the figures, which
docs/explanation/loadtest.md lists. A figure that could not be measured is left out, never zero.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from host_stt_cli.loadtest import measures
from host_stt_cli.loadtest.facts import Facts
from host_stt_cli.loadtest.measures import Arrived, Heard, Point, percentiles
from host_stt_cli.loadtest.probing import Probe, Sample, Samples, difference, quantiles
from host_stt_cli.loadtest.sending import Beat

VERSION = 1
POINTS_MAX = 1200  # of one series in a report, so the report of a whole night can be opened; see `thinned`
WARM_SHARE, WARM_S = 0.2, 300.0
"""Memory, threads and files grow when a server starts, so slopes leave out this part of a run."""
Series = list[tuple[float, float]]


def build(facts: Facts, arrived: Sequence[Arrived], beat: Beat, probe: Probe, *, lost: int) -> dict[str, Any]:
    heard = measures.heard_of(facts.spoken, arrived)
    seconds = (facts.to_ms - facts.from_ms) / 1000
    media, engine = (difference(a, b) for a, b in zip(facts.after, facts.before, strict=True))
    return {
        "version": VERSION,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["host-stt", *sys.argv[1:]]),
        "machine": _machine(probe.samples),
        "server": _server(facts.ready),
        "read_alone": list(facts.alone),
        "load": {**asdict(facts.load), "door": facts.load.door.value, "seconds": round(seconds, 1)},
        "given": _given(facts, seconds),
        "measures": {
            **_texts(heard, arrived, facts.language),
            "alone": _alone(heard, facts),
            "coverage_s": _coverage(facts, arrived),
            **_engine(engine, media, facts, seconds),
            "loop_lag_ms": _milliseconds(quantiles(media, "host_stt_loop_lag_seconds")),
            "growth": _growth(heard, probe.samples, facts),
            **_gpu(probe.samples),
        },
        "processes": {name: _process(probe.samples, name) for name in probe.names},
        "generator": {
            "late_ms": percentiles(beat.late_ms),
            "frames": beat.sent_frames,
            "packets_not_sent": lost,
            "broken": facts.broken,
        },
        "distribution": _distribution(heard),
        "series": _series(heard, arrived, probe, facts),
    }


# --- text ---------------------------------------------------------------------------------------------


def _texts(heard: Sequence[Heard], arrived: Sequence[Arrived], language: str) -> dict[str, Any]:
    whole = [one for one in heard if one.spoken.is_whole]
    errors = measures.timecode_error(heard)
    return {
        "utterances": len(whole),
        "missed": measures.missed(heard),
        "ttfs_ms": percentiles([point.value for point in measures.ttfs(heard)]),
        "first_text_ms": percentiles([point.value for point in measures.first_text(heard)]),
        "interim_age_ms": percentiles([point.value for point in measures.interim_age(arrived)]),
        "erasure": measures.erasure(arrived),
        "accuracy": measures.error_rate([(one.spoken.text, one.text) for one in whole], language),
        "accuracy_recorded": measures.error_rate(
            [(one.spoken.text, one.recorded) for one in whole], language
        ),
        "revised": sum(len(one.revised) for one in whole),
        "start_error_ms": measures.off_by(errors["start"]),
        "end_error_ms": measures.off_by(errors["end"]),
        "windows_failed": sum(a.event["type"] == "window.failed" for a in arrived),
    }


def _alone(heard: Sequence[Heard], facts: Facts) -> dict[str, Any]:
    """Error rate of the same phrases, as often as they were sent, without any load."""
    if not facts.alone:
        return {"n": 0}
    pairs = [(one.spoken.text, one.spoken.alone) for one in heard if one.spoken.is_whole]
    return measures.error_rate(pairs, facts.language)


def _coverage(facts: Facts, arrived: Sequence[Arrived]) -> dict[str, float]:
    events = [a.event for a in arrived if a.event["type"] == "coverage"]
    return measures.coverage(events, facts.from_ms, facts.to_ms)


def _given(facts: Facts, seconds: float) -> dict[str, Any]:
    """The load that was actually sent."""
    speech_s = sum(one.end_ms - one.start_ms for one in facts.spoken) / 1000
    return {
        "speech_s": round(speech_s, 1),
        "talk": round(speech_s / max(seconds, 1e-9) / facts.load.channels, 3),
        "language": facts.language,
        "clips": len(facts.clips),
    }


# --- the server -----------------------------------------------------------------------------------------


def _engine(engine: Samples, media: Samples, facts: Facts, seconds: float) -> dict[str, Any]:
    """Figures from both /metrics pages; without those of the engine if it could not be reached."""
    figures: dict[str, Any] = {
        "interims_shed": int(media.get("host_stt_speech_interims_shed_total", 0)),
        "audio_shed_s": round(media.get("host_stt_speech_shed_ms_total", 0.0) / 1000, 2),
        "finals_refused": 0,
    }
    if not engine:
        return figures
    busy_s = engine.get("host_stt_engine_busy_seconds_total", 0.0)
    calls = int(facts.ready.get("replicas", 1)) * int(facts.ready.get("calls_at_once", 1))
    spoken_s = sum(one.end_ms - one.start_ms for one in facts.spoken) / 1000
    name = "host_stt_engine_queue_wait_seconds"
    return figures | {
        "finals_refused": int(_sum(engine, "host_stt_engine_windows_total", "outcome=overloaded", "final")),
        "windows_shed": int(_sum(engine, "host_stt_engine_shed_windows")),
        "engine_busy": round(busy_s / calls / max(seconds, 1e-9), 3),
        "rtf": round(busy_s / spoken_s, 4) if spoken_s else None,  # decoding seconds per second of speech
        "final_wait_ms": _milliseconds(quantiles(engine, name, priority="final")),
        "interim_wait_ms": _milliseconds(quantiles(engine, name, priority="interim")),
    }


def _sum(samples: Samples, name: str, *parts: str) -> float:
    found = (v for k, v in samples.items() if k.partition("{")[0] == name and all(p in k for p in parts))
    return sum(found)


def _milliseconds(figures: dict[str, float]) -> dict[str, float]:
    return {key: value if key == "n" else round(value * 1000, 1) for key, value in figures.items()}


def _server(ready: dict[str, Any]) -> dict[str, Any]:
    wanted = ("model", "model_reason", "is_starter", "device", "compute_type", "replicas", "version")
    return {key: ready[key] for key in wanted if key in ready}


# --- machines -------------------------------------------------------------------------------------------


def _machine(samples: Sequence[Sample]) -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if sys.platform == "linux" else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    machine: dict[str, Any] = {
        "processor": next(names, platform.machine()),
        "cores": psutil.cpu_count(),
        "memory_mb": psutil.virtual_memory().total // 1_000_000,
        "load_average": [round(value, 2) for value in psutil.getloadavg()],
    }
    if samples:
        machine["cpu_percent_mean"] = round(float(np.mean([s.machine_percent for s in samples])), 1)
    return machine


def _process(samples: Sequence[Sample], name: str) -> dict[str, float]:
    found = [sample.processes[name] for sample in samples if name in sample.processes]
    if not found:
        return {"cpu_percent_mean": 0.0}
    cpu = [figures["cpu_percent"] for figures in found]
    return {
        "cpu_percent_mean": round(float(np.mean(cpu)), 1),
        "cpu_percent_p95": round(float(np.percentile(cpu, 95)), 1),
        "rss_mb_max": max(figures["rss_mb"] for figures in found),
        "threads_max": max(figures["threads"] for figures in found),
        "fds_max": max(figures["fds"] for figures in found),
    }


def _gpu(samples: Sequence[Sample]) -> dict[str, Any]:
    found = [sample.gpu for sample in samples if sample.gpu]
    if not found:
        return {}
    load = round(float(np.mean([figures["load_percent"] for figures in found])), 1)
    return {"gpu": {"load_percent_mean": load, "memory_mb_max": max(f["memory_mb"] for f in found)}}


def _growth(heard: Sequence[Heard], samples: Sequence[Sample], facts: Facts) -> dict[str, Any]:
    """Slopes per hour, which a soak test judges."""
    warm_s = min(WARM_S, WARM_SHARE * (facts.to_ms - facts.from_ms) / 1000)
    warm = [one for one in samples if one.at_s - facts.begin_s >= warm_s]
    growth: dict[str, Any] = {"ttfs_ms_per_hour": measures.growth_per_hour(measures.ttfs(heard))}
    offset = [
        Point(one.spoken.start_ms, min(f.event["start_ms"] for f in one.finals) - one.spoken.start_ms)
        for one in heard
        if one.spoken.is_whole and one.finals
    ]
    growth["timecode_ms_per_hour"] = measures.growth_per_hour(offset)
    for name in sorted({name for sample in warm for name in sample.processes}):
        for figure in ("rss_mb", "threads", "fds"):
            points = [Point(s.at_s * 1000, s.processes[name][figure]) for s in warm if name in s.processes]
            growth[f"{name} {figure}_per_hour"] = measures.growth_per_hour(points)
    return growth


# --- for the plots ---------------------------------------------------------------------------------------


def _series(
    heard: Sequence[Heard], arrived: Sequence[Arrived], probe: Probe, facts: Facts
) -> dict[str, Series]:
    """For each figure: (seconds since the start, value)."""
    series = {
        "ttfs_ms": _since(measures.ttfs(heard), facts.from_ms),
        **{f"ttfs_ms p{share}": _ttfs_over_time(heard, facts, share) for share in (50, 95)},
        "first_text_ms": _since(measures.first_text(heard), facts.from_ms),
        "interim_age_ms": _since(measures.interim_age(arrived), facts.from_ms),
        "loop_lag_ms": _sampled(probe.samples, facts, lambda s: s.loop_lag_ms),
        "machine cpu_percent": _sampled(probe.samples, facts, lambda s: s.machine_percent),
    }
    for name in probe.names:
        for figure in ("cpu_percent", "rss_mb"):
            series[f"{name} {figure}"] = _sampled(probe.samples, facts, partial(_of_process, name, figure))
    return series


def _ttfs_over_time(heard: Sequence[Heard], facts: Facts, share: int) -> Series:
    points = [Point(p.at_ms - facts.from_ms, p.value) for p in measures.ttfs(heard)]
    every_ms = max(5000.0, (facts.to_ms - facts.from_ms) / 60)
    return _since(measures.over_time(points, every_ms, share), 0.0)


def _distribution(heard: Sequence[Heard]) -> list[float]:
    """Time to final text in ms, for 0, 1 ... 100 % of the utterances."""
    values = [point.value for point in measures.ttfs(heard)]
    return [round(float(v), 1) for v in np.percentile(values, range(101))] if values else []


def _of_process(name: str, figure: str, sample: Sample) -> float | None:
    return sample.processes.get(name, {}).get(figure)


def _since(points: Sequence[Point], from_ms: float) -> Series:
    return thinned([(round((p.at_ms - from_ms) / 1000, 2), round(p.value, 1)) for p in points])


def _sampled(samples: Sequence[Sample], facts: Facts, value: Callable[[Sample], float | None]) -> Series:
    found = ((round(s.at_s - facts.begin_s, 2), value(s)) for s in samples)
    return thinned([(at_s, round(v, 2)) for at_s, v in found if v is not None])


def thinned(series: Series) -> Series:
    """At most POINTS_MAX points: the first and the largest of each group, because peaks must stay visible."""
    if len(series) <= POINTS_MAX:
        return series
    step = -(-len(series) // (POINTS_MAX // 2))
    groups = (series[n : n + step] for n in range(0, len(series), step))
    return [point for group in groups for point in sorted({group[0], max(group, key=lambda p: p[1])})]
