"""Korean text as sounds of an English voice, for hibari-tts. Pure.

Only the rules that change a sound at a syllable border are applied: a final consonant moves to a following
vowel, and becomes nasal before a nasal.
"""

from __future__ import annotations

FIRST, LAST = "가", "힣"
VOWELS, FINALS = 21, 28
_INITIAL = "ɡ k n d t T m b p s s - ʤ ʧ ʧ k t p h".split()
_VOWEL = "ɑ ɛ jɑ jɛ ʌ ɛ jʌ jɛ O wɑ wɛ wɛ jO u wʌ wɛ wi ju ʊ ui i".split()
_FINAL = "- k k k n n n t l k m l l l p l m p p t t ŋ t t k t p t".split()
_MOVES = {1: 0, 2: 1, 4: 2, 7: 3, 8: 5, 16: 6, 17: 7, 19: 9, 20: 10, 22: 12, 23: 14, 24: 15, 25: 16, 26: 17}
"""From a final consonant to the initial one that it becomes in front of a vowel."""
_SILENT_INITIAL, _NASALS = 11, (2, 6)
_NASAL_FINAL = {"k": 21, "t": 4, "p": 16}


def english_sounds(text: str) -> str:
    """Phonemes in hibari's alphabet. Characters other than Hangul stay as they are."""
    return " ".join(_word(word) for word in text.split())


def _word(word: str) -> str:
    parts = [_syllable(letter) if FIRST <= letter <= LAST else None for letter in word]
    for left, right in zip(parts, parts[1:], strict=False):
        if left is not None and right is not None:
            _join(left, right)
    sounds = ""
    for part, letter in zip(parts, word, strict=True):
        if part is None:
            sounds += letter
        else:
            sounds += (_INITIAL[part[0]] + _VOWEL[part[1]] + _FINAL[part[2]]).replace("-", "")
    return sounds


def _syllable(letter: str) -> list[int]:
    """Numbers of the initial consonant, the vowel and the final consonant."""
    number = ord(letter) - ord(FIRST)
    return [number // (VOWELS * FINALS), number // FINALS % VOWELS, number % FINALS]


def _join(left: list[int], right: list[int]) -> None:
    """Change two neighbouring syllables as speech does."""
    if right[0] == _SILENT_INITIAL and left[2] in _MOVES:
        right[0], left[2] = _MOVES[left[2]], 0
    elif right[0] in _NASALS and left[2]:
        left[2] = _NASAL_FINAL.get(_FINAL[left[2]], left[2])
