"""The figures of a comparison as text: one table of all cases, one of ratios to host-stt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

OURS = "host-stt"
"""The server that the ratios refer to."""
HEAD = (
    "| server | channels | phrases, lost | first text | last word | final text | growth | CPU | MB | WER |",
    "|---|---|---|---|---|---|---|---|---|---|",
)
RATIO_HEAD = (
    "| server | channels | first text p50 | last word p50 | last word p95 | final text p95 | CPU |",
    "|---|---|---|---|---|---|---|",
)


def rows(cases: Sequence[dict[str, Any]]) -> list[str]:
    return [*HEAD, *(_row(case) for case in cases)]


def _row(case: dict[str, Any]) -> str:
    begin = f"| {case['server']} | {case['channels']} |"
    if "not_run" in case:
        return f"{begin} not run: {case['not_run']} | | | | | | | |"
    growth = case["growth_s_per_minute"]
    cells = (
        f"{case['utterances']}, {case['lost']}",
        _seconds(case["first_text_ms"]),
        _seconds(case["last_word_ms"]),
        _seconds(case["final_ms"]),
        f"{growth['slope']:+.1f} ± {growth['standard_error']:.1f}" if "slope" in growth else "–",
        f"{case['cpu_percent'] / 100:.2f}",
        f"{case['rss_mb']}",
        f"{case['accuracy']['rate']:.1%}" if "rate" in case["accuracy"] else "–",
    )
    return f"{begin} {' | '.join(cells)} |"


def _seconds(figures: dict[str, float]) -> str:
    if not figures["n"]:
        return "–"
    return f"{figures['p50'] / 1000:.2f} / {figures['p95'] / 1000:.2f} ({figures['n']})"


def ratios(cases: Sequence[dict[str, Any]]) -> list[str]:
    """Each server's figure divided by ours with the same number of channels."""
    base = {case["channels"]: case for case in cases if case["server"] == OURS and "not_run" not in case}
    found = [
        _ratios(case, base[case["channels"]])
        for case in cases
        if not case["server"].startswith(OURS) and "not_run" not in case and case["channels"] in base
    ]
    return [*RATIO_HEAD, *found]


def _ratios(case: dict[str, Any], ours: dict[str, Any]) -> str:
    wanted = (("first_text_ms", "p50"), ("last_word_ms", "p50"), ("last_word_ms", "p95"), ("final_ms", "p95"))
    cells = [_ratio(case[name].get(part), ours[name].get(part)) for name, part in wanted]
    cells.append(_ratio(case["cpu_percent"], ours["cpu_percent"]))
    return f"| {case['server']} | {case['channels']} | {' | '.join(cells)} |"


def _ratio(value: float | None, ours: float | None) -> str:
    return f"{value / ours:.1f}" if value is not None and ours else "–"
