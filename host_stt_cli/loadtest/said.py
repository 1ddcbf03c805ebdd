"""The report as text for a terminal: the most important figures.

Pure. Every figure has its unit, and the number of values behind it.
"""

from __future__ import annotations

from typing import Any

SEEN_S = 0.05  # of coverage; less comes from rounding at the ends of a run


def lines(report: dict[str, Any]) -> list[str]:
    m, server = report["measures"], report["server"]
    rows = [
        _row("server", f"model {server.get('model', '-')} on {server.get('device', '-')}"),
        _row("time to final text", _spread(m["ttfs_ms"])),
        _row("first text", _spread(m["first_text_ms"])),
        _row("interim age", _spread(m["interim_age_ms"])),
        _row("start off by", _spread(m["start_error_ms"])),
        _row("end off by", _spread(m["end_error_ms"])),
        _row("utterances", f"{m['utterances']}, {m['missed']} without text"),
        _row("words taken back", "-" if m["erasure"] is None else f"{m['erasure']} per word of final text"),
        _row("accuracy", f"{_rate(m['accuracy'])}; the same phrases without load: {_rate(m['alone'])}"),
        *_record(m),
        _row("coverage", _coverage(m["coverage_s"])),
        _row("shed", _shed(m)),
    ]
    if "engine_busy" in m:
        rows += [
            _row("engine", f"busy {m['engine_busy']:.0%}, {m['rtf']} s of decoding per second of speech"),
            _row("  finals wait", _spread(m["final_wait_ms"])),
            _row("  interims wait", _spread(m["interim_wait_ms"])),
        ]
    rows.append(_row("event loop late by", _spread(m["loop_lag_ms"])))
    rows += [_row(name, _process(of)) for name, of in report["processes"].items() if "rss_mb_max" in of]
    rows.append(_row("machine", _machine(report["machine"], m.get("gpu"))))
    late = report["generator"]["late_ms"].get("p95")
    return [*rows, _row("sent late by", "-" if late is None else f"{late:.0f} ms (p95): the load test's own")]


def _record(m: dict[str, Any]) -> list[str]:
    """How right the text is after the revisions. Nothing for a run without them, and for older reports."""
    if not m.get("revised"):
        return []
    return [_row("  in the record", f"{_rate(m['accuracy_recorded'])}, after {m['revised']} revised lines")]


def _row(name: str, what: str) -> str:
    return f"{name:<19} {what}"


def _spread(figures: dict[str, float]) -> str:
    """p50, p95, p99 and max. A histogram has no `max`; -1 means above its last bucket."""
    if not figures.get("n"):
        return "-"
    keys = [key for key in ("p50", "p95", "p99", "max") if key in figures]
    said = "/".join(f"{figures[key]:.0f}" if figures[key] >= 0 else "?" for key in keys)
    kind = "" if "max" in figures else ", upper bounds"
    bias = f", {figures['bias']:+.0f} on the median" if "bias" in figures else ""
    return f"{said} ms ({'/'.join(keys)} of {figures['n']:.0f}{kind}{bias})"


def _rate(figures: dict[str, Any]) -> str:
    return f"{figures['kind']} {figures['rate']:.1%} of {figures['n']}" if "rate" in figures else "-"


def _coverage(seconds: dict[str, float]) -> str:
    total = sum(seconds.values()) or 1.0
    return ", ".join(f"{s} {v:.1f} s ({v / total:.1%})" for s, v in seconds.items() if v >= SEEN_S) or "-"


def _shed(m: dict[str, Any]) -> str:
    shed = f"{m['interims_shed']} interims, {m['finals_refused']} finals, {m['audio_shed_s']} s of audio"
    return f"{shed}; {m['windows_failed']} windows failed"


def _process(figures: dict[str, float]) -> str:
    most = f"{figures['threads_max']:.0f} threads, {figures['fds_max']:.0f} files"
    cpu = f"{figures['cpu_percent_mean']:.0f} % of a core (p95 {figures['cpu_percent_p95']:.0f} %)"
    return f"{cpu}, {figures['rss_mb_max']:.0f} MB, {most}"


def _machine(machine: dict[str, Any], gpu: dict[str, float] | None) -> str:
    used = machine.get("cpu_percent_mean")
    share = "" if used is None else f", {used:.0f} % in use"
    seen = "no GPU seen"
    if gpu:
        seen = f"GPU {gpu['load_percent_mean']:.0f} % busy, {gpu['memory_mb_max']:.0f} MB"
    return f"{machine['processor']}, {machine['cores']} cores{share}; {seen}"


def slopes(found: list[dict[str, Any]]) -> list[str]:
    """The slopes that a soak test judges, one line each."""
    if not found:
        return []
    rows = ["", f"{'growth per hour':<22} {'slope':>9} {'± 3 errors':>11} {'at most':>9}   verdict"]
    for one in found:
        margin = 3 * one["standard_error"]
        rows.append(
            f"{one['name']:<22} {one['slope']:>+z9.1f} {margin:>11.1f} {one['most']:>9.0f}   {one['verdict']}"
        )
    return rows
