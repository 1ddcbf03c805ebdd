"""How alike two words are, whatever their case and punctuation: how two readings are compared.

Pure functions over text.
"""

from __future__ import annotations

import unicodedata

ALIKE = 0.65
"""Similarity from which two readings may be one word, misspelt in one of them: "seven" and "saven" are 0.8
alike, "two" and "too" 0.67, but "north" and "south" only 0.6.
"""


def normalised(text: str) -> str:
    """Case, width and punctuation taken off. "Seven," and "seven" are one word; "don't" stays one."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in folded if unicodedata.category(c)[0] in "LNM")


def similarity(a: str, b: str) -> float:
    """0 to 1 between two normalised words: 1 - edit distance / longer length; a cut-off word is like its
    whole."""
    if a == b:
        return 1.0
    if not a or not b:
        return 0.0
    longer = max(len(a), len(b))
    ratio = 1.0 - edit_distance(a, b) / longer
    shorter, whole = sorted((a, b), key=len)
    if whole.startswith(shorter) or whole.endswith(shorter):
        ratio = max(ratio, 0.6 + 0.4 * len(shorter) / len(whole))
    return ratio


def edit_distance(a: str, b: str) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
    return row[-1]
