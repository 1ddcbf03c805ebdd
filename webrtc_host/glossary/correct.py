"""The text stage of the glossary: write the terms that stand in a text as the site wants to see them.

Pure. Invariants: text outside of the edits is unchanged, character by character; the words and their times
stay those of the engine, and a word that an edit made of several has the time of all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from host_stt.contract import Word
from webrtc_host.events import Edit
from webrtc_host.glossary.index import Index, Scope
from webrtc_host.glossary.matching import Match, spellings_in
from webrtc_host.glossary.normalise import Tokens, tokens_of
from webrtc_host.glossary.sounding import sounds_in

SURE = 0.6
"""From this probability of a word on, the engine was sure of it."""


@dataclass(frozen=True, slots=True)
class Corrected:
    text: str
    words: tuple[Word, ...]
    edits: tuple[Edit, ...]


def correct(text: str, words: Sequence[Word], index: Index, scope: Scope, language: str | None) -> Corrected:
    """The text with every term in its form for `language`. words: those of the text, or none."""
    tokens = tokens_of(text)
    spans = spans_of(text, words)
    sure = _sureness(tokens, words, spans)
    spelled = spellings_in(tokens, index, scope, sure)
    matches = [*spelled, *sounds_in(tokens, index, scope, sure, spelled)]
    changes = [
        change
        for match in sorted(matches, key=lambda match: match.span.first)
        if (change := _change(match, tokens, index, language)) is not None
    ]
    if not changes:
        return Corrected(text, tuple(words), ())
    new = _applied(text, 0, changes)
    return Corrected(new, tuple(_merged(text, words, spans, changes)), tuple(_edits(text, changes)))


@dataclass(frozen=True, slots=True)
class _Change:
    """text[start:end] of the engine's text becomes `after`."""

    start: int
    end: int
    after: str
    term: str
    match: Match


def _change(match: Match, tokens: Tokens, index: Index, language: str | None) -> _Change | None:
    if match.term is None:
        return None
    entry = index.entries[match.term]
    start = tokens[match.span.first].start
    end = tokens[match.span.last].offset_at(match.span.used)
    after = entry.shown(language or "")
    return None if tokens.text[start:end] == after else _Change(start, end, after, entry.canonical, match)


def _applied(text: str, start: int, changes: Sequence[_Change]) -> str:
    """`text` with the changes. start: where `text` begins in the whole text."""
    for change in reversed(changes):
        text = text[: change.start - start] + change.after + text[change.end - start :]
    return text


def _edits(text: str, changes: Sequence[_Change]) -> Iterator[Edit]:
    """The changes as the wire has them, with the place of the new text."""
    moved = 0
    for change in changes:
        start = change.start + moved
        before, match = text[change.start : change.end], change.match
        end = start + len(change.after)
        yield Edit(before, change.after, change.term, match.kind, match.score, start, end)
        moved += len(change.after) - len(before)


def carried(earlier: Sequence[Edit], later: Sequence[Edit]) -> list[Edit]:
    """The edits of an earlier stage, at their places in the text after a later stage.

    later: in the order of their places, as `correct` gives them. An earlier edit whose text a later one
    changed is left out: the later one has that text in `before`.
    """
    kept = []
    for edit in earlier:
        if edit.start is None or edit.end is None:
            kept.append(edit)
            continue
        moved, is_whole = 0, True
        for other in later:
            start = (other.start or 0) - moved  # where `before` stood in the earlier text
            if start >= edit.end:
                break
            if start + len(other.before) > edit.start:
                is_whole = False
            moved += len(other.after) - len(other.before)
        if is_whole:
            kept.append(replace(edit, start=edit.start + moved, end=edit.end + moved))
    return kept


def spans_of(text: str, words: Sequence[Word]) -> list[tuple[int, int]] | None:
    """Where each word stands in the text. None: the words are not those of the text."""
    spans, at = [], 0
    for word in words:
        found = text.find(word.text.strip(), at)
        if found < 0 or text[at:found].strip():
            return None
        at = found + len(word.text.strip())
        spans.append((found, at))
    return None if text[at:].strip() else spans


def _sureness(
    tokens: Tokens, words: Sequence[Word], spans: Sequence[tuple[int, int]] | None
) -> Callable[[int], bool]:
    """Without probabilities, every word counts as sure. A word that was split evenly has the value 0."""
    if spans is None or not any(word.probability for word in words):
        return lambda index: True
    known = list(zip(words, spans, strict=True))

    def sure(index: int) -> bool:
        start = tokens[index].start
        return all(word.probability >= SURE for word, (a, b) in known if a <= start < b)

    return sure


def _merged(
    text: str, words: Sequence[Word], spans: Sequence[tuple[int, int]] | None, changes: Sequence[_Change]
) -> list[Word]:
    """The words after the changes. The words that one change touches become one word."""
    if spans is None:
        return list(words)
    merged: list[Word] = []
    at = 0
    while at < len(words):
        start, end = spans[at]
        last = at
        while inside := [change for change in changes if change.start < end and change.end > start]:
            if last + 1 == len(words) or spans[last + 1][0] >= max(change.end for change in inside):
                break
            last += 1
            end = spans[last][1]
        merged.append(_one(words[at : last + 1], text[start:end], start, inside) if inside else words[at])
        at = last + 1
    return merged


def _one(words: Sequence[Word], text: str, start: int, changes: Sequence[_Change]) -> Word:
    return replace(
        words[0],
        text=_applied(text, start, changes),
        end_sample=max(word.end_sample for word in words),
        probability=min(word.probability for word in words),
    )
