"""Text as `host-stt score` compares it. `STATED` says what is done, and every report prints it.

Pure. Both sides are normalised in the same way, so what this module cannot decide costs nothing by itself.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from webrtc_host.glossary.hangul_numbers import NumberStyle, hangul_readings
from webrtc_host.glossary.normalise import Gap, Script, Tokens, tokens_of
from webrtc_host.glossary.number_words import Rest, readings_at

STATED = (
    "Unicode NFKC, lower case, no punctuation (a hyphen is a space, an apostrophe is removed). English "
    "number words are figures, and each figure is a word (twenty one, two one and 21: 2 1). Korean numbers "
    "in front of a counter are figures (일곱 시 and 7시: 7 시), and so are numbers that stand alone, but for "
    "single Sino-Korean digits and rows of them, which are mostly other words (오이, 이사)."
)
_NATIVE_BEFORE_COUNTER = {
    "한": "1",
    "두": "2",
    "세": "3",
    "네": "4",
    "스무": "20",
    "열한": "11",
    "열두": "12",
}
_COUNTERS = (
    "시간|시|분|초|번째|번|명|개월|개|층|월|일|년|원|호선|호|도|킬로미터|킬로|미터|센티|대|차|살|잔|병|회|"
    "마리|동|구역|미리|퍼센트|프로|톤|권|장"
)
_COUNTER = re.compile(f"(?:{_COUNTERS})")


def normalised(text: str, language: str) -> str:
    """Words with one space between them. language: `ko`, or any other code for the English rules."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("'", "").replace("\u2019", "")
    tokens = tokens_of(folded)
    words = _korean(tokens) if language == "ko" else _english(tokens)
    return " ".join(" ".join(word) if word.isdigit() else word for word in words)


def without_spaces(text: str) -> str:
    return text.replace(" ", "")


def _english(tokens: Tokens) -> Iterator[str]:
    index = 0
    while index < len(tokens):
        found = next(
            (
                r
                for r in readings_at(tokens, index)
                if r.style is NumberStyle.ENGLISH and r.rest is not Rest.MORE
            ),
            None,
        )
        if found is None:
            word, index = _word(tokens, index)
        else:
            word, index = found.value, found.token + 1
        yield word


def _word(tokens: Tokens, index: int) -> tuple[str, int]:
    """Token `index` with the tokens that are written directly behind it: "3pm" stays one word."""
    word = tokens[index].key
    while tokens.gaps[index] is Gap.NONE and index + 1 < len(tokens):
        index += 1
        word += tokens[index].key
    return word, index + 1


def _korean(tokens: Tokens) -> Iterator[str]:
    index = 0
    while index < len(tokens):
        token = tokens[index]
        if token.script is Script.DIGIT:
            yield token.key
        elif token.script is Script.HANGUL:
            following = tokens[index + 1].key if _has_next(tokens, index) else ""
            yield from _hangul(token.key, following)
        else:
            word, index = _word(tokens, index)
            yield word
            continue
        index += 1


def _has_next(tokens: Tokens, index: int) -> bool:
    return index + 1 < len(tokens) and tokens.gaps[index] is Gap.SPACE


def _hangul(word: str, following: str) -> tuple[str, ...]:
    """A Korean word, with the number in front of its counter as figures."""
    for number, used in _numbers(word):
        rest = word[used:]
        if rest and _COUNTER.match(rest):
            return number, rest
        if not rest and (_COUNTER.match(following) or _is_only_a_number(word)):
            return (number,)
    return (word,)


def _is_only_a_number(word: str) -> bool:
    """Whether a word that can be a number is hardly anything else: 하나, 십이, but neither 오이 nor 한."""
    return len(word) > 1 and any(syllable not in _SINO_DIGITS for syllable in word) and word not in _FORMS


_SINO_DIGITS = frozenset("공영일이삼사오육륙칠팔구")
_FORMS = frozenset(_NATIVE_BEFORE_COUNTER)


def _numbers(word: str) -> Iterator[tuple[str, int]]:
    """The numbers that a word begins with, the longest first."""
    found = [(value, used) for value, used, _ in hangul_readings(word)]
    found += [(value, len(text)) for text, value in _NATIVE_BEFORE_COUNTER.items() if word.startswith(text)]
    yield from sorted(found, key=lambda pair: -pair[1])
