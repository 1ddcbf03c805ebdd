"""The report as one HTML file: the page draws its plots from figures it carries and fetches nothing."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

TEMPLATE = Path(__file__).with_name("report.html")
DRAWING = Path(__file__).with_name("drawing.js")
FIGURES = "/*FIGURES*/null"


def html(found: dict[str, Any]) -> str:
    # "<" would let a string end the script element it stands in.
    figures = json.dumps(found, ensure_ascii=False).replace("<", "\\u003c")
    # The same code as /health-page, as a plain script: a file opened from disk may not import modules.
    demo = files("demo")
    parts = {
        "/*STYLE*/": (demo / "figures.css").read_text(encoding="utf-8"),
        "/*PLOTS*/": (demo / "plots.js").read_text(encoding="utf-8").replace("export ", ""),
        "/*DRAWING*/": DRAWING.read_text(encoding="utf-8"),
        FIGURES: figures,
    }
    whole = TEMPLATE.read_text(encoding="utf-8")
    for mark, part in parts.items():
        whole = whole.replace(mark, part)
    return whole
