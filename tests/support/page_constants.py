"""Constant lists of the browser pages, read from demo/events.js, to compare them with the server's own."""

from __future__ import annotations

import json
import re
from importlib.resources import files


def page_list(name: str) -> list[str]:
    """The list of texts that events.js exports under this name.

    Raises LookupError if there is none; the list must be a JSON literal.
    """
    source = (files("demo") / "events.js").read_text(encoding="utf-8")
    found = re.search(rf"^export const {name} = (\[.*?\]);", source, re.MULTILINE | re.DOTALL)
    if found is None:
        raise LookupError(f"demo/events.js exports no list {name}")
    listed: list[str] = json.loads(found.group(1))
    return listed
