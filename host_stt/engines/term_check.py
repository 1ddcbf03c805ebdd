"""The check of proposed glossary terms: the model compares the text with the term and the text without it.

Both texts are scored without the glossary in the prompt, so the comparison is about the audio. A term that
was said costs the text little or nothing; one that was not said makes it less probable, mostly by e^10 to
e^40. docs/benchmarks/glossary.md has the figures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from host_stt.engines.rows import Decoded
from host_stt.engines.term_proposals import (
    Proposal,
    Range,
    keys_of_terms,
    likeness,
    proposals,
    replaced,
)

LOSS_MAX = 14.0
"""A term may never make the text less probable by more than this (natural logarithm, sum over the tokens)."""
LOSS_PER_LIKENESS, LOSS_OF_UNLIKE = 24.0, -2.5
"""How much a term may lose grows with its likeness to the words that it replaces. Chosen with base on 128
English clips, clean and radio at 10 dB, 40 terms (2026-11-30): of 44 proposals that were said 35 are within
this line, of 13 that were not said none. The line was drawn on these same proposals.
"""
LOSS_OF_INSERTION_MAX = 10.0
"""For a term where the plain text has no words at all; there is nothing to compare its sound with."""
LOSS_PER_LOST_WORD = 6.0
"""Added for each word that a term replaces beyond its own number of words. Fewer words are always more
probable, so without it a term would swallow its neighbours."""

Score = Callable[[Sequence[str]], Sequence[float]]
"""Log probabilities of texts for one row's audio, without a prompt; sums over the tokens."""


@dataclass(frozen=True, slots=True)
class Accepted:
    place: Range  # in the plain text
    words: tuple[str, ...]
    excess: float  # of its loss of log probability over what it may lose; accepted where it is not above 0


def is_worth_checking(decoded: Decoded) -> bool:
    """Whether a decode with the glossary may find terms: a final with terms and text."""
    window = decoded.row.window
    return bool(window.priority.is_final and window.terms and decoded.result.text)


def checked_text(plain: str, prompted: str, terms: Sequence[str], score: Score) -> str:
    """The plain text with those terms of the prompted text that the audio supports."""
    words = plain.split()
    proposed = proposals(words, prompted.split(), keys_of_terms(terms))
    if not proposed or not words:
        return plain
    accepted = _accepted(words, proposed, score)
    for one in sorted(accepted, key=lambda one: -one.place.first):
        words = replaced(words, one.place, one.words)
    return " ".join(words) if accepted else plain


def _accepted(words: list[str], proposed: Sequence[Proposal], score: Score) -> list[Accepted]:
    """The best range of each term, where it is good enough; of overlapping terms, the better one."""
    tries = [(proposal, place) for proposal in proposed for place in proposal.ranges]
    texts = [" ".join(replaced(words, place, proposal.words)) for proposal, place in tries]
    plain, *scores = score([" ".join(words), *texts])
    logprobs = iter(scores)
    found = []
    for proposal in proposed:
        ranges = []
        for place in proposal.ranges:
            loss = plain - next(logprobs) + LOSS_PER_LOST_WORD * _lost_words(proposal, place)
            excess = loss - _loss_max(words[place.first : place.end], proposal.words)
            ranges.append(Accepted(place, proposal.words, excess))
        # The likeliest range, if it is good enough: a wider one gains by the word that it removes.
        found.append(ranges[0] if ranges[0].excess <= 0 else min(ranges, key=lambda one: one.excess))
    accepted: list[Accepted] = []
    for one in sorted(found, key=lambda one: one.excess):
        is_taken = any(one.place.touches(other.place) or one.words == other.words for other in accepted)
        if one.excess <= 0 and not is_taken:
            accepted.append(one)
    return accepted


def _loss_max(replaced_words: Sequence[str], term: Sequence[str]) -> float:
    if not replaced_words:
        return LOSS_OF_INSERTION_MAX
    return min(LOSS_MAX, LOSS_OF_UNLIKE + LOSS_PER_LIKENESS * likeness(replaced_words, term))


def _lost_words(proposal: Proposal, place: Range) -> int:
    """The words of the plain text that would go, beyond those that the term has itself."""
    return max(0, place.end - place.first - len(proposal.words))
