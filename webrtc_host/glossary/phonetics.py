"""How alike two words sound, 0 to 1: jamo for Hangul, a phonetic key and the letters for Latin.

Pure. Distances come from rapidfuzz, the phonetic key (Metaphone) from jellyfish. Numbers are never compared
here: a term's number is found exactly, or the term is not found.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from jellyfish import metaphone
from rapidfuzz.distance import JaroWinkler, Levenshtein

from webrtc_host.glossary.hangul import FIRST, LAST, jamo_of, sounds_of


@dataclass(frozen=True, slots=True)
class Sound:
    """A word as it is compared. exact: its letters or jamo; heard: its sounds; rough: sounds by their place.

    Hangul has no `rough`: its `heard` is by place already.
    """

    exact: str
    heard: str
    rough: str
    is_hangul: bool


_SAME_PLACE = str.maketrans(
    {**dict.fromkeys("BPFV", "1"), **dict.fromkeys("TD0", "2"), **dict.fromkeys("KGQ", "3")}
    | {**dict.fromkeys("LR", "4"), **dict.fromkeys("MN", "5"), **dict.fromkeys("SXZJC", "6")}
    | dict.fromkeys("HWY", "")
)
"""Consonants of Metaphone that are made at the same place: a noisy channel mixes up B, P, F and V."""


@lru_cache(maxsize=16_384)
def sound_of(key: str) -> Sound:
    """The sound of a token's key, or of several keys without spaces."""
    if key and all(FIRST <= ord(c) <= LAST for c in key):
        jamo = jamo_of(key)
        return Sound(jamo, sounds_of(jamo), "", True)
    heard = metaphone(key) if key.isascii() and key.isalpha() else key
    return Sound(key, heard, heard.translate(_SAME_PLACE), False)


def similarity(a: Sound, b: Sound, padding: int = 0, cutoff: float = 0.0) -> float:
    """The mean of two similarities: that of the letters, and that of the sounds. Below `cutoff`: 0.

    padding: jamo of the number that both have behind them. The number is the same, so for a comparison of
    whole Hangul call signs it counts as equal jamo: 알바원 and 알파원 are more alike than 알바 and 알파.
    """
    if a.is_hangul is not b.is_hangul:
        return 0.0
    if a.is_hangul:
        longer = max(len(a.exact), len(b.exact)) + padding
        if abs(len(a.exact) - len(b.exact)) > (1 - cutoff) * longer:
            return 0.0
        exact = 1 - Levenshtein.distance(a.exact, b.exact) / longer
        heard = 1 - Levenshtein.distance(a.heard, b.heard) / longer
    else:
        exact = JaroWinkler.similarity(a.exact, b.exact)
        if exact + 1 < 2 * cutoff:
            return 0.0
        heard = Levenshtein.normalized_similarity(a.heard, b.heard)
        heard = (heard + Levenshtein.normalized_similarity(a.rough, b.rough)) / 2
    score = (exact + heard) / 2
    return score if score >= cutoff else 0.0
