"""The Grafana dashboard asks for figures that the servers tell."""

from __future__ import annotations

import json
import re

from tests.support.server import ROOT

DASHBOARD = ROOT / "docs" / "howto" / "grafana-dashboard.json"


def test_every_figure_of_the_dashboard_is_a_metric_of_a_server() -> None:
    told = set(re.findall(r"`(host_stt_\w+)`", (ROOT / "docs/reference/metrics.md").read_text("utf-8")))
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    asked = {name for panel in board["panels"] for t in panel["targets"] for name in names(t["expr"])}
    assert len(board["panels"]) >= 10 and len(asked) >= 15
    assert asked - told == set()


def test_rates_are_queried_of_counters_and_slopes_of_gauges() -> None:
    """Coverage is a gauge: what was lost may be filled later. `rate` would take that for a restart."""
    rows = re.findall(
        r"^\| `(host_stt_\w+)` \| (\w+) \|",
        (ROOT / "docs/reference/metrics.md").read_text("utf-8"),
        re.MULTILINE,
    )
    kinds = dict(rows)
    for expression in expressions():
        for asked in re.findall(r"\brate\((host_stt_\w+)", expression):
            (name,) = names(asked)
            assert kinds[name] in ("counter", "histogram"), expression
        for asked in re.findall(r"\bderiv\((host_stt_\w+)", expression):
            assert kinds[asked] == "gauge", expression


def expressions() -> list[str]:
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return [target["expr"] for panel in board["panels"] for target in panel["targets"]]


def names(expression: str) -> set[str]:
    found = re.findall(r"host_stt_\w+", expression)
    return {re.sub(r"_(total|bucket|sum|count)$", "", name) if name not in KEPT else name for name in found}


KEPT = {"host_stt_watchers_count"}
