"""Split a text into tokens that can be compared, with the place of each token in the text.

Pure. A token is a run of Latin letters, of digits or of Hangul; every other letter is a token of its own. Its
`key` has no case, no width and no accents. Invariant: the tokens lie in the text in order, without overlap,
and the text between two tokens is never changed by a comparison.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import Enum


class Script(Enum):
    LATIN = "latin"
    DIGIT = "digit"
    HANGUL = "hangul"
    OTHER = "other"


class Gap(Enum):
    """What stands between two tokens."""

    NONE = "none"
    SPACE = "space"  # white space, hyphens, and marks that join words
    COMMA = "comma"
    STOP = "stop"  # the end of a sentence, and every other mark


@dataclass(frozen=True, slots=True)
class Token:
    """text[start:end] of the original text. ends: for each character of `key`, where it ends in the text."""

    key: str
    script: Script
    start: int
    end: int
    ends: tuple[int, ...]

    def offset_at(self, used: int) -> int:
        """The place in the text behind the first `used` characters of the key."""
        return self.ends[used - 1] if used else self.start


@dataclass(frozen=True, slots=True)
class Tokens:
    """A text, its tokens, and the gap behind each token. gaps[-1] is the gap to the end of the text."""

    text: str
    items: tuple[Token, ...]
    gaps: tuple[Gap, ...]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Token:
        return self.items[index]

    def gap_text(self, index: int) -> str:
        """The text between token `index` and the next one, or the end of the text."""
        end = self.items[index + 1].start if index + 1 < len(self.items) else len(self.text)
        return self.text[self.items[index].end : end]


_TOKEN = re.compile(
    r"(?P<latin>[A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\uff21-\uff3a\uff41-\uff5a\u0300-\u036f]+)"
    r"|(?P<digit>[0-9\uff10-\uff19]+)"
    r"|(?P<hangul>[\uac00-\ud7a3\u1100-\u11ff\u3131-\u318e\ua960-\ua97c\ud7b0-\ud7fb]+)"
    r"|(?P<other>[^\W\d_])"
)
_SYLLABLE = re.compile(
    r"[\uac00-\ud7a3][\u11a8-\u11ff]?|[\u1100-\u115f\ua960-\ua97c]+[\u1160-\u11a7\ud7b0-\ud7c6]*"
    r"[\u11a8-\u11ff\ud7cb-\ud7fb]*|."
)
_SCRIPTS = {"latin": Script.LATIN, "digit": Script.DIGIT, "hangul": Script.HANGUL, "other": Script.OTHER}
_SPACES = frozenset(" \t\n\r\u00a0\u3000-\u2010\u2011\u2012\u2013_·'\u2019")
_COMMAS = frozenset(",\uff0c\u3001")


def tokens_of(text: str) -> Tokens:
    """The tokens of a text. The text is taken as it is: offsets count its own characters."""
    items = tuple(_token(text, match) for match in _TOKEN.finditer(text))
    starts = [token.start for token in items[1:]] + [len(text)]
    gaps = tuple(_gap(text[token.end : start]) for token, start in zip(items, starts, strict=False))
    return Tokens(text, items, gaps)


def key_of(text: str) -> str:
    """The keys of all tokens of a text without anything between them: "Alpha-1" and "alpha 1" are equal."""
    return "".join(token.key for token in tokens_of(text).items)


def _token(text: str, match: re.Match[str]) -> Token:
    start, end = match.span()
    script = _SCRIPTS[match.lastgroup or "other"]
    if match.group().isascii():  # without taking it apart: the most common case
        return Token(match.group().lower(), script, start, end, tuple(range(start + 1, end + 1)))
    pieces = _SYLLABLE.finditer(match.group()) if script is Script.HANGUL else re.finditer(".", match.group())
    key, ends = "", []
    for piece in pieces:
        folded = _folded(piece.group(), script)
        key += folded
        ends += [start + piece.end()] * len(folded)
    return Token(key, script, start, end, tuple(ends))


def _folded(piece: str, script: Script) -> str:
    if script is Script.HANGUL:
        return unicodedata.normalize("NFC", piece)
    plain = unicodedata.normalize("NFKD", piece).casefold()
    return "".join(c for c in plain if not unicodedata.combining(c))


def _gap(between: str) -> Gap:
    if not between:
        return Gap.NONE
    if all(c in _SPACES for c in between):
        return Gap.SPACE
    rest = [c for c in between if c not in _SPACES]
    return Gap.COMMA if all(c in _COMMAS for c in rest) else Gap.STOP
