"""/health-page and the load test's report draw with the same code, and the page reads figures that exist."""

from __future__ import annotations

import re
from importlib.resources import files

from host_stt_cli.loadtest import page
from tests.cli.loadtest.reports import report
from tests.support.server import ROOT

PLOTS = (files("demo") / "plots.js").read_text(encoding="utf-8")
SCRIPT = (files("demo") / "health-page.js").read_text(encoding="utf-8")


def test_the_report_carries_the_plots_of_the_health_page() -> None:
    made = page.html(report())
    assert 'from "./plots.js"' in SCRIPT
    for name in re.findall(r"^export function (\w+)", PLOTS, re.MULTILINE):
        assert f"function {name}(" in made
    assert "export " not in made.split("<script>")[1].split("const R =")[0]


def test_every_figure_that_the_page_reads_is_a_metric_of_the_server() -> None:
    told = set(re.findall(r"`(host_stt_\w+)`", (ROOT / "docs/reference/metrics.md").read_text("utf-8")))
    read = set(re.findall(r"host_stt_[a-z_]*[a-z]", SCRIPT))
    assert len(read) > 8
    assert {name.removesuffix("_total") for name in read} - told == set()
