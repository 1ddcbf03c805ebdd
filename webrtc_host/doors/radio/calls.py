"""A recorded call of a radio system, and the readers of the values that describe it. Pure.

The forms of rdio-scanner, trunk-recorder and OpenMHz name and write the same facts in different ways
(`rdio_form`, `openmhz_form`); this module has what they share. Invariant: a fact that cannot be read is left
out, so that a mistake in a description costs no audio; only the talkgroup and the time are required.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

TALKERS_MAX = 100
LABEL_CHARS_MAX = 200
NUMBER_MAX = 2**32 - 1
MILLISECONDS_FROM = 1e11
"""A larger number of a time is milliseconds: as seconds it would lie after the year 5000."""
WALL_MAX_S = 2**33
PAUSE_S_MIN = 1.0
PAUSE_S_MAX = 60.0
"""Between two transmissions of one call. trunk-recorder ends a call after 3 s without one, by default."""
EMPTY = ("", "-")
"""Texts that stand for no value."""


@dataclass(frozen=True, slots=True)
class CallTalker:
    """A radio that began to send `at_s` seconds after the start of the call."""

    id: int
    at_s: float
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Transmission:
    """A part of the audio: from one press of the talk button to its release.

    at_s: where it begins in the audio. start_s: when it began, in seconds since 1970.
    """

    at_s: float
    start_s: float


@dataclass(frozen=True, slots=True)
class Call:
    """start_s: seconds since 1970. systems: the number, name and short name of the radio system, if given."""

    systems: tuple[str, ...]
    talkgroup: int
    start_s: float
    label: str | None = None
    talkers: tuple[CallTalker, ...] = ()
    transmissions: tuple[Transmission, ...] = ()  # two or more; empty: the audio has no cuts

    def pauses(self) -> list[tuple[float, float]]:
        """(position in the audio, seconds of pause that the audio leaves out there), in order."""
        steps = pairwise(self.transmissions)
        left_out = [(new.at_s, new.start_s - old.start_s - (new.at_s - old.at_s)) for old, new in steps]
        # The times are whole seconds, so a shorter pause may be none.
        return [(at_s, pause_s) for at_s, pause_s in left_out if pause_s > PAUSE_S_MIN]


class IncompleteCall(ValueError):
    """What is missing, as rdio-scanner names it: `no talkgroup`."""


def whole(value: object) -> int | None:
    """A number of a talkgroup, a system or a radio, from text or JSON."""
    number = real(value)
    if number is None or not 0 <= number <= NUMBER_MAX or number != int(number):
        return None
    return int(number)


def real(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def words(value: object) -> str | None:
    """Text for people, on one line; None for no text."""
    if not isinstance(value, str):
        return None
    text = " ".join("".join(c if c.isprintable() else " " for c in value).split())
    return None if text in EMPTY else text[:LABEL_CHARS_MAX]


def moment(value: object) -> float | None:
    """Seconds since 1970 from seconds, milliseconds or ISO 8601 (without an offset: UTC)."""
    number = real(value)
    if number is None and isinstance(value, str):
        try:
            time = datetime.fromisoformat(value.strip())
            number = (time.replace(tzinfo=UTC) if time.tzinfo is None else time).timestamp()
        except (ValueError, OverflowError, OSError):
            return None
    if number is None:
        return None
    number = number / 1000 if number >= MILLISECONDS_FROM else number
    return number if 0 < number < WALL_MAX_S else None


def json_list(text: object) -> list[Mapping[str, Any]]:
    """The objects of a JSON list; empty when the text is none."""
    try:
        found = json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError):
        return []
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def talkers_of(
    entries: Iterable[Mapping[str, Any]], *, id_name: str, at_name: str, label_name: str
) -> tuple[CallTalker, ...]:
    """The radios of a list, in the order in which they began; two entries of one radio in a row are one."""
    found = []
    for entry in entries:
        number, at_s = whole(entry.get(id_name)), real(entry.get(at_name))
        if number is not None and at_s is not None and at_s >= 0:
            found.append(CallTalker(number, at_s, words(entry.get(label_name))))
    found.sort(key=lambda one: one.at_s)
    changes = [one for n, one in enumerate(found) if not n or found[n - 1].id != one.id]
    return tuple(changes[:TALKERS_MAX])


def transmissions_of(entries: Iterable[Mapping[str, Any]]) -> tuple[Transmission, ...]:
    """From trunk-recorder's list of frequencies, which has one entry for each transmission.

    Empty when a time is missing or not possible: then the audio is taken as one piece.
    """
    found = [(real(entry.get("pos")), moment(entry.get("time"))) for entry in entries]
    known = [Transmission(at_s, start_s) for at_s, start_s in found if at_s is not None and start_s]
    is_whole = 1 < len(known) == len(found) <= TALKERS_MAX and known[0].at_s == 0
    for old, new in pairwise(known):
        step_s = new.start_s - old.start_s
        is_whole &= new.at_s > old.at_s and 0 <= step_s <= new.at_s - old.at_s + PAUSE_S_MAX
    return tuple(known) if is_whole else ()
