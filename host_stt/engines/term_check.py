"""The check of proposed glossary terms: the model compares the text with the term and the text without it.

Both texts are scored without the glossary in the prompt, so the comparison is about the audio. But a call
sign is improbable in any text, also where it was said. So a part of what the model expects without any audio
is taken off: this is the *evidence* for a text. A term that was said costs little evidence or none.
docs/benchmarks/glossary.md has the figures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from host_stt.engines.rows import Decoded
from host_stt.engines.term_proposals import (
    Proposal,
    Range,
    is_another_call_sign,
    keys_of_terms,
    likeness,
    proposals,
    replaced,
)

PRIOR_SHARE = 0.5
"""The evidence for a text is its log probability for the audio, minus this share of its log probability
without audio. With 0, short texts of common words would always win.
"""
LOSS_MAX, LOSS_PER_LIKENESS = 2.0, 12.0
"""A term may cost so much evidence (natural logarithm, sum over the tokens), and more in proportion to its
likeness to the words that it replaces.
"""
LOSS_OF_INSERTION_MAX = 3.0
"""For a term where the plain text has no words at all; there is nothing to compare its sound with."""
SURE_LOGPROB, LOSS_PER_LOGPROB, LOSS_OF_UNSURE = -0.37, 12.0, -4.0
"""With a higher average log probability of the decode with the glossary, its terms may cost more, with a
lower one less, down to this change. In noise it lists terms, and is not sure of them.

All limits were chosen with base on 175 English clips: docs/benchmarks/glossary.md.
"""

Score = Callable[[Sequence[str]], Sequence[float]]
"""The evidence for texts from one row's audio."""


@dataclass(frozen=True, slots=True)
class Heard:
    """The text of a decode with the glossary, and its average log probability."""

    text: str
    avg_logprob: float


@dataclass(frozen=True, slots=True)
class Accepted:
    place: Range  # in the plain text
    words: tuple[str, ...]
    excess: float  # of the evidence that it costs over what it may cost; accepted where it is not above 0


def is_worth_checking(decoded: Decoded) -> bool:
    """Whether a decode with the glossary may find terms: a final with terms and text."""
    window = decoded.row.window
    return bool(window.priority.is_final and window.terms and decoded.result.text)


def checked_text(plain: str, prompted: Heard, terms: Sequence[str], score: Score) -> str:
    """The plain text with those terms of the prompted text that the audio supports."""
    words = plain.split()
    proposed = proposals(words, prompted.text.split(), keys_of_terms(terms))
    if not proposed or not words:
        return plain
    tries = [
        (proposal, place)
        for proposal in proposed
        for place in proposal.ranges
        if not is_another_call_sign(words, place, proposal.words, terms)
    ]
    accepted = _accepted(words, tries, _sureness(prompted.avg_logprob), score)
    for one in sorted(accepted, key=lambda one: -one.place.first):
        words = replaced(words, one.place, one.words)
    return " ".join(words) if accepted else plain


def _accepted(
    words: list[str], tries: Sequence[tuple[Proposal, Range]], sureness: float, score: Score
) -> list[Accepted]:
    """The best range of each term, where it is good enough; of overlapping terms, the better one."""
    if not tries:
        return []
    texts = [" ".join(replaced(words, place, proposal.words)) for proposal, place in tries]
    plain, *scores = score([" ".join(words), *texts])
    best: dict[tuple[str, ...], Accepted] = {}
    for (proposal, place), evidence in zip(tries, scores, strict=True):
        loss_max = _loss_max(words[place.first : place.end], proposal.words) + sureness
        one = Accepted(place, proposal.words, plain - evidence - loss_max)
        if proposal.words not in best or one.excess < best[proposal.words].excess:
            best[proposal.words] = one
    accepted: list[Accepted] = []
    for one in sorted(best.values(), key=lambda one: one.excess):
        if one.excess <= 0 and not any(_are_for_one_place(one, other) for other in accepted):
            accepted.append(one)
    return accepted


def _are_for_one_place(one: Accepted, other: Accepted) -> bool:
    """Whether only one of two can be written: they overlap, or one is a part of the other."""
    are_parts = set(one.words) <= set(other.words) or set(other.words) <= set(one.words)
    return one.place.touches(other.place) or are_parts


def _loss_max(replaced_words: Sequence[str], term: Sequence[str]) -> float:
    if not replaced_words:
        return LOSS_OF_INSERTION_MAX
    return LOSS_MAX + LOSS_PER_LIKENESS * likeness(replaced_words, term)


def _sureness(avg_logprob: float) -> float:
    return max(LOSS_OF_UNSURE, LOSS_PER_LOGPROB * (avg_logprob - SURE_LOGPROB))
