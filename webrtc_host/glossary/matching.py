"""Find the terms of a glossary in a text: by their spellings with every form of number, then by their sound.

Pure. `correct.py` writes what this module finds. The rules that keep other text as it is are in `guards.py`.
Invariants: matches do not overlap; no match crosses the end of a sentence; a place where a spelling of any
term stands, also of a term that is not in use on this channel, is never matched by sound.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from webrtc_host.glossary import guards
from webrtc_host.glossary.forms import Form, Listed
from webrtc_host.glossary.hangul import is_particle
from webrtc_host.glossary.index import Base, Index, Scope
from webrtc_host.glossary.normalise import Gap, Script, Tokens
from webrtc_host.glossary.number_words import Reading, readings_at


@dataclass(frozen=True, slots=True)
class Span:
    """Tokens first to last; of the last one, the first `used` characters of its key."""

    first: int
    last: int
    used: int

    def overlaps(self, other: Span) -> bool:
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True, slots=True)
class Match:
    """kind: `alias`, `number`, `spelled`, `sounds_like` or `phonetic`; score: similarity, 1 for a spelling.

    term: index of the entry; None: several terms have this spelling, so the place is left as it is.
    """

    span: Span
    term: int | None
    kind: str
    score: float = 1.0


def spellings_in(tokens: Tokens, index: Index, scope: Scope, sure: guards.Sure) -> list[Match]:
    """The places where a spelling of a term stands, in order. Longer ones win over shorter ones.

    Places with protected words and with terms outside of the scope have no term.
    """
    stream, places = _stream(tokens)
    found = [Match(span, None, "never") for span in _never(stream, places, tokens, index)]
    for end, base in index.bases_in(stream):
        begin = end - len(base.key)
        (first, at), (last, before) = places[begin], places[end - 1]
        if at == 0 and all(is_joined(tokens, i) for i in range(first, last)):
            found += _of_base(tokens, index, scope, sure, base, Span(first, last, before + 1))
    return _best(found)


def _stream(tokens: Tokens) -> tuple[str, list[tuple[int, int]]]:
    """All keys without spaces, and for each character its token and its place in the token's key."""
    places = [(i, at) for i, token in enumerate(tokens.items) for at in range(len(token.key))]
    return "".join(token.key for token in tokens.items), places


def _never(stream: str, places: Sequence[tuple[int, int]], tokens: Tokens, index: Index) -> Iterator[Span]:
    for begin, end in index.never_in(stream):
        (first, at), (last, _) = places[begin], places[end - 1]
        if at == 0:
            yield Span(first, last, len(tokens[last].key))


def is_joined(tokens: Tokens, index: int, *, may_have_comma: bool = False) -> bool:
    """Whether token `index` and the next one may belong to one term: no sentence ends between them.

    The full stops of "K.P. 7" stand behind single letters.
    """
    if tokens.gaps[index] is Gap.STOP:
        return len(tokens[index].key) == 1 and tokens.gap_text(index).strip() == "."
    return may_have_comma or tokens.gaps[index] is not Gap.COMMA


def _of_base(
    tokens: Tokens, index: Index, scope: Scope, sure: guards.Sure, base: Base, span: Span
) -> Iterator[Match]:
    if base.whole and _ends_here(tokens, span):
        yield from _match(base.whole, span, span, scope, sure, tokens)
    if base.numbered:
        found = _number_behind(tokens, base, span)
        if found is not None:
            forms, whole = found
            yield from _match(forms, span, whole, scope, sure, tokens)


def _ends_here(tokens: Tokens, span: Span) -> bool:
    """Whether a word ends behind the span, or continues with a Korean particle only."""
    token = tokens[span.last]
    if token.script is Script.HANGUL and span.used < len(token.key):
        return is_particle(token.key[span.used :])
    if span.used < len(token.key):
        return False
    if span.last + 1 == len(tokens) or tokens.gaps[span.last] is not Gap.NONE:
        return True
    following = tokens[span.last + 1]
    return following.script is Script.HANGUL and is_particle(following.key)


def _number_behind(tokens: Tokens, base: Base, span: Span) -> tuple[list[Form], Span] | None:
    """The number of the base that stands behind it: the longest that a term has, if nothing contradicts."""
    for reading in numbers_behind(tokens, span):
        forms = base.numbered.get(reading.value)
        if forms and guards.is_number_of(tokens, span.first, span.last, span.used, reading):
            return forms, Span(span.first, reading.token, reading.used)
    return None


def numbers_behind(tokens: Tokens, span: Span) -> list[Reading]:
    """The numbers that can follow a base: in the same Hangul word, or in the next one."""
    token = tokens[span.last]
    if span.used < len(token.key):
        return readings_at(tokens, span.last, span.used) if token.script is Script.HANGUL else []
    if span.last + 1 == len(tokens) or not is_joined(tokens, span.last, may_have_comma=True):
        return []
    return readings_at(tokens, span.last + 1)


def _match(
    forms: Sequence[Form], base: Span, span: Span, scope: Scope, sure: guards.Sure, tokens: Tokens
) -> Iterator[Match]:
    """At most one match. Mis-hearings of the list count only where no spelling stands."""
    in_use = [form for form in forms if form.term in scope]
    best = min(in_use, key=lambda form: form.listed, default=None)
    if best is None or len({form.term for form in in_use if form.listed is best.listed}) > 1:
        if any(form.listed is not Listed.SOUNDS_LIKE for form in forms):
            yield Match(span, None, "other")
        return
    if best.listed is Listed.SOUNDS_LIKE:
        has_number = span != base
        if not guards.may_be_misheard(tokens, base.first, base.last, span.last, sure, has_number=has_number):
            return
    yield Match(span, best.term, _kind(best, tokens, span))


def _kind(form: Form, tokens: Tokens, span: Span) -> str:
    if form.listed is Listed.SOUNDS_LIKE:
        return "sounds_like"
    if form.listed is Listed.SPELLED:
        return "spelled"
    inside = "".join(tokens[i].key for i in range(span.first, span.last)) + tokens[span.last].key[: span.used]
    return "alias" if form.number is None or inside == form.key else "number"


def _best(found: Sequence[Match]) -> list[Match]:
    """The matches that stay when overlapping ones are removed: protected words first, then the longest."""
    ranked = sorted(
        found, key=lambda m: (m.kind != "never", m.span.first - m.span.last, -m.span.used, m.span.first)
    )
    kept: list[Match] = []
    for match in ranked:
        if not any(match.span.overlaps(other.span) for other in kept):
            kept.append(match)
    return sorted(kept, key=lambda m: m.span.first)
