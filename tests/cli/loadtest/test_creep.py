from __future__ import annotations

from typing import Any

from host_stt_cli.loadtest.creep import LIMITS, judged
from host_stt_cli.loadtest.said import slopes
from tests.cli.loadtest.reports import report


def found(seconds: float, **lines: tuple[float, float]) -> dict[str, dict[str, Any]]:
    """Each slope by its name; lines: slope and standard error an hour."""
    made = report(load__seconds=seconds)
    for name, (slope, error) in lines.items():
        key = f"{name.replace('__', ' ')}_per_hour"
        made["measures"]["growth"][key] = {"n": 99, "slope": slope, "standard_error": error}
    return {one["name"]: one for one in judged(made, ttfs_growth_ms=250)}


def test_every_slope_has_a_line_and_a_verdict_seen_or_not() -> None:
    all_of_them = found(3600)
    assert len(all_of_them) == len(LIMITS) + 1
    assert all_of_them["ttfs_ms"]["verdict"] == "holds"
    assert all_of_them["8082 rss_mb"]["verdict"] == "not seen"


def test_significant_memory_growth_is_reported_and_chance_is_not() -> None:
    assert found(3600, **{"8082__rss_mb": (90, 5)})["8082 rss_mb"]["verdict"] == "grows"
    assert found(3600, **{"8082__rss_mb": (90, 50)})["8082 rss_mb"]["verdict"].startswith("not sure")
    assert found(3600, **{"8082__rss_mb": (-90, 5)})["8082 rss_mb"]["verdict"] == "holds", "it shrinks"


def test_three_minutes_do_not_prove_what_an_hour_would() -> None:
    """3 MB in three minutes is 60 MB an hour, and nothing but a cache that fills."""
    assert found(180, **{"8082__rss_mb": (62, 1)})["8082 rss_mb"]["verdict"].startswith("not sure")


def test_timecodes_may_drift_neither_way() -> None:
    assert found(3600, timecode_ms=(-40, 2))["timecode_ms"]["verdict"] == "grows"


def test_a_terminal_shows_slope_limit_and_verdict_side_by_side() -> None:
    rows = slopes(list(found(3600, **{"8081__threads": (9, 0.5)}).values()))
    (row,) = [row for row in rows if row.startswith("8081 threads")]
    assert row.split() == ["8081", "threads", "+9.0", "1.5", "4", "grows"]
    assert slopes([]) == []
