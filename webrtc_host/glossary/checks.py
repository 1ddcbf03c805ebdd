"""Checks between the terms of a glossary: no spelling may lead to two terms.

Pure. Two terms may share a spelling when no channel and no language has both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from webrtc_host.glossary.entries import Entry
from webrtc_host.glossary.mistakes import KeyPath, Mistake, dotted
from webrtc_host.glossary.spelling import key_of

MISTAKES_MAX = 100
"""Mistakes that one check reports; correcting these often removes others."""
CANONICAL = "the canonical form"


@dataclass(frozen=True, slots=True)
class Spelling:
    """One spelling of a term. path: where the file has it. name: what it is to the term, for messages."""

    entry: Entry
    path: KeyPath
    text: str
    name: str


@dataclass(frozen=True, slots=True)
class Protected:
    """A word in `never`, of the term or the pattern that `entry` comes from."""

    entry: Entry
    path: KeyPath
    text: str


def between_terms(spellings: Sequence[Spelling], protected: Sequence[Protected]) -> list[Mistake]:
    """spellings: canonical forms before all others, so that a conflict is reported at the alias."""
    mistakes = list(_duplicates(spelling for spelling in spellings if spelling.name == CANONICAL))
    if mistakes:
        return mistakes[:MISTAKES_MAX]
    known: dict[str, list[Spelling]] = {}
    for spelling in spellings:
        if (key := key_of(spelling.text)) == "":
            message = f"{spelling.text!r} has no letter and no digit"
            mistakes.append(Mistake(spelling.path, message, spelling.entry.canonical))
            continue
        mistakes += _conflict(spelling, known.setdefault(key, []))
        known[key].append(spelling)
    mistakes += _hidden_terms(protected, known)
    return mistakes[:MISTAKES_MAX]


def _duplicates(spellings: Iterable[Spelling]) -> Iterable[Mistake]:
    """A canonical form that is there twice. A term may replace one that a pattern expands to."""
    first: dict[tuple[bool, str], Spelling] = {}
    for spelling in spellings:
        is_term = spelling.path[0] == "terms"
        other = first.setdefault((is_term, spelling.text.casefold()), spelling)
        if other is not spelling:
            place = dotted(other.path).removesuffix(".canonical")
            message = f"the term {spelling.text!r} is in the list twice; the first one is in {place}"
            yield Mistake(spelling.path, message, spelling.text)


def _conflict(new: Spelling, known: Sequence[Spelling]) -> list[Mistake]:
    for other in known:
        if new.entry.canonical != other.entry.canonical and _meet(new.entry, other.entry):
            message = (
                f"{new.text!r} is also {other.name} of the term {other.entry.canonical!r}; keep it in one of "
                f"them, or give the two terms different channels"
            )
            return [Mistake(new.path, message, new.entry.canonical)]
    return []


def _meet(a: Entry, b: Entry) -> bool:
    """Whether a channel and a language can have both."""
    has_channel = a.channels is None or b.channels is None or bool(a.channels & b.channels)
    return has_channel and (a.language is None or b.language is None or a.language == b.language)


def _hidden_terms(protected: Iterable[Protected], known: dict[str, list[Spelling]]) -> Iterable[Mistake]:
    """A word in `never` that is a spelling of a term would hide that term."""
    for word in protected:
        other = next(iter(known.get(key_of(word.text), ())), None)
        if other is not None:
            message = (
                f"{word.text!r} is {other.name} of the term {other.entry.canonical!r}; `never` would hide "
                f"it. Remove it from `never`"
            )
            yield Mistake(word.path, message, word.entry.canonical)
