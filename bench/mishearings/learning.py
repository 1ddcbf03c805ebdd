"""Learn mis-hearings from the tuning half of the benchmark, as a site would: they become `sounds_like`.

Pure. For each term that the text stage missed, the words in front of its number are proposed, if half of
their letters are those of the name. A proposal that fits two names, or that is a spelling of a term, is
dropped, and names of people are not learnt: 김인주 is another person than 김민준. `host-stt glossary train`
proposes in a similar way; a person accepts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from bench.mishearings.scoring import HALF, Kind, Outcome, likeness_of, names_of, number_of, pieces_of
from webrtc_host.glossary.entries import Entry
from webrtc_host.glossary.hangul import jamo_of
from webrtc_host.glossary.index import PERSON
from webrtc_host.glossary.normalise import key_of, tokens_of

LETTERS_MIN = 4
"""Shorter mis-hearings, such as "go" for Gold, are words of every second sentence."""
Heard = Mapping[str, frozenset[str]]
"""Canonical form without its number -> what the engine wrote instead."""


def learn(outcomes: Iterable[Outcome], entries: Sequence[Entry]) -> Heard:
    by_name = {entry.canonical: entry for entry in entries}
    known = {key_of(name) for entry in entries for name in (*names_of(entry), *entry.aliases)}
    found: dict[str, set[str]] = defaultdict(set)
    for outcome in outcomes:
        for name, kind in outcome.missed:
            if kind in (Kind.NEAR, Kind.FAR) and by_name[name].kind != PERSON:
                piece = _nearest(outcome.row.wrote, by_name[name])
                if piece and piece not in known and len(jamo_of(piece)) >= LETTERS_MIN:
                    found[_base(name)].add(piece)
    counts: dict[str, int] = defaultdict(int)
    for pieces in found.values():
        for piece in pieces:
            counts[piece] += 1
    return {
        base: frozenset(piece for piece in pieces if counts[piece] == 1) for base, pieces in found.items()
    }


def with_heard(entries: Sequence[Entry], heard: Heard) -> tuple[Entry, ...]:
    """The entries with what was learnt, each mis-hearing followed by the number of the entry."""
    return tuple(
        replace(
            entry,
            sounds_like=(
                *entry.sounds_like,
                *(
                    f"{piece} {number_of(entry) or ''}".strip()
                    for piece in sorted(heard.get(_base(entry.canonical), ()))
                ),
            ),
        )
        for entry in entries
    )


def _base(canonical: str) -> str:
    return canonical.rstrip("0123456789").rstrip("- ")


def _nearest(wrote: str, entry: Entry) -> str | None:
    pieces = set(pieces_of(tokens_of(wrote), number_of(entry)))
    score, piece = max(((likeness_of(piece, entry), piece) for piece in pieces), default=(0.0, ""))
    return piece if score >= HALF else None
