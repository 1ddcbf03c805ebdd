"""Text as both databases accept it. Pure."""

from __future__ import annotations


def storable(text: str) -> str:
    """PostgreSQL accepts every character except NUL. A lone surrogate becomes `?`, as on the wire."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()
