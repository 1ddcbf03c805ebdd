"""The report as one HTML file: the page draws its plots from figures it carries and fetches nothing."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

TEMPLATE = Path(__file__).with_name("report.html")
FIGURES, PLOTS = "/*FIGURES*/null", "/*PLOTS*/"


def html(found: dict[str, Any]) -> str:
    # "<" would let a string end the script element it stands in.
    figures = json.dumps(found, ensure_ascii=False).replace("<", "\\u003c")
    # The same code as /health-page, as a plain script: a file opened from disk may not import modules.
    plots = (files("demo") / "plots.js").read_text(encoding="utf-8").replace("export ", "")
    return TEMPLATE.read_text(encoding="utf-8").replace(PLOTS, plots).replace(FIGURES, figures)
