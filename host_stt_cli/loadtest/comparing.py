"""Compare two reports, before and after: every figure that both have, with its ratio. Pure."""

from __future__ import annotations

from typing import Any

PARTS = ("given", "measures", "processes")
MADE_SO = "channels seconds talk overlap loss jitter_ms reconnects door tracks seed".split()


def flat(report: dict[str, Any], under: str = "") -> dict[str, float]:
    """All numbers of a report's measures and processes, by their path."""
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
    a, b = (flat({part: report.get(part, {}) for part in PARTS}) for report in (before, after))
    return [(key, a[key], b[key], b[key] / a[key] if a[key] else None) for key in a if key in b]


def unlike(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Differences that make the comparison unfair: another load, machine or model, in words."""
    pairs = [(key, before["load"].get(key), after["load"].get(key)) for key in MADE_SO]
    pairs += [("processor", *(report["machine"].get("processor") for report in (before, after)))]
    pairs += [("model", *(report["server"].get("model") for report in (before, after)))]
    return [f"{key} {a} and {b}" for key, a, b in pairs if _differ(a, b)]


def _differ(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b) > 0.02 * max(abs(a), abs(b))  # a run of 60 s may last 60.1 s
    return bool(a != b)


def table(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    rows = [f"{name:<7} {_verdict(report)}" for name, report in (("before", before), ("after", after))]
    if odd := unlike(before, after):
        rows.append(f"not the same: {'; '.join(odd)}")
    rows += ["", f"{'':<44} {'before':>12} {'after':>12} {'ratio':>8}"]
    for name, a, b, ratio in compared(before, after):
        if ".growth." in name or name.endswith((".n", ".bias")):
            continue
        said = "-" if ratio is None else f"{ratio:.2f}"
        rows.append(f"{name.removeprefix('measures.'):<44} {a:>12.5g} {b:>12.5g} {said:>8}")
    return rows


def _verdict(report: dict[str, Any]) -> str:
    return str(report.get("verdict", {}).get("sentence", "-"))
