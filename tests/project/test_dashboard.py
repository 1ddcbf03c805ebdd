"""The Grafana dashboard asks for figures that the servers tell."""

from __future__ import annotations

import json
import re

from tests.support.server import ROOT

DASHBOARD = ROOT / "docs" / "howto" / "grafana-dashboard.json"


def test_every_figure_of_the_dashboard_is_one_that_a_server_tells() -> None:
    told = set(re.findall(r"`(host_stt_\w+)`", (ROOT / "docs/reference/metrics.md").read_text("utf-8")))
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    asked = {name for panel in board["panels"] for t in panel["targets"] for name in names(t["expr"])}
    assert len(board["panels"]) >= 10 and len(asked) >= 15
    assert asked - told == set()


def names(expression: str) -> set[str]:
    found = re.findall(r"host_stt_\w+", expression)
    return {re.sub(r"_(total|bucket|sum|count)$", "", name) if name not in KEPT else name for name in found}


KEPT = {"host_stt_watchers_count"}
