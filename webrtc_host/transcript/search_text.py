"""Words for the search: splits texts and queries into tokens, and finds the words of a query in a text.

Scripts with spaces between words (Latin, digits) give one token per word. Hangul, Han and Kana give pairs of
neighbouring letters, also across spaces: Korean joins particles to words and is spaced in different ways, and
a call sign of two syllables must be found. Both databases index the same tokens. Pure.
Invariants: a token has letters and digits only, so no part of a query is syntax for the database. A phrase
made of a text's own words is found in the text's tokens.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

TERMS_MAX = 16
TOKENS_MAX = 64  # of one question
TOKEN_CHARS_MAX = 64
SEPARATOR = "\u241e"  # a token that no query contains, so no phrase reaches across it

_DENSE = "\u1100-\u11ff\u3040-\u30ff\u3130-\u318f\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_LETTER = rf"(?:(?=[^\W_])[{_DENSE}])"
_RUN = re.compile(rf"(?P<dense>{_LETTER}(?:\s*{_LETTER})*)|(?P<word>(?:(?!{_LETTER})[^\W_])+)")
_WORD_BEGINS = rf"(?<!(?!{_LETTER})[^\W_])"
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Phrase:
    """Tokens that must be next to each other. is_open: of the last one, a prefix is enough."""

    tokens: tuple[str, ...]
    is_open: bool


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a text; is_hit: it is one of the words of the query."""

    text: str
    is_hit: bool


def normal(text: str) -> str:
    """One form for equal spellings: composed letters, normal width, no case."""
    return unicodedata.normalize("NFKC", text).casefold()


def tokens(text: str) -> list[str]:
    """The tokens to index: in the order of the text; then single letters that begin no pair, each once."""
    found: list[str] = []
    last: dict[str, None] = {}
    for run, is_dense in _runs(normal(text)):
        if is_dense and len(run) > 1:
            found += _pairs(run)
            last[run[-1]] = None
        else:
            found.append(run[:TOKEN_CHARS_MAX])
    return [*found, SEPARATOR, *last] if last else found


def phrases(query: str) -> list[Phrase]:
    """The phrases of a query; a text must contain all of them. Empty without any word."""
    found: list[Phrase] = []
    tokens_left = TOKENS_MAX
    for term in normal(query).split()[:TERMS_MAX]:
        phrase: list[str] = []
        is_open = False
        for run, is_dense in _runs(term):
            phrase += _pairs(run) if is_dense and len(run) > 1 else [run[:TOKEN_CHARS_MAX]]
            is_open = not is_dense or len(run) == 1
            if is_dense and len(run) == 1:  # in the text it may begin a pair: nothing may follow it
                found.append(Phrase(tuple(phrase[:tokens_left]), True))
                tokens_left, phrase = tokens_left - len(phrase), []
        if phrase and tokens_left > 0:
            found.append(Phrase(tuple(phrase[:tokens_left]), is_open))
            tokens_left -= len(phrase)
    return [one for one in found if one.tokens]


def names_key(names: Iterable[str]) -> str:
    """Short names in one text for LIKE: their tokens, with a space around each. Empty without any word."""
    found = [" ".join(tokens(name)) for name in names]
    key = f" {SEPARATOR} ".join(one for one in found if one)
    return f" {key} " if key else ""


def names_patterns(query: str) -> list[str]:
    """LIKE patterns for `names_key`; it must match all of them. A number matches as a whole."""
    patterns = []
    for one in phrases(query):
        is_open = one.is_open and not one.tokens[-1].isdigit()
        patterns.append(f"% {' '.join(one.tokens)}{'' if is_open else ' '}%")
    return patterns


def parts(text: str, query: str) -> list[Part]:
    """The text in pieces, with the words of the query marked; joined, they are the text."""
    pattern = _pattern(query)
    found: list[Part] = []
    at = 0
    for hit in pattern.finditer(text) if pattern else ():
        if hit.start() > at:
            found.append(Part(text[at : hit.start()], False))
        found.append(Part(hit.group(), True))
        at = hit.end()
    if at < len(text):
        found.append(Part(text[at:], False))
    return found


def _runs(text: str) -> Iterator[tuple[str, bool]]:
    for run in _RUN.finditer(text):
        dense = run.group("dense")
        yield (_SPACE.sub("", dense), True) if dense else (run.group("word"), False)


def _pairs(run: str) -> list[str]:
    """`알파원` -> 알파, 파원."""
    return [run[at : at + 2] for at in range(len(run) - 1)]


def _pattern(query: str) -> re.Pattern[str] | None:
    """Matches the query's words in the original text, in any case and with any spacing."""
    terms: list[str] = []
    for term in unicodedata.normalize("NFC", query).split()[:TERMS_MAX]:
        pieces = [
            _spaced(run) if is_dense else _WORD_BEGINS + re.escape(run) for run, is_dense in _runs(term)
        ]
        if pieces:
            terms.append(r"[\W_]*".join(pieces))
    longest_first: Sequence[str] = sorted(terms, key=len, reverse=True)
    return re.compile("|".join(longest_first), re.IGNORECASE) if terms else None


def _spaced(run: str) -> str:
    return r"\s*".join(re.escape(letter) for letter in run)
