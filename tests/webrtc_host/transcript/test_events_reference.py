"""docs/reference/events.md, held to the fields in the code."""

from __future__ import annotations

import re
from pathlib import Path

from webrtc_host.transcript.event_codec import FIELDS

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "events.md"


def section(name: str) -> str:
    return PAGE.read_text(encoding="utf-8").partition(f"## {name}\n")[2].partition("\n## ")[0]


def test_every_event_lists_its_fields_in_their_order() -> None:
    rows = re.findall(r"(?m)^\| ([a-z]+(?:\.[a-z]+)?) \| (`.*`) \|$", section("Fields"))
    said = {name: tuple(re.findall(r"`(\w+)`", fields)) for name, fields in rows}
    assert said == {kind.value: fields for kind, fields in FIELDS.items()}


def test_every_field_is_explained() -> None:
    table = section("Fields").partition("What they mean")[2]
    first_cells = re.findall(r"(?m)^\| (`[^|]*`) \|", table)
    explained = {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)}
    assert explained == {field for fields in FIELDS.values() for field in fields}
