"""The figures of `host-stt score`: character and word error rates (jiwer), and the scores of terms.

Pure. The docstring of each figure is its definition.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import jiwer

from host_stt_cli.scores.files import Pair
from host_stt_cli.scores.normalise import normalised, without_spaces
from webrtc_host.glossary.entries import Snapshot
from webrtc_host.glossary.index import Index
from webrtc_host.glossary.matching import spellings_in
from webrtc_host.glossary.normalise import tokens_of


@dataclass(frozen=True, slots=True)
class Errors:
    """rate: errors per unit of the reference; more than 1 when much was inserted."""

    rate: float
    substituted: int
    deleted: int
    inserted: int
    of: int  # words or characters of the reference


@dataclass(frozen=True, slots=True)
class TermScores:
    """Terms of the glossary, line by line. In the reference, any spelling of a term counts as the term."""

    said: int
    """Terms in the reference."""
    recall: float
    """Share of them that the hypothesis has in the site's form: canonical, or its display."""
    recall_any: float
    """Share of them that the hypothesis has in any spelling of the glossary."""
    precision: float
    """Share of the hypothesis's terms that are in the reference's line."""
    false: int
    """Terms of the hypothesis that are not in the reference's line."""
    lines_without: int
    """Lines of the reference without a term."""
    false_lines: float
    """Share of these lines in which the hypothesis has a term."""


@dataclass(frozen=True, slots=True)
class Scores:
    language: str
    lines: int
    cer_without_spaces: Errors
    cer_with_spaces: Errors
    wer: Errors
    terms: TermScores | None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def scores_of(pairs: Sequence[Pair], language: str, glossary: Snapshot | None) -> Scores | None:
    """None: the reference has no words after normalisation."""
    said = [normalised(pair.reference, language) for pair in pairs]
    read = [normalised(pair.hypothesis, language) for pair in pairs]
    if not any(said):
        return None
    return Scores(
        language=language,
        lines=len(pairs),
        cer_without_spaces=_characters([*map(without_spaces, said)], [*map(without_spaces, read)]),
        cer_with_spaces=_characters(said, read),
        wer=_words(said, read),
        terms=None if glossary is None else _terms(pairs, language, Index.build(glossary)),
    )


def _characters(said: list[str], read: list[str]) -> Errors:
    """Over the whole set: all errors of all lines, per character of all references."""
    return _errors(jiwer.process_characters, said, read)


def _words(said: list[str], read: list[str]) -> Errors:
    return _errors(jiwer.process_words, said, read)


def _errors(process: Any, said: list[str], read: list[str]) -> Errors:
    # jiwer refuses an empty reference; all of its hypothesis is inserted.
    known = [(a, b) for a, b in zip(said, read, strict=True) if a]
    is_by_word = process is jiwer.process_words
    extra = sum(len(b.split()) if is_by_word else len(b) for a, b in zip(said, read, strict=True) if not a)
    out = process([a for a, _ in known], [b for _, b in known])
    of = out.hits + out.substitutions + out.deletions
    inserted = out.insertions + extra
    rate = (out.substitutions + out.deletions + inserted) / of
    return Errors(round(rate, 4), out.substitutions, out.deletions, inserted, of)


def language_of(pairs: Sequence[Pair]) -> str:
    """`ko` when the reference has more Hangul than Latin letters, else `en`."""
    text = "".join(pair.reference for pair in pairs)
    hangul = sum("가" <= c <= "힣" for c in text)
    latin = sum(c.isascii() and c.isalpha() for c in text)
    return "ko" if hangul > latin else "en"


def _terms(pairs: Sequence[Pair], language: str, index: Index) -> TermScores:
    said = found = found_any = written = right = without = false_lines = 0
    for pair in pairs:
        expected, _ = _terms_in(pair.reference, language, index)
        spelled, shown = _terms_in(pair.hypothesis, language, index)
        said += expected.total()
        found += (expected & shown).total()
        found_any += (expected & spelled).total()
        written += spelled.total()
        right += (spelled & expected).total()
        if not expected:
            without += 1
            false_lines += bool(spelled)
    return TermScores(
        said=said,
        recall=round(found / said, 4) if said else 1.0,
        recall_any=round(found_any / said, 4) if said else 1.0,
        precision=round(right / written, 4) if written else 1.0,
        false=written - right,
        lines_without=without,
        false_lines=round(false_lines / without, 4) if without else 0.0,
    )


def _terms_in(text: str, language: str, index: Index) -> tuple[Counter[int], Counter[int]]:
    """The terms in a text: in any spelling, and in the site's form."""
    tokens = tokens_of(text)
    spelled: Counter[int] = Counter()
    shown: Counter[int] = Counter()
    scope = frozenset(term for term, entry in enumerate(index.entries) if entry.language in (None, language))
    for match in spellings_in(tokens, index, scope, lambda _: False):
        if match.term is None:
            continue
        entry, span = index.entries[match.term], match.span
        spelled[match.term] += 1
        as_written = text[tokens[span.first].start : tokens[span.last].offset_at(span.used)]
        shown[match.term] += as_written in (entry.canonical, entry.shown(language))
    return spelled, shown
