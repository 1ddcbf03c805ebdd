"""The report as one HTML file. The page contains its figures, draws its plots itself and loads nothing."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

TEMPLATE = Path(__file__).with_name("report.html")
DRAWING = Path(__file__).with_name("drawing.js")
FIGURES = "/*FIGURES*/null"


def html(found: dict[str, Any]) -> str:
    # A "<" in a string could end the script element.
    figures = json.dumps(found, ensure_ascii=False).replace("<", "\\u003c")
    # The same code as /health-page, as a plain script: a page that is opened as a file cannot import modules.
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
