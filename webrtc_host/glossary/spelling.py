"""The key under which two spellings of a glossary are the same.

Pure.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

KEYS_KEPT = 65_536
"""Keys that stay computed, so that a change of a few terms among 2,000 is used quickly."""


@lru_cache(KEYS_KEPT)
def key_of(text: str) -> str:
    """The text without case, width, spaces and punctuation: "Alpha-1" and "alpha 1" are equal."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in folded if c.isalnum())
