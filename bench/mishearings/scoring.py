"""Score the text stage of the glossary on what the engine wrote: precision and recall, by language and kind.

Pure. A *mis-hearing* is a term that was said and whose display does not stand in the engine's text. Its kind
says how much of the term is left, see `Kind`: a term with a number must have its number, and its name is
compared by its letters. What has less than half of the letters is *lost*: no rule on text alone may bring it
back. Precision is the share of edits whose term was said in the sentence; recall is the share of mis-hearings
that the stage wrote in the site's form. A trap is a sentence without a term: each edit of it is wrong.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path

from rapidfuzz.distance import Levenshtein

from bench.mishearings.phrases import CALL_SIGNS, NAMED
from host_stt.contract import Word
from webrtc_host.glossary.correct import Corrected, correct
from webrtc_host.glossary.entries import Entry, Snapshot
from webrtc_host.glossary.hangul import FIRST, LAST, jamo_of
from webrtc_host.glossary.index import Index
from webrtc_host.glossary.normalise import Script, Tokens, tokens_of
from webrtc_host.glossary.number_words import NumberStyle, readings_at
from webrtc_host.speech.words import tokens_of as words_in

HALF, TWO_THIRDS = 0.5, 2 / 3


class Half(Enum):
    TUNING = "tuning"
    HELD_OUT = "held out"


class Kind(Enum):
    """How far the engine's text is from the term."""

    WRITTEN = "already right"
    FORM = "other form"  # the same words: "Alpha 1", "알파 하나"
    NEAR = "near"  # two thirds of the letters or more: "Tengo 5", "Ratter 9"
    FAR = "far"  # half of the letters or more: "Goal 3"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Row:
    id: str
    language: str
    condition: str
    said: str
    terms: tuple[str, ...]
    wrote: str
    probabilities: tuple[float, ...]

    @property
    def half(self) -> Half:
        """By a hash of what was said, so that no sentence is in both halves."""
        is_held_out = hashlib.sha256(self.said.encode()).digest()[0] % 2
        return Half.HELD_OUT if is_held_out else Half.TUNING

    @property
    def words(self) -> tuple[Word, ...]:
        tokens = words_in(self.wrote)
        if len(tokens) != len(self.probabilities):  # the engine splits at hyphens: FOX-TRAP-3 is three words
            tokens = [
                (part, space and i == 0)
                for text, space in tokens
                for i, part in enumerate(re.findall("-?[^-]+", text))
            ]
        if len(tokens) != len(self.probabilities):
            return ()
        return tuple(
            Word(text, 1000 * i, 1000 * i + 900, p, space)
            for i, ((text, space), p) in enumerate(zip(tokens, self.probabilities, strict=True))
        )


def read_rows(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Row(
                row["id"],
                row["language"],
                row["condition"],
                row["said"],
                tuple(row["terms"].split("|")) if row["terms"] else (),
                row["wrote"],
                tuple(int(p) / 100 for p in row["sure"].split()),
            )
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        ]


