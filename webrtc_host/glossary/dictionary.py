"""The common words of English and Korean, which a fuzzy match must not touch.

Owns the two word lists beside it, read once at their first use (about 30,000 words each). Their origin and
licence are in THIRD_PARTY_NOTICES.md; `scripts/make_word_lists.py` makes them.
"""

from __future__ import annotations

import gzip
from functools import cache, lru_cache
from importlib.resources import files

from webrtc_host.glossary.hangul import is_particle

_ENDINGS_MAX = 3
"""Syllables of a particle or an ending behind a Korean word, at most."""


@cache
def _words(language: str) -> frozenset[str]:
    packed = files("webrtc_host.glossary").joinpath(f"words_{language}.txt.gz").read_bytes()
    return frozenset(gzip.decompress(packed).decode("utf-8").split("\n"))


def load() -> None:
    """Read both lists now, so that the first match does not wait for them."""
    _words("en"), _words("ko")


@lru_cache(maxsize=16_384)
def is_common(key: str) -> bool:
    """Whether this is a common word: an English one, or a Korean one with or without a particle."""
    if key.isascii():
        return key in _words("en") or (key.endswith("s") and key[:-1] in _words("en"))
    korean = _words("ko")
    if key in korean:
        return True
    for length in range(1, min(_ENDINGS_MAX, len(key) - 1) + 1):
        word, ending = key[:-length], key[-length:]
        if word in korean and is_particle(ending):
            return True
    return False
