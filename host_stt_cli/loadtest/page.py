"""The report as one HTML file: the page draws its plots from figures it carries and fetches nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TEMPLATE = Path(__file__).with_name("report.html")
MARK = "/*FIGURES*/null"


def html(found: dict[str, Any]) -> str:
    # "<" would let a string end the script element it stands in.
    figures = json.dumps(found, ensure_ascii=False).replace("<", "\\u003c")
    return TEMPLATE.read_text(encoding="utf-8").replace(MARK, figures)
