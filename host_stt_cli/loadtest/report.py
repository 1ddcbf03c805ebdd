"""The report of a run: one plain dictionary, the same for JSON, for the page and for a comparison.

Pure but for the machine's name and the hour. Owns the names of the figures, which
docs/explanation/loadtest.md lists; a figure that could not be measured is left out, never zero.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from host_stt_cli.loadtest import measures
from host_stt_cli.loadtest.measures import Arrived, Heard, Point, percentiles
from host_stt_cli.loadtest.probing import Probe, Sample, Samples, difference, quantiles

if TYPE_CHECKING:
    from host_stt_cli.loadtest.run import Facts
    from host_stt_cli.loadtest.sending import Beat

VERSION = 1
POINTS_MAX = 4000  # of one series in a report; more are thinned evenly
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
        "load": {**asdict(facts.load), "door": facts.load.door.value, "seconds": round(seconds, 1)},
        "given": _given(facts, seconds),
        "measures": {
            **_texts(heard, arrived, facts.language),
            "alone": facts.alone,
            "coverage_s": _coverage(facts, arrived),
            **_engine(engine, media, facts, seconds),
            "loop_lag_ms": _milliseconds(quantiles(media, "host_stt_loop_lag_seconds")),
            "growth": _growth(heard, probe.samples),
            **_gpu(probe.samples),
        },
        "processes": {name: _process(probe.samples, name) for name in probe.names},
        "generator": {
            "late_ms": percentiles(beat.late_ms),
            "frames": beat.sent_frames,
            "packets_not_sent": lost,
            "broken": facts.broken,
        },
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
        "start_error_ms": percentiles(errors["start"]),
        "end_error_ms": percentiles(errors["end"]),
        "windows_failed": sum(a.event["type"] == "window.failed" for a in arrived),
    }


def _coverage(facts: Facts, arrived: Sequence[Arrived]) -> dict[str, float]:
    events = [a.event for a in arrived if a.event["type"] == "coverage"]
    return measures.coverage(events, facts.from_ms, facts.to_ms)


def _given(facts: Facts, seconds: float) -> dict[str, Any]:
    """What the load turned out to be."""
    speech_s = sum(one.end_ms - one.start_ms for one in facts.spoken) / 1000
    return {
        "speech_s": round(speech_s, 1),
        "talk": round(speech_s / max(seconds, 1e-9) / facts.load.channels, 3),
        "language": facts.language,
        "clips": len(facts.clips),
    }


# --- the server -----------------------------------------------------------------------------------------


def _engine(engine: Samples, media: Samples, facts: Facts, seconds: float) -> dict[str, Any]:
    """From the two /metrics; what the engine would say is left out where it cannot be asked."""
    figures: dict[str, Any] = {
        "interims_shed": int(media.get("host_stt_speech_interims_shed_total", 0)),
        "audio_shed_s": round(media.get("host_stt_speech_shed_ms_total", 0.0) / 1000, 2),
        "finals_refused": 0,
    }
    if not engine:
        return figures
    busy_s = engine.get("host_stt_engine_busy_seconds_total", 0.0)
    replicas = int(facts.ready.get("replicas", 1))
    spoken_s = sum(one.end_ms - one.start_ms for one in facts.spoken) / 1000
    name = "host_stt_engine_queue_wait_seconds"
    return figures | {
        "finals_refused": int(_sum(engine, "host_stt_engine_windows_total", "outcome=overloaded", "final")),
        "windows_shed": int(_sum(engine, "host_stt_engine_shed_windows")),
        "engine_busy": round(busy_s / replicas / max(seconds, 1e-9), 3),
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


def _growth(heard: Sequence[Heard], samples: Sequence[Sample]) -> dict[str, Any]:
    """Slopes per hour: what a soak is about."""
    growth: dict[str, Any] = {"ttfs_ms_per_hour": measures.growth_per_hour(measures.ttfs(heard))}
    offset = [
        Point(one.spoken.start_ms, min(f.event["start_ms"] for f in one.finals) - one.spoken.start_ms)
        for one in heard
        if one.spoken.is_whole and one.finals
    ]
    growth["timecode_ms_per_hour"] = measures.growth_per_hour(offset)
    for name in {name for sample in samples for name in sample.processes}:
        for figure in ("rss_mb", "threads", "fds"):
            points = [Point(s.at_s * 1000, s.processes[name][figure]) for s in samples if name in s.processes]
            growth[f"{name} {figure}_per_hour"] = measures.growth_per_hour(points)
    return growth


# --- for the plots ---------------------------------------------------------------------------------------


def _series(
    heard: Sequence[Heard], arrived: Sequence[Arrived], probe: Probe, facts: Facts
) -> dict[str, Series]:
    """(seconds since the beginning, value) each."""
    series = {
        "ttfs_ms": _since(measures.ttfs(heard), facts.from_ms),
        "first_text_ms": _since(measures.first_text(heard), facts.from_ms),
        "interim_age_ms": _since(measures.interim_age(arrived), facts.from_ms),
        "loop_lag_ms": _sampled(probe.samples, facts, lambda s: s.loop_lag_ms),
        "machine cpu_percent": _sampled(probe.samples, facts, lambda s: s.machine_percent),
    }
    for name in probe.names:
        for figure in ("cpu_percent", "rss_mb"):
            series[f"{name} {figure}"] = _sampled(probe.samples, facts, partial(_of_process, name, figure))
    return series


def _of_process(name: str, figure: str, sample: Sample) -> float | None:
    return sample.processes.get(name, {}).get(figure)


def _since(points: Sequence[Point], from_ms: float) -> Series:
    return _thinned([(round((p.at_ms - from_ms) / 1000, 2), round(p.value, 1)) for p in points])


def _sampled(samples: Sequence[Sample], facts: Facts, value: Callable[[Sample], float | None]) -> Series:
    begin_s = facts.t0_s + facts.from_ms / 1000
    found = ((round(s.at_s - begin_s, 2), value(s)) for s in samples)
    return _thinned([(at_s, round(v, 2)) for at_s, v in found if v is not None])


def _thinned(series: Series) -> Series:
    step = -(-len(series) // POINTS_MAX) or 1
    return series[::step]


# --- two reports -----------------------------------------------------------------------------------------


def flat(report: dict[str, Any], under: str = "") -> dict[str, float]:
    """Every number of a report's measures and processes by its path."""
    found: dict[str, float] = {}
    for key, value in report.items():
        path = f"{under}.{key}" if under else key
        if isinstance(value, dict):
            found |= flat(value, path)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            found[path] = float(value)
    return found


