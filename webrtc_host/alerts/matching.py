"""Finds what the rules wait for in a text: terms with their particles and numbers, and regular expressions.

Pure, and immutable after its construction, so any thread may make one and use it. A term of the glossary is
found in all its spellings, because `glossary.matching` finds it. A Korean term may have a particle behind it:
알파원이 and 알파원에서 have the term 알파원, but 알파원형 does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from webrtc_host.alerts.patterns import Pattern, Span, literal
from webrtc_host.alerts.rules import Rule, RuleList
from webrtc_host.glossary.entries import Entry, Snapshot
from webrtc_host.glossary.index import Index
from webrtc_host.glossary.matching import spellings_in
from webrtc_host.glossary.normalise import Tokens, key_of, tokens_of
from webrtc_host.seams import AlertCause

TEXT_CHARS_MAX = 5_000
"""A longer text is searched in its last characters: a line of speech has a few hundred."""
MATCHED_CHARS_MAX = 80


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule, and the place text[start:end] where it found its words."""

    rule: Rule
    start: int
    end: int
    matched: str


class TextMatcher:
    """The text rules of a list, ready to be searched."""

    def __init__(self, found: RuleList, glossary: Snapshot) -> None:
        """Compiles everything: up to a second for the largest lists, so use a thread."""
        known = _by_key(glossary.entries) if any(rule.terms for rule in found.rules) else {}
        self._searches = [
            _Search(rule, found.channels_of(rule), known)
            for rule in found.rules
            if rule.enabled and rule.is_over_text
        ]

    def find(self, text: str, channel: str, *, is_interim: bool = False) -> list[Hit]:
        """At most one hit for each rule of the channel. is_interim: only rules that use interims."""
        cut = max(0, len(text) - TEXT_CHARS_MAX)
        text = text[cut:]
        tokens: Tokens | None = None
        hits = []
        for search in self._searches:
            if not search.is_for(channel) or (is_interim and not search.rule.interims):
                continue
            if search.needs_tokens and tokens is None:
                tokens = tokens_of(text)
            span = search.find(text, tokens)
            if span is not None:
                matched = text[span.start : span.end][:MATCHED_CHARS_MAX]
                hits.append(Hit(search.rule, span.start + cut, span.end + cut, matched))
        return hits


class _Search:
    """One rule over text."""

    def __init__(self, rule: Rule, channels: frozenset[str] | None, known: dict[str, Entry]) -> None:
        self.rule = rule
        self._channels = channels
        self._pattern = Pattern(rule.pattern) if rule.when is AlertCause.PATTERN else None
        self._parts: Sequence[Pattern] = ()
        self._index: Index | None = None
        if rule.when is AlertCause.TERMS:
            entries = _entries(rule.terms, known)
            self._index = Index.build(Snapshot(entries))
            self._scope = frozenset(range(len(entries)))
            if rule.inside_words:
                self._parts = [literal(text) for one in entries for text in _spellings(one)]

    @property
    def needs_tokens(self) -> bool:
        return self._index is not None

    def is_for(self, channel: str) -> bool:
        return self._channels is None or channel in self._channels

    def find(self, text: str, tokens: Tokens | None) -> Span | None:
        if self._pattern is not None:
            return self._pattern.find(text)
        if self._index is None or tokens is None:
            return None
        for match in spellings_in(tokens, self._index, self._scope, _is_sure):
            # "other": two terms of this rule have the spelling, so it is found whichever was meant.
            if match.kind != "never":
                place = match.span
                return Span(tokens[place.first].start, tokens[place.last].offset_at(place.used))
        found = (part.find(text) for part in self._parts)
        return next((span for span in found if span is not None), None)


def _is_sure(token: int) -> bool:
    return True


def _by_key(entries: Iterable[Entry]) -> dict[str, Entry]:
    """The terms of the glossary by each of their spellings."""
    known: dict[str, Entry] = {}
    for entry in entries:
        for text in _spellings(entry):
            known.setdefault(key_of(text), entry)
    return known


def _spellings(entry: Entry) -> tuple[str, ...]:
    return (entry.canonical, entry.display_en, entry.display_ko, *entry.aliases)


def _entries(terms: Sequence[str], known: dict[str, Entry]) -> tuple[Entry, ...]:
    """The terms of a rule. Those of the glossary have its spellings, on every channel and at every time."""
    found: dict[str, Entry] = {}
    for term in terms:
        entry = known.get(key_of(term))
        if entry is None:
            found.setdefault(term, Entry(term, term, term))
        else:
            # Without the mis-hearings: the glossary has corrected the text before the rules see it.
            found[entry.canonical] = replace(entry, sounds_like=(), channels=None, active=None, language=None)
    return tuple(found.values())
