"""Compare two words without regard to case and punctuation: how results of two windows are aligned.

Pure functions over text.
"""

from __future__ import annotations

import unicodedata

ALIKE = 0.65
"""From this similarity on, two words may be the same word with a spelling error: "seven" and "saven" have
0.8, "two" and "too" 0.67, but "north" and "south" only 0.6.
"""


def normalised(text: str) -> str:
    """The text without case, width, punctuation: "Seven," and "seven" are equal; "don't" stays one word."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in folded if unicodedata.category(c)[0] in "LNM")


def similarity(a: str, b: str) -> float:
    """Similarity of two normalised words, 0 to 1: 1 - edit distance / longer length. A word that is cut off
    at its start or end counts as more similar to the whole word.
    """
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


def letters_and_syllables(text: str) -> tuple[int, int]:
    """The numbers of letters (of an alphabet, and figures) and of signs that are about a syllable."""
    signs = normalised(text)
    syllables = sum(map(is_syllable, signs))
    return len(signs) - syllables, syllables


def is_syllable(character: str) -> bool:
    """Whether a character of a text is about a syllable: Hangul, kana and Han, from U+1100 on."""
    return character.isalpha() and character >= "\u1100" and not character.isupper()
