"""The spellings of a term as the matcher looks them up: a base, and a number if the term has one.

Pure. "Alpha-1", "알파원" and "alfa one" are the bases alpha, 알파 and alfa with the number 1. So a base is
stored once for all its numbers, and a number is compared by its value. Invariant: a spelling is taken apart
only where its number is that of the canonical form: 서울병원 has no number, although it ends in 원.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import cache, lru_cache

from webrtc_host.glossary.entries import Entry
from webrtc_host.glossary.hangul import LETTER_NAMES
from webrtc_host.glossary.normalise import Script, Tokens, key_of, tokens_of
from webrtc_host.glossary.number_words import digits_of, readings_at
from webrtc_host.glossary.numbers import NUMBER_MAX, english_readings, korean_readings

SPELLINGS_KEPT = 65_536
"""Spellings that stay taken apart, so that a change of a few terms among 2,000 is used quickly."""
LETTERS_MAX = 4
"""A base of so many capital letters may be spelled: KP is "kilo papa" and 케이피."""


class Listed(IntEnum):
    """Where a spelling is from; a smaller number is better evidence."""

    CANONICAL = 0  # the canonical form or a display
    ALIAS = 1
    SPELLED = 2  # letter by letter
    SOUNDS_LIKE = 3


@dataclass(frozen=True, slots=True)
class Form:
    """term: index of the entry. base: keys without spaces. number: digits; None: the base is all of it."""

    term: int
    base: str
    number: str | None
    listed: Listed
    key: str
    """The whole spelling without spaces, to tell an alias of the list from another way of saying it."""


def forms_of(term: int, entry: Entry) -> Iterator[Form]:
    """Every spelling of the entry. The same base and number is given once, with its best evidence."""
    number, bases = _number_of(entry.canonical, entry.display_en)
    seen: set[tuple[str, str | None]] = set()
    said = _said(number)
    for text, listed in _spellings(entry):
        if said and _is_known(text, seen, said):
            continue  # without taking it apart: patterns have 20 such spellings for each term
        for base, value in _split(text, number):
            if base and (base, value) not in seen:
                seen.add((base, value))
                yield Form(term, base, value, listed, _key_of(text))
    for base in bases:
        for spelled in (*_spelled(base), *_NATO_SPELLINGS.get(base.casefold(), ())):
            if (spelled, number) not in seen:
                seen.add((spelled, number))
                yield Form(term, spelled, number, Listed.SPELLED, "")


_key_of = lru_cache(SPELLINGS_KEPT)(key_of)


@cache
def _said(number: str | None) -> frozenset[str]:
    """The usual ways to say a number, without spaces."""
    if number is None or int(number) > NUMBER_MAX:
        return frozenset()
    readings = (*english_readings(int(number)), *korean_readings(int(number)))
    return frozenset((number, *("".join(reading.split()) for reading in readings)))


def _is_known(text: str, seen: set[tuple[str, str | None]], said: frozenset[str]) -> bool:
    """Whether a spelling is one of the seen bases with its number."""
    key = "".join(text.replace("-", " ").split()).lower()
    return any(key.startswith(base) and key[len(base) :] in said for base, _ in seen)


def _spellings(entry: Entry) -> Iterator[tuple[str, Listed]]:
    for text in (entry.canonical, entry.display_en, entry.display_ko):
        yield text, Listed.CANONICAL
    for text in entry.aliases:
        yield text, Listed.ALIAS
    for text in entry.sounds_like:
        yield text, Listed.SOUNDS_LIKE


@lru_cache(SPELLINGS_KEPT)
def _number_of(canonical: str, display: str) -> tuple[str | None, tuple[str, ...]]:
    """The number at the end of the canonical form or of a display, and the bases in front of it."""
    for text in (canonical, display):
        tokens = tokens_of(text)
        if len(tokens) > 1 and tokens[len(tokens) - 1].script is Script.DIGIT:
            number = digits_of(tokens[len(tokens) - 1].key)
            return number, (text[: tokens[len(tokens) - 1].start].strip(" -_"),)
    return None, (canonical,)


@lru_cache(SPELLINGS_KEPT)
def _split(text: str, number: str | None) -> tuple[tuple[str, str | None], ...]:
    tokens = tokens_of(text)
    if number is not None:
        for base in _bases_before(tokens, number):
            return ((base, number),)
    return (("".join(token.key for token in tokens.items), None),)


def _bases_before(tokens: Tokens, number: str) -> Iterator[str]:
    """The part of a spelling in front of its number, when the rest is exactly this number."""
    before = ""
    for index, token in enumerate(tokens.items):
        for offset in range(len(token.key)):
            inside = offset > 0 and token.script is not Script.HANGUL
            if not inside and before + token.key[:offset] and _is_number(tokens, index, offset, number):
                yield before + token.key[:offset]
        before += token.key


def _is_number(tokens: Tokens, index: int, offset: int, number: str) -> bool:
    last = len(tokens) - 1
    return any(
        reading.value == number and (reading.token, reading.used) == (last, len(tokens[last].key))
        for reading in readings_at(tokens, index, offset)
    )


def _spelled(base: str) -> Iterator[str]:
    """How a base of capital letters is spelled: in the NATO alphabet, and by the letters' Korean names."""
    if 1 < len(base) <= LETTERS_MAX and base.isascii() and base.isalpha() and base.isupper():
        letters = base.casefold()
        yield "".join(_NATO[letter] for letter in letters)
        yield "".join(LETTER_NAMES[letter] for letter in letters)


_NATO = {
    word[0]: word
    for word in (
        "alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike november oscar papa "
        "quebec romeo sierra tango uniform victor whiskey xray yankee zulu"
    ).split()
}
_NATO_SPELLINGS = {
    "alpha": ("alfa",),
    "alfa": ("alpha",),
    "juliet": ("juliett",),
    "juliett": ("juliet",),
    "whiskey": ("whisky",),
    "x-ray": ("xray",),
}
"""Both spellings of the NATO alphabet's words that have two."""
