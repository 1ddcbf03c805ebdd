"""The spellings of a whole glossary, ready to be searched: made once for each version.

Pure; immutable after `build`, so any thread may use it. All channels share one index: the terms of a channel
are selected while matching (`Scope`), because a spelling of another channel's term is protected as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import ahocorasick

from webrtc_host.glossary.entries import Defaults, Entry, Snapshot
from webrtc_host.glossary.forms import Form, Listed, forms_of
from webrtc_host.glossary.normalise import key_of
from webrtc_host.glossary.phonetics import Sound, sound_of

LETTERS_MIN = 4
"""Latin bases with fewer letters are never matched by their sound: red, bed and led are one letter apart."""
PERSON = "person"
"""Names of people are never matched by their sound: 김민주 and 김민준 are two people."""

Scope = frozenset[int]
"""The indices of the entries that may be written on a channel now."""


@dataclass(slots=True)
class Base:
    """What a base can be: a whole term, or the name in front of a number."""

    key: str
    whole: list[Form] = field(default_factory=list)
    numbered: dict[str, list[Form]] = field(default_factory=lambda: defaultdict(list))


@dataclass(frozen=True, slots=True)
class Audible:
    """A base that may be found by its sound. terms: the entries that it belongs to."""

    base: Base
    sound: Sound


class Index:
    """Call `build`. `bases` finds spellings in a text without spaces; `audible` is compared by sound."""

    def __init__(self, snapshot: Snapshot, bases: dict[str, Base], never: frozenset[str]) -> None:
        self.snapshot = snapshot
        self.entries: Sequence[Entry] = snapshot.entries
        self.version = snapshot.version
        self.defaults: Defaults = snapshot.defaults
        self.bases = bases
        self._bases = _automaton(bases)
        self._never = _automaton(never)
        self.audible = _by_length(bases.values(), snapshot)

    @classmethod
    def build(cls, snapshot: Snapshot) -> Index:
        bases: dict[str, Base] = {}
        never: set[str] = set()
        for term, entry in enumerate(snapshot.entries):
            for form in forms_of(term, entry):
                base = bases.get(form.base) or bases.setdefault(form.base, Base(form.base))
                (base.whole if form.number is None else base.numbered[form.number]).append(form)
            never |= {key for word in entry.never if (key := key_of(word))}
        return cls(snapshot, bases, frozenset(never))

    def bases_in(self, stream: str) -> Iterable[tuple[int, Base]]:
        """Every base in the stream: the place behind it, and the base."""
        return ((end + 1, self.bases[key]) for end, key in _found(self._bases, stream))

    def never_in(self, stream: str) -> Iterable[tuple[int, int]]:
        """Every protected word in the stream: where it begins, and the place behind it."""
        return ((end + 1 - len(key), end + 1) for end, key in _found(self._never, stream))


def scope_of(entries: Sequence[Entry], channel: str, language: str | None, minute: int) -> Scope:
    """The terms that may be written on a channel. minute: of the day, local time, for the rosters."""
    return frozenset(
        term
        for term, entry in enumerate(entries)
        if entry.is_for(channel, language) and entry.is_on_roster(minute)
    )


def _automaton(keys: Iterable[str]) -> ahocorasick.Automaton:
    automaton = ahocorasick.Automaton()
    for key in keys:
        automaton.add_word(key, key)
    if len(automaton):
        automaton.make_automaton()
    return automaton


def _found(automaton: ahocorasick.Automaton, stream: str) -> Iterable[tuple[int, str]]:
    found: Iterable[tuple[int, str]] = automaton.iter(stream) if len(automaton) else ()
    return found


def _by_length(bases: Iterable[Base], snapshot: Snapshot) -> dict[tuple[bool, int], list[Audible]]:
    """The bases that may be found by their sound, by script (Hangul or not) and length of their sound."""
    found: dict[tuple[bool, int], list[Audible]] = defaultdict(list)
    for base in bases:
        sound = sound_of(base.key)
        if _is_audible(base, sound, snapshot):
            found[sound.is_hangul, len(sound.exact)].append(Audible(base, sound))
    return dict(found)


def _is_audible(base: Base, sound: Sound, snapshot: Snapshot) -> bool:
    forms = [*base.whole, *(form for forms in base.numbered.values() for form in forms)]
    if all(form.listed > Listed.SPELLED or snapshot.entries[form.term].kind == PERSON for form in forms):
        return False
    if sound.is_hangul:
        return bool(base.numbered) or len(sound.exact) >= snapshot.defaults.min_jamo
    is_short = len(sound.exact) < (LETTERS_MIN if base.numbered else snapshot.defaults.min_jamo)
    return not is_short and base.key.isascii() and base.key.isalpha()