@dataclass(slots=True)
class Score:
    """Counts of one group of rows."""

    rows: int = 0
    edits: int = 0
    wrong_edits: int = 0
    found: Counter[Kind] | None = None
    missed: Counter[Kind] | None = None

    def __post_init__(self) -> None:
        self.found, self.missed = self.found or Counter(), self.missed or Counter()

    @property
    def precision(self) -> float:
        return 1 - self.wrong_edits / self.edits if self.edits else 1.0

    @property
    def recall(self) -> float:
        """Of mis-hearings with two thirds of the letters."""
        return self._share(Kind.FORM, Kind.NEAR)

    @property
    def recall_with_far(self) -> float:
        """Of mis-hearings with half of the letters."""
        return self._share(Kind.FORM, Kind.NEAR, Kind.FAR)

    def _share(self, *kinds: Kind) -> float:
        found, missed = self.count(*kinds)
        return found / (found + missed) if found + missed else 1.0

    def count(self, *kinds: Kind) -> tuple[int, int]:
        """Terms of these kinds: found, missed."""
        assert self.found is not None and self.missed is not None
        return sum(self.found[kind] for kind in kinds), sum(self.missed[kind] for kind in kinds)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One row after the stage. found, missed: terms with their kind. wrong: terms that were not said."""

    row: Row
    corrected: Corrected
    found: tuple[tuple[str, Kind], ...]
    missed: tuple[tuple[str, Kind], ...]
    wrong: tuple[str, ...]


def play(row: Row, index: Index, by_name: dict[str, Entry]) -> Outcome:
    corrected = correct(row.wrote, row.words, index, frozenset(range(len(index.entries))), row.language)
    wrong = [edit.term for edit in corrected.edits if edit.term not in row.terms]
    found: list[tuple[str, Kind]] = []
    missed: list[tuple[str, Kind]] = []
    for name in row.terms:
        shown = by_name[name].shown(row.language)
        kind = kind_of(row, by_name[name])
        (found if _has(corrected.text, shown) else missed).append((name, kind))
    return Outcome(row, corrected, tuple(found), tuple(missed), tuple(wrong))


def score(outcomes: Iterable[Outcome]) -> Score:
    total = Score()
    assert total.found is not None and total.missed is not None
    for one in outcomes:
        total.rows += 1
        total.edits += len(one.corrected.edits)
        total.wrong_edits += len(one.wrong)
        total.found.update(kind for _, kind in one.found)
        total.missed.update(kind for _, kind in one.missed)
    return total


def kind_of(row: Row, entry: Entry) -> Kind:
    if _has(row.wrote, entry.shown(row.language)):
        return Kind.WRITTEN
    pieces = pieces_of(tokens_of(row.wrote), number_of(entry))
    likeness = max((likeness_of(piece, entry) for piece in pieces), default=0.0)
    if likeness == 1.0:
        return Kind.FORM
    if likeness >= TWO_THIRDS:
        return Kind.NEAR
    return Kind.FAR if likeness >= HALF else Kind.LOST


def number_of(entry: Entry) -> str | None:
    found = re.search("[0-9]+$", entry.canonical)
    return found.group() if found else None


def likeness_of(piece: str, entry: Entry) -> float:
    """How many letters of the term's name the piece has, 0 to 1."""
    return max(_likeness(piece, name) for name in names_of(entry))


def _has(text: str, shown: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(shown)}(?![A-Za-z0-9])", text) is not None


@cache
def names_of(entry: Entry) -> tuple[str, ...]:
    """The term without its number, as it can be said, without spaces."""
    if entry.canonical in NAMED:
        said = [*NAMED[entry.canonical], entry.canonical]
    else:
        base = entry.canonical.rpartition("-")[0]
        said = [base, CALL_SIGNS[base]]
    number = number_of(entry)
    if number:
        said = [_without_number(text, number) for text in said]
    return tuple("".join(token.key for token in tokens_of(text).items) for text in said)


def _without_number(text: str, number: str) -> str:
    tokens = tokens_of(text)
    for i, token in enumerate(tokens.items):
        for at in range(len(token.key)):
            if any(r.value == number and r.token == len(tokens) - 1 for r in readings_at(tokens, i, at)):
                return text[: token.offset_at(at)]
    return text


def pieces_of(tokens: Tokens, number: str | None) -> Iterable[str]:
    """Up to three words in front of each place with the number; without a number, of every place."""
    for i, token in enumerate(tokens.items):
        for at in range(len(token.key) + 1):
            if at not in (0, len(token.key)) and token.script is not Script.HANGUL:
                continue
            if number is None or (at < len(token.key) and _has_number(tokens, i, at, number)):
                before = [t.key for t in tokens.items[max(0, i - 2) : i]]
                for first in range(len(before) + 1):
                    yield "".join(before[first:]) + token.key[:at]


def _has_number(tokens: Tokens, index: int, at: int, number: str) -> bool:
    return any(
        reading.value == number and reading.style is not NumberStyle.HOMOPHONE
        for reading in readings_at(tokens, index, at)
    )


def _likeness(a: str, b: str) -> float:
    if not a or not b or _is_hangul(a) is not _is_hangul(b):
        return 0.0
    return (
        Levenshtein.normalized_similarity(jamo_of(a), jamo_of(b))
        if _is_hangul(a)
        else (Levenshtein.normalized_similarity(a, b))
    )


def _is_hangul(text: str) -> bool:
    return all(FIRST <= ord(c) <= LAST for c in text)


def index_of(entries: Sequence[Entry]) -> tuple[Index, dict[str, Entry]]:
    return Index.build(Snapshot(tuple(entries), 1)), {entry.canonical: entry for entry in entries}
