"""docs/reference/schema.md says what the code has."""

from __future__ import annotations

import re
from pathlib import Path

from webrtc_host.transcript.schema import metadata

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "schema.md"
TYPES = {"BIGINT": "integer", "INTEGER": "integer", "TEXT": "text", "BOOLEAN": "boolean", "FLOAT": "number"}


def test_the_page_names_every_table_and_column_with_its_type_and_no_others() -> None:
    said: dict[str, list[tuple[str, ...]]] = {}
    for part in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        columns = re.findall(r"(?m)^\| `(\w+)` \| (\w+) \| (.*?) ?\|$", part)
        if columns:
            said[part.partition("\n")[0]] = columns
    assert said == {
        table.name: [
            (column.name, TYPES[str(column.type)], _remark(column.primary_key, bool(column.nullable)))
            for column in table.columns
        ]
        for table in metadata.tables.values()
    }


def _remark(is_key: bool, may_be_null: bool) -> str:
    return ", ".join([*(["key"] if is_key else []), *(["may be NULL"] if may_be_null else [])])
