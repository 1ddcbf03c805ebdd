"""Finds words of Python in error texts, which a user does not understand."""

from __future__ import annotations

import re

PYTHON = re.compile(
    r"NoneType|\b\w+Error\b|Exception|Traceback|object has no|__\w+__|<class|<\w+(?:\.\w+)* object|\bb['\"]"
    r"|\b(?:dict|tuple|bytes object|None|True|False|NaN)\b|Errno|instance of|[dD]ictionary|Input should"
    r"|Value error|int\(\)|float\(\)|base 10|positional|codec can't|not subscriptable|unhashable"
    r"|Expecting value|ordinal|unexpected keyword|\.py\b"
)


def python_word_in(text: str) -> str | None:
    """The first word of Python in an error text; None when there is none."""
    found = PYTHON.search(text)
    return found[0] if found else None
