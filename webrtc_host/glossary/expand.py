"""Expansion of patterns: names times numbers, with the spoken forms of both as aliases.

Pure. `{Blue: [블루]}` with the number 1 gives Blue-1 with the aliases "blue one", "Blue 1", "블루원",
"블루 1", "블루일" and so on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from webrtc_host.glossary.entries import Entry
from webrtc_host.glossary.numbers import NUMBER_MAX, english_readings, korean_readings
from webrtc_host.glossary.spelling import key_of

NUMBERS_MAX = 1_000
"""Numbers of one pattern."""
_RANGE = re.compile(r"([0-9]{1,4})(?:-([0-9]{1,4}))?")
_HANGUL = re.compile("[가-힣]")


@dataclass(frozen=True, slots=True)
class ExpandedPattern:
    """entry: of one name and number, without generated aliases. generated: its spoken forms.

    A generated alias gives way to a spelling that the file gives to another term (`with_own_terms`).
    """

    entry: Entry
    generated: tuple[str, ...]


def numbers_of(text: str) -> list[str]:
    """The numbers of `1-9`, `7` or `01-04,11,21-29`, as written: with the zeros in front of the first one.

    Raises ValueError with a sentence for anything else.
    """
    found: dict[str, None] = {}
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"a number is like 1-9, 7 or 1-4,11, not {text[:20]!r}")
        first, last = match[1], match[2] or match[1]
        if int(last) < int(first):
            raise ValueError(f"{part.strip()} ends before it begins; write {last}-{first}")
        if int(last) - int(first) >= NUMBERS_MAX:
            raise ValueError(f"{part.strip()} has more than {NUMBERS_MAX} numbers")
        found |= dict.fromkeys(str(n).zfill(len(first)) for n in range(int(first), int(last) + 1))
    return list(found)


def expand(
    base: Mapping[str, Sequence[str]],
    numbers: Sequence[str],
    join: str,
    common: Mapping[str, Any],
    place: str,
    sounds_like: Mapping[str, Sequence[str]] | None = None,
) -> list[ExpandedPattern]:
    """Every name with every number. common: the other fields of the entries.

    sounds_like: mis-hearings of each name; they are followed by the number too.
    """
    heard = sounds_like or {}
    return [
        _one(name, base[name], number, join, common, place, heard.get(name, ()))
        for name in base
        for number in numbers
    ]


def _one(
    name: str,
    others: Sequence[str],
    number: str,
    join: str,
    common: Mapping[str, Any],
    place: str,
    sounds_like: Sequence[str],
) -> ExpandedPattern:
    canonical = f"{name}{join}{number}"
    names = tuple(dict.fromkeys((name, *others)))
    korean = next((other for other in names if _HANGUL.search(other)), None)
    latin = next((other for other in names if not _HANGUL.search(other)), None)
    entry = Entry(
        canonical=canonical,
        display_en=canonical if latin is None else f"{latin}{join}{number}",
        display_ko=canonical if korean is None else korean + _korean(number)[0],
        sounds_like=tuple(f"{heard} {number}" for heard in sounds_like),
        place=place,
        **common,
    )
    spoken = dict.fromkeys(form for other in names for form in _spoken(other, number))
    for text in (entry.display_en, entry.display_ko):
        spoken.setdefault(text)
    spoken.pop(canonical, None)
    return ExpandedPattern(entry, tuple(spoken))


def _spoken(name: str, number: str) -> Iterable[str]:
    yield f"{name} {number}"
    if _HANGUL.search(name):
        yield from (f"{name}{reading}" for reading in _korean(number))
    elif int(number) <= NUMBER_MAX:
        yield from (f"{name} {reading}".casefold() for reading in english_readings(int(number)))


def _korean(number: str) -> tuple[str, ...]:
    return korean_readings(int(number)) if int(number) <= NUMBER_MAX else (number,)


def with_own_terms(own: Sequence[Entry], made: Sequence[ExpandedPattern]) -> list[Entry]:
    """All entries. A term with the canonical form of an expanded one replaces it, and gets its spoken forms.

    A generated alias is left out where another term has the same spelling.
    """
    taken: dict[str, str] = {}
    for entry in own:
        for text in (entry.canonical, *entry.aliases, *entry.sounds_like):
            taken.setdefault(key_of(text), entry.canonical)
    for one in made:
        taken.setdefault(key_of(one.entry.canonical), one.entry.canonical)
    of_patterns = {one.entry.canonical: one for one in made}
    names = {entry.canonical for entry in own}
    found = [_with_generated(entry, of_patterns.get(entry.canonical), taken) for entry in own]
    return found + [
        _with_generated(one.entry, one, taken) for one in made if one.entry.canonical not in names
    ]


def _with_generated(entry: Entry, one: ExpandedPattern | None, taken: dict[str, str]) -> Entry:
    if one is None:
        return entry
    free = [
        text for text in one.generated if taken.setdefault(key_of(text), entry.canonical) == entry.canonical
    ]
    return replace(
        entry,
        aliases=tuple(dict.fromkeys((*entry.aliases, *free))),
        sounds_like=tuple(dict.fromkeys((*entry.sounds_like, *one.entry.sounds_like))),
    )
