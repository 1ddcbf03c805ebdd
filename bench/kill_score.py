"""Score phrases that were spoken while servers were killed: complete, missing, doubled, at the right times.

Pure. A phrase is compared with the text of the same model for the same audio without a kill, so the model's
own errors do not count. Times are milliseconds of the session.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Any

AROUND_MS = 700
"""Words this close to a phrase belong to it; phrases are at least twice as far apart."""
ALIKE = 0.6
"""From this similarity of characters on, a text counts as that of the phrase."""
TIME_MS = 300
OVERLAP_MS = 200


@dataclass(frozen=True, slots=True)
class Reading:
    """A phrase transcribed without a kill: its text, and the times of its first and last word from its
    start.
    """

    text: str
    first_ms: int
    last_ms: int


@dataclass(frozen=True, slots=True)
class Spoken:
    """One sent phrase. sent_ms: how much of it was sent before its connection broke."""

    channel: str
    phrase: str
    start_ms: int
    length_ms: int
    sent_ms: int
    received_whole: bool
    was_cut: bool

    @property
    def end_ms(self) -> int:
        return self.start_ms + self.length_ms


@dataclass(slots=True)
class Score:
    phrases: int = 0  # received completely
    cut: int = 0  # not sent completely, or on the way during the kill
    same: int = 0  # same text as without a kill
    missing: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    misplaced: list[str] = field(default_factory=list)
    suspects: list[Spoken] = field(default_factory=list)  # the phrases of the three lists above
    time_errors_ms: list[int] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return {
            "phrases_received_whole": self.phrases,
            "phrases_cut_by_a_kill": self.cut,
            "read_exactly_as_undisturbed": self.same,
            "missing": len(self.missing),
            "doubled": len(self.doubled),
            "off_by_more_than_300_ms": len(self.misplaced),
            "time_error_ms_p50": _percentile(self.time_errors_ms, 50),
            "time_error_ms_p95": _percentile(self.time_errors_ms, 95),
            "time_error_ms_max": max(self.time_errors_ms, default=0),
            "details": {
                "missing": self.missing[:50],
                "doubled": self.doubled[:50],
                "misplaced": self.misplaced[:50],
            },
        }


def score(
    spoken: Iterable[Spoken],
    finals: Sequence[Mapping[str, Any]],
    readings: Mapping[str, Reading],
    alike: float = ALIKE,
) -> Score:
    """Score all phrases. finals: bodies of all `segment.final` events of the session."""
    by_channel: dict[str, list[Mapping[str, Any]]] = {}
    for final in finals:
        by_channel.setdefault(final["channel"], []).append(final)
    result = Score()
    for one in spoken:
        near = [
            f
            for f in by_channel.get(one.channel, [])
            if f["end_ms"] > one.start_ms - AROUND_MS and f["start_ms"] < one.end_ms + AROUND_MS
        ]
        near.sort(key=lambda final: final["start_ms"])
        _count(result, one, near, readings[one.phrase], alike)
    return result


def _count(
    result: Score, one: Spoken, finals: Sequence[Mapping[str, Any]], reading: Reading, alike: float
) -> None:
    text = " ".join(final["raw"] or final["text"] for final in finals)
    line = f"{one.channel} {one.start_ms}-{one.end_ms} ms: {reading.text!r} as {text!r}"
    if _is_doubled(finals, text, reading):
        result.doubled.append(line)
        result.suspects.append(one)
    if not one.received_whole:
        result.cut += 1
        return
    result.phrases += 1
    if similarity(reading.text, text) < alike:
        result.missing.append(line)
        result.suspects.append(one)
        return
    result.same += plain(text) == plain(reading.text)
    error_ms = max(
        abs(finals[0]["start_ms"] - one.start_ms - reading.first_ms),
        abs(finals[-1]["end_ms"] - one.start_ms - reading.last_ms),
    )
    result.time_errors_ms.append(error_ms)
    if error_ms > TIME_MS:
        result.misplaced.append(f"{line}, {error_ms} ms off")
        result.suspects.append(one)


def _is_doubled(finals: Sequence[Mapping[str, Any]], text: str, reading: Reading) -> bool:
    """True for twice the words, or for two finals at the same time."""
    if len(plain(text)) > 1.5 * len(plain(reading.text)) + 4:
        return True
    return any(a["end_ms"] - b["start_ms"] > OVERLAP_MS for a, b in zip(finals, finals[1:], strict=False))


def similarity(a: str, b: str) -> float:
    return difflib.SequenceMatcher(None, plain(a), plain(b), autojunk=False).ratio()


def plain(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum() or c == " ").strip()


def _percentile(values: Sequence[int], percent: int) -> int:
    if len(values) < 2:
        return max(values, default=0)
    return round(quantiles(values, n=100)[percent - 1])
