"""Scores of the lab: recall, precision, terms that were not said, and error rates. Pure.

Words are compared in lower case without punctuation, numbers as digits ("alpha one", "Alpha-1" and "Alpha 1"
are equal); Korean by characters without spaces, with each spelling of a term as the same characters. So an
error rate does not depend on how a term is spelled; `canonical` counts the exact spelling.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jiwer

from host_stt.engines.term_proposals import key_of
from webrtc_host.glossary.entries import Entry

KOREAN = "ko"
_PIECES = re.compile(r"[^\W\d_]+|\d")


@dataclass(frozen=True)
class Spellings:
    """The ways in which the terms of a glossary can stand in a text."""

    entries: Sequence[Entry]

    @cached_property
    def keys(self) -> dict[str, str]:
        """key -> canonical form."""
        return {
            key: entry.canonical
            for entry in self.entries
            for text in (entry.canonical, entry.display_en, entry.display_ko, *entry.aliases)
            if (key := key_of(text))
        }

    def in_text(self, text: str) -> list[str]:
        """Canonical forms of the terms in a text, in order; the longest at each place."""
        return [term for term, _ in self.split(text) if term]

    def split(self, text: str) -> list[tuple[str, str]]:
        """The text in pieces: ("", other words) and (canonical form, the words of the term)."""
        words = text.split()
        parts: list[tuple[str, str]] = []
        first = 0
        while first < len(words):
            term, end = self._term_at(words, first)
            parts.append((term, " ".join(words[first:end])))
            first = end
        return parts

    def _term_at(self, words: Sequence[str], first: int) -> tuple[str, int]:
        key, best = "", ("", first + 1)
        for end in range(first + 1, min(first + 5, len(words)) + 1):
            last = key_of(words[end - 1])
            key += last
            # A Korean term may have a particle of up to three syllables behind it.
            for cut in range(0, min(3, len(last) - 1) + 1):
                stem = key[: len(key) - cut]
                if stem in self.keys and (not cut or not key[-cut:].isascii()):
                    best = (self.keys[stem], end)
                    break
        return best


@dataclass
class Score:
    """Sums over clips."""

    clips: int = 0
    said: int = 0
    found: int = 0
    canonical: int = 0
    invented: int = 0  # clips with a term that was not said
    written: int = 0  # terms in the texts
    errors: int = 0
    units: int = 0
    invented_terms: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            "clips": self.clips,
            "terms": self.said,
            "recall": _share(self.found, self.said),
            "canonical": _share(self.canonical, self.said),
            "precision": _share(self.found, self.written),
            "false_insertions": _share(self.invented, self.clips),
            "error_rate": _share(self.errors, self.units),
            "units": self.units,
        }


def add(
    score: Score, spellings: Spellings, language: str, said: str, terms: Iterable[str], text: str
) -> None:
    """Add one clip. said: the spoken words; terms: canonical forms of the terms in it."""
    wanted = list(terms)
    read = spellings.in_text(text)
    left = list(read)
    for term in wanted:
        if term in left:
            left.remove(term)
            score.found += 1
    invented = [term for term in left if term not in wanted]
    score.clips += 1
    score.said += len(wanted)
    score.written += len(read)
    score.invented += bool(invented)
    score.invented_terms += invented
    shown = {entry.canonical: entry.shown(language) for entry in spellings.entries}
    score.canonical += sum(term in text or shown.get(term, term) in text for term in wanted)
    errors, units = error_counts(spellings, language, said, text)
    score.errors += errors
    score.units += units


def error_counts(spellings: Spellings, language: str, said: str, text: str) -> tuple[int, int]:
    """(wrong units, units of what was said): words, or characters of Korean."""
    reference, hypothesis = comparable(spellings, language, said), comparable(spellings, language, text)
    if not reference:
        return (len(hypothesis.split()), 0)
    process = jiwer.process_characters if language == KOREAN else jiwer.process_words
    out = process(reference, hypothesis)
    return (
        out.substitutions + out.deletions + out.insertions,
        out.hits + out.substitutions + out.deletions,
    )


def comparable(spellings: Spellings, language: str, text: str) -> str:
    pieces: list[str] = []
    shown = {entry.canonical: entry.shown(language) for entry in spellings.entries}
    for term, words in spellings.split(text):
        written = shown[term] if term else words
        pieces += (key_of(piece) for piece in _PIECES.findall(written.casefold()))
    return ("" if language == KOREAN else " ").join(pieces)


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