def compared(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, float, float, float | None]]:
    """(figure, before, after, after / before) for every figure that both have."""
    one, two = ({k: r.get(k, {}) for k in ("given", "measures", "processes")} for r in (before, after))
    a, b = flat(one), flat(two)
    return [(key, a[key], b[key], b[key] / a[key] if a[key] else None) for key in a if key in b]


def lines(report: dict[str, Any]) -> list[str]:
    """The figures that a person looks for first, for a terminal."""
    m = report["measures"]
    rows = [
        _row("time to final text", m["ttfs_ms"], "ms"),
        _row("first text", m["first_text_ms"], "ms"),
        _row("interim age", m["interim_age_ms"], "ms"),
        _row("start off by", m["start_error_ms"], "ms"),
        _row("end off by", m["end_error_ms"], "ms"),
        f"utterances         {m['utterances']}, {m['missed']} without text; words taken back per word: "
        f"{m['erasure']}",
        f"accuracy           {_rate(m['accuracy'])}; read alone: {_rate(m['alone'])}",
        "coverage           " + ", ".join(f"{s} {v:.1f} s" for s, v in m["coverage_s"].items() if v),
        f"shed               {m['interims_shed']} interims, {m['finals_refused']} finals",
    ]
    if "engine_busy" in m:
        rows.append(
            f"engine             busy {m['engine_busy']:.0%}, {m['rtf']} s per second of speech; finals wait "
            f"p95 {m['final_wait_ms'].get('p95', '-')} ms"
        )
    for name, figures in report["processes"].items():
        if "rss_mb_max" in figures:
            rows.append(
                f"{name:<18} {figures['cpu_percent_mean']:.0f} % of a core, {figures['rss_mb_max']:.0f} MB, "
                f"{figures['threads_max']:.0f} threads, {figures['fds_max']:.0f} files"
            )
    return rows


def _row(name: str, figures: dict[str, float], unit: str) -> str:
    if not figures.get("n"):
        return f"{name:<18} -"
    said = "/".join(f"{figures[key]:.0f}" for key in ("p50", "p95", "p99", "max"))
    return f"{name:<18} {said} {unit} (p50/p95/p99/max of {figures['n']:.0f})"


def _rate(figures: dict[str, Any]) -> str:
    return f"{figures['kind']} {figures['rate']:.1%} of {figures['n']}" if "rate" in figures else "-"
