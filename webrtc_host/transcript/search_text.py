"""Words for searching: a text as tokens, a question as phrases of them, and where one stands in a text.

Pure. Scripts that write words apart (Latin, digits) give one token a word. Hangul, Han and Kana give pairs of
neighbouring letters, also over spaces: Korean glues particles to words and is spaced as people please, and a
call sign of two syllables must be found. Owns this rule alone; both databases index the same tokens.
Invariants: a token is letters and digits, so nothing of a question is ever syntax; what a phrase of a text's
own words asks for, the text's tokens hold.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

TERMS_MAX = 16
TOKENS_MAX = 64  # of one question
TOKEN_CHARS_MAX = 64
SEPARATOR = "\u241e"  # a token that nobody can ask for: no phrase reaches over it

_DENSE = "\u1100-\u11ff\u3040-\u30ff\u3130-\u318f\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_LETTER = rf"(?:(?=[^\W_])[{_DENSE}])"
_RUN = re.compile(rf"(?P<dense>{_LETTER}(?:\s*{_LETTER})*)|(?P<word>(?:(?!{_LETTER})[^\W_])+)")
_WORD_BEGINS = rf"(?<!(?!{_LETTER})[^\W_])"
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Phrase:
    """Tokens next to each other; of the last one its beginning is enough when `is_open`."""

    tokens: tuple[str, ...]
    is_open: bool


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a text, and whether it is what was asked for."""

    text: str
    is_hit: bool


def normal(text: str) -> str:
    """One spelling for what is one: composed letters, no width, no case."""
    return unicodedata.normalize("NFKC", text).casefold()


def tokens(text: str) -> list[str]:
    """What is indexed of a text, in its order; then the letters that begin no pair, each once."""
    found: list[str] = []
    last: dict[str, None] = {}
    for run, is_dense in _runs(normal(text)):
        if is_dense and len(run) > 1:
            found += _pairs(run)
            last[run[-1]] = None
        else:
            found.append(run[:TOKEN_CHARS_MAX])
    return [*found, SEPARATOR, *last] if last else found


def phrases(question: str) -> list[Phrase]:
    """Every one must stand in a text for it to be found. Empty when nothing is asked for."""
    found: list[Phrase] = []
    room = TOKENS_MAX
    for term in normal(question).split()[:TERMS_MAX]:
        row: list[str] = []
        is_open = False
        for run, is_dense in _runs(term):
            row += _pairs(run) if is_dense and len(run) > 1 else [run[:TOKEN_CHARS_MAX]]
            is_open = not is_dense or len(run) == 1
            if is_dense and len(run) == 1:  # the text may have it inside a pair: nothing stands behind it
                found.append(Phrase(tuple(row[:room]), True))
                room, row = room - len(row), []
        if row and room > 0:
            found.append(Phrase(tuple(row[:room]), is_open))
            room -= len(row)
    return [one for one in found if one.tokens]


def parts(text: str, question: str) -> list[Part]:
    """The text in pieces, the words asked for marked; joined they are the text."""
    pattern = _pattern(question)
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


def _pattern(question: str) -> re.Pattern[str] | None:
    """Matches the question's terms in a text as it was written: any case, and spaced as it pleases."""
    terms: list[str] = []
    for term in unicodedata.normalize("NFC", question).split()[:TERMS_MAX]:
        pieces = [
            _spaced(run) if is_dense else _WORD_BEGINS + re.escape(run) for run, is_dense in _runs(term)
        ]
        if pieces:
            terms.append(r"[\W_]*".join(pieces))
    longest_first: Sequence[str] = sorted(terms, key=len, reverse=True)
    return re.compile("|".join(longest_first), re.IGNORECASE) if terms else None


def _spaced(run: str) -> str:
    return r"\s*".join(re.escape(letter) for letter in run)
