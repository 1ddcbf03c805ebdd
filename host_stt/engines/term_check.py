"""The check of proposed glossary terms: how sure the model is of a term, and whether another one fits better.

A term is written if the decode with the glossary was sure of it: where a term was not said, the probability
is spread over many terms. Without the glossary in the prompt, the model then compares the term with the same
name and other numbers, and with the other names of the list. A call sign at the beginning is compared with
them in the text, and then alone. docs/benchmarks/glossary.md has the figures.

Where the term belongs is decided by *evidence*, without the glossary in the prompt: the log probability of a
text for the audio, less a part of what the model expects without any audio.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from host_stt.engines.heard import Heard
from host_stt.engines.rows import Decoded
from host_stt.engines.term_nouns import is_noun
from host_stt.engines.term_proposals import (
    MARKS,
    Proposal,
    Range,
    is_another_call_sign,
    keys_of_terms,
    likeness,
    opening,
    other_names,
    other_numbers,
    proposals,
    replaced,
    terms_in,
    terms_of_other_names,
)

SURENESS_MIN = -0.25
"""The least that is enough: the average log probability of the tokens of a term in the decode with the
glossary, and the shares of both margins.
"""
NUMBER_SHARE, NAME_SHARE, MARGIN_MAX = 0.15, 0.1, 4.0
"""The margin over other numbers: how much more probable the text with the term is for the audio than the text
with the best other number. The margin over the other names of the list, with the same number, compares
evidence. Both are within this maximum, and 0 where there is nothing to compare.
"""
NAMES_MAX = 24
"""At most so many other names are compared, the first of the list."""
OPENING_MIN, OPENING_SHARE = -0.7, 0.3
"""A call sign at the beginning of the decode with the glossary is also compared alone, without the words
behind it, which the model may have misheard. Its sureness and this share of the smaller margin must be at
least this minimum.
"""
OPENING_TERMS_MAX = 64
"""At most so many terms with other names are compared with it, the first of the list."""
LOSS_MAX = 30.0
"""More evidence than this may no term cost."""
PRIOR_SHARE = 0.5
"""The evidence for a text is its log probability for the audio, minus this share of its log probability
without audio. With 0, short texts of common words would always win.
"""
LOSS_PER_LIKENESS = 12.0
"""Of the places that a term may have, the one with the least loss of evidence is used. A place may cost so
much more in proportion to the likeness of the term to the words there.
"""


class Scores(Protocol):
    """Log probabilities of texts, without a prompt."""

    def for_audio(self, texts: Sequence[str]) -> Sequence[float]:
        """For the audio of one row."""

    def without_audio(self, texts: Sequence[str]) -> Sequence[float]:
        """What the model expects before it hears anything."""


@dataclass(frozen=True, slots=True)
class _Placed:
    """A term at one place, or several terms with the words between them.

    loss: of evidence. excess: of the loss, over what the likeness to the words at this place allows.
    """

    place: Range  # in the plain text
    words: tuple[str, ...]
    terms: tuple[tuple[str, ...], ...]
    text: str
    loss: float
    excess: float


def may_have_terms(decoded: Decoded) -> bool:
    """Whether a decode with the glossary may find terms: a final with terms and text."""
    window = decoded.row.window
    return bool(window.priority.is_final and window.terms and decoded.result.text)


def checked_text(plain: str, heard: Heard, terms: Sequence[str], scores: Scores) -> str:
    """The plain text with those terms of the decode with the glossary that were said.

    plain: the text of the decode without it.
    """
    words, keys = plain.split(), keys_of_terms(terms)
    if not words:
        return plain
    tries = _allowed(proposals(words, heard.texts, keys), words, terms)
    placed = [one for one in _placed(words, tries, keys, scores) if not _is_noun(one, words, heard)]
    believed = {one: _belief(one, words, heard, terms, scores) for one in placed}
    accepted: list[_Placed] = []
    for one in sorted(placed, key=lambda one: (-len(one.terms), -believed[one])):
        if believed[one] >= SURENESS_MIN and _is_free(one, accepted):
            accepted.append(one)
    begins = opening(words, heard.texts, keys)
    for one in _placed(words, _allowed([begins] if begins else [], words, terms), keys, scores):
        is_name = _is_free(one, accepted) and not _is_noun(one, words, heard)
        if is_name and _begins_with(one.words, heard, terms, scores):
            accepted.append(one)
    for one in sorted(accepted, key=lambda one: -one.place.first):
        words = replaced(words, one.place, one.words)
    return " ".join(words) if accepted else plain


def _allowed(
    proposed: Sequence[Proposal], words: Sequence[str], terms: Sequence[str]
) -> list[tuple[Proposal, Range]]:
    """Each proposal with each of its places where no other call sign is."""
    return [
        (proposal, place)
        for proposal in proposed
        for place in proposal.ranges
        if not is_another_call_sign(words, place, proposal.words, terms)
    ]


def _placed(
    words: list[str], tries: Sequence[tuple[Proposal, Range]], keys: frozenset[str], scores: Scores
) -> list[_Placed]:
    """Each term at its best place, where it does not cost too much evidence."""
    if not tries:
        return []
    texts = [" ".join(replaced(words, place, proposal.words)) for proposal, place in tries]
    plain, *evidence = _evidence([" ".join(words), *texts], scores)
    best: dict[tuple[str, ...], _Placed] = {}
    for (proposal, place), text, found in zip(tries, texts, evidence, strict=True):
        loss = plain - found
        alike = likeness(words[place.first : place.end], proposal.words)
        said = tuple(proposal.words[one.first : one.end] for one in terms_in(proposal.words, keys))
        one = _Placed(place, proposal.words, said, text, loss, loss - LOSS_PER_LIKENESS * alike)
        if proposal.words not in best or one.excess < best[proposal.words].excess:
            best[proposal.words] = one
    return [one for one in best.values() if one.loss <= LOSS_MAX]


def _is_noun(one: _Placed, words: Sequence[str], heard: Heard) -> bool:
    return len(one.terms) == 1 and is_noun(words, one.place, one.terms[0], heard)


def _belief(one: _Placed, words: Sequence[str], heard: Heard, terms: Sequence[str], scores: Scores) -> float:
    """How sure it is that a term was said: a log probability, and shares of the margins that can decide.

    Of several terms, the least sure one counts, and there are no margins.
    """
    belief = min(heard.sureness(term) for term in one.terms)
    if len(one.terms) > 1:
        return belief
    others = other_numbers(one.words)
    if others and belief + (NUMBER_SHARE + NAME_SHARE) * MARGIN_MAX >= SURENESS_MIN:
        own, *rest = scores.for_audio([one.text, *_in_place(words, one.place, others)])
        belief += NUMBER_SHARE * _limited(own - max(rest))
    others = other_names(one.words, terms)[:NAMES_MAX]
    if others and abs(belief - SURENESS_MIN) <= NAME_SHARE * MARGIN_MAX:
        own, *rest = _evidence([one.text, *_in_place(words, one.place, others)], scores)
        belief += NAME_SHARE * _limited(own - max(rest))
    return belief


def _begins_with(term: Sequence[str], heard: Heard, terms: Sequence[str], scores: Scores) -> bool:
    """Whether the audio begins with this call sign, by its sureness and the smaller of two margins: over its
    name with other numbers, and over the listed terms with other names. Each is compared as the whole text.
    """
    sureness, margin = heard.sureness(term), MARGIN_MAX
    if sureness + OPENING_SHARE * margin < OPENING_MIN:
        return False
    own, *rest = scores.for_audio([_text_of(one) for one in (term, *other_numbers(term))])
    margin = min(margin, own - max(rest))
    others = terms_of_other_names(term, terms)[:OPENING_TERMS_MAX]
    if others and sureness + OPENING_SHARE * margin >= OPENING_MIN:
        own, *rest = _evidence([_text_of(one) for one in (term, *others)], scores)
        margin = min(margin, own - max(rest))
    return sureness + OPENING_SHARE * margin >= OPENING_MIN


def _text_of(term: Sequence[str]) -> str:
    return " ".join(term).rstrip(MARKS)


def _limited(margin: float) -> float:
    return max(-MARGIN_MAX, min(MARGIN_MAX, margin))


def _evidence(texts: Sequence[str], scores: Scores) -> list[float]:
    pairs = zip(scores.for_audio(texts), scores.without_audio(texts), strict=True)
    return [one - PRIOR_SHARE * other for one, other in pairs]


def _is_free(one: _Placed, accepted: Sequence[_Placed]) -> bool:
    return not any(_are_for_one_place(one, other) for other in accepted)


def _in_place(words: Sequence[str], place: Range, terms: Sequence[Sequence[str]]) -> list[str]:
    """The text with each of the terms at this place."""
    return [" ".join(replaced(words, place, term)) for term in terms]


def _are_for_one_place(one: _Placed, other: _Placed) -> bool:
    """Whether only one of two can be written: they overlap, or one is a part of the other."""
    are_parts = set(one.words) <= set(other.words) or set(other.words) <= set(one.words)
    return one.place.touches(other.place) or are_parts
