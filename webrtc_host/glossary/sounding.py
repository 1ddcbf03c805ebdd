"""Find terms by their sound, in the words where no spelling of a term stands.

Pure. A candidate is one to four words; in front of a number it is compared with the names that have this
number, else with whole terms. The best name must be similar enough, and clearly better than the second-best.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from webrtc_host.glossary import guards
from webrtc_host.glossary.forms import Form, Listed
from webrtc_host.glossary.hangul import is_particle, jamo_of
from webrtc_host.glossary.hangul_numbers import NumberStyle
from webrtc_host.glossary.index import PERSON, Audible, Base, Index, Scope
from webrtc_host.glossary.matching import Match, Span, numbers_behind
from webrtc_host.glossary.normalise import Gap, Script, Tokens
from webrtc_host.glossary.number_words import Reading
from webrtc_host.glossary.phonetics import Sound, similarity, sound_of

WORDS_MAX = 3
SYLLABLES_MIN = 2
"""Syllables of a Hangul name in front of its number, at least."""
EVIDENCE = 0.08
"""Added to the similarity of words that the engine was not sure of, at a place where a call sign is usually
said, in front of a number that the call sign has."""


SHORTEST_NUMBER = 2
"""Jamo of 이 and 오, with the silent consonant."""


_ENDINGS = frozenset("이일사오구")
"""Sino-Korean digits that are also the ends of many words."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """Words that may be a term. base: the words in front of the number; span: with the number."""

    key: str
    base: Span
    span: Span
    reading: Reading | None


def sounds_in(
    tokens: Tokens, index: Index, scope: Scope, sure: guards.Sure, taken: Sequence[Match]
) -> list[Match]:
    """Matches by sound outside of `taken`, in order."""
    is_taken = [False] * len(tokens)
    for match in taken:
        for i in range(match.span.first, match.span.last + 1):
            is_taken[i] = True
    candidates = _candidates(tokens, is_taken)
    found = [m for c in candidates if (m := _matched(c, tokens, index, scope, sure)) is not None]
    found.sort(key=lambda match: -match.score)
    kept: list[Match] = []
    for match in found:
        if not any(match.span.overlaps(other.span) for other in kept):
            kept.append(match)
    return sorted(kept, key=lambda match: match.span.first)


def _candidates(tokens: Tokens, is_taken: Sequence[bool]) -> Iterator[_Candidate]:
    for first in range(len(tokens)):
        key = ""
        for last in range(first, min(first + WORDS_MAX, len(tokens))):
            token = tokens[last]
            if is_taken[last] or token.script not in (Script.LATIN, Script.HANGUL):
                break
            if token.script is not tokens[first].script:
                break
            yield from _ending_in(tokens, first, last, key)
            key += token.key
            if tokens.gaps[last] is not Gap.SPACE:
                break


def _ending_in(tokens: Tokens, first: int, last: int, before: str) -> Iterator[_Candidate]:
    """The candidates whose last word is token `last`. before: the keys of the words in front of it."""
    token = tokens[last]
    splits: Iterable[int] = (len(token.key),)
    if token.script is Script.HANGUL:
        splits = range(max(1, SYLLABLES_MIN - len(before)), len(token.key) + 1)
    for used in splits:
        base = Span(first, last, used)
        key = before + token.key[:used]
        for reading in numbers_behind(tokens, base):
            if reading.style is NumberStyle.HOMOPHONE:
                continue  # "fallen tree" is not a name with a number
            if reading.token == last and token.key[used : reading.used] in _ENDINGS:
                continue  # 이그레이: only a name that is spelled right shows that 이 is its number
            yield _Candidate(key, base, Span(first, reading.token, reading.used), reading)
        if used == len(token.key) or (token.script is Script.HANGUL and is_particle(token.key[used:])):
            yield _Candidate(key, base, base, None)


def _matched(
    candidate: _Candidate, tokens: Tokens, index: Index, scope: Scope, sure: guards.Sure
) -> Match | None:
    base, reading = candidate.base, candidate.reading
    if reading is not None and not guards.is_number_of(tokens, base.first, base.last, base.used, reading):
        return None
    if guards.is_ordinary(tokens, base.first, candidate.span.last if reading is None else base.last, sure):
        return None
    sound, padding = sound_of(candidate.key), _padding(tokens, candidate)
    defaults = index.defaults
    if len(sound.exact) + padding < defaults.min_jamo:
        return None
    bonus = _evidence(candidate, tokens, sure)
    ranked = _ranked(sound, padding, reading, index, defaults.min_similarity - bonus - defaults.margin)
    if not ranked:
        return None
    score, best = ranked[0]
    runner_up = next((other for other, base in ranked[1:] if not _same_terms(base, best, reading)), 0.0)
    if score + bonus < defaults.min_similarity or score - runner_up < defaults.margin:
        return None
    forms = [form for form in _forms(best, reading) if form.listed is not Listed.SOUNDS_LIKE]
    in_use = {form.term for form in forms if form.term in scope and index.entries[form.term].kind != PERSON}
    if len(in_use) != 1:
        return None
    return Match(candidate.span, in_use.pop(), "phonetic", round(score, 3))


def _evidence(candidate: _Candidate, tokens: Tokens, sure: guards.Sure) -> float:
    """What speaks for a call sign beside its sound."""
    base, span = candidate.base, candidate.span
    if candidate.reading is None or any(sure(i) for i in range(base.first, base.last + 1)):
        return 0.0
    return EVIDENCE if guards.is_call(tokens, base.first, span.last) else 0.0


def _padding(tokens: Tokens, candidate: _Candidate) -> int:
    """Jamo of the number behind the name; digits count as the shortest number."""
    reading = candidate.reading
    if reading is None:
        return 0
    if tokens[reading.token].script is not Script.HANGUL:
        return SHORTEST_NUMBER
    start = candidate.base.used if reading.token == candidate.base.last else 0
    return len(jamo_of(tokens[reading.token].key[start : reading.used]))


def _ranked(
    sound: Sound, padding: int, reading: Reading | None, index: Index, cutoff: float
) -> list[tuple[float, Base]]:
    """The bases at least as similar as `cutoff`, the most similar first."""
    found = []
    for audible in _near(sound, index):
        if _forms(audible.base, reading):
            score = similarity(sound, audible.sound, padding, cutoff)
            if score:
                found.append((score, audible.base))
    return sorted(found, key=lambda pair: -pair[0])


def _near(sound: Sound, index: Index) -> Iterator[Audible]:
    """The bases whose sound has about the same length."""
    length = len(sound.exact)
    slack = max(1, length // 4)
    for other in range(length - slack, length + slack + 1):
        yield from index.audible.get((sound.is_hangul, other), ())


def _forms(base: Base, reading: Reading | None) -> Sequence[Form]:
    return base.whole if reading is None else base.numbered.get(reading.value, ())


def _same_terms(a: Base, b: Base, reading: Reading | None) -> bool:
    return {form.term for form in _forms(a, reading)} == {form.term for form in _forms(b, reading)}
