"""The measures of a run: latencies, errors and coverage, from the sent speech and the received events.

Pure. All times are milliseconds on the session's timeline. The docstring of each measure is its definition,
as in docs/explanation/loadtest.md. Contains no limits: `verdict` decides what is good enough.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jiwer
import numpy as np

NEAR_MS = 400
"""A final belongs to an utterance that it overlaps, or that is less than this away."""
CELL_MS = 10  # of the coverage count
UNSPACED = frozenset({"ko", "ja", "zh", "th"})
"""Languages judged by characters, because spaces between words are optional or a matter of style."""
_DIGITS = "zero one two three four five six seven eight nine".split()


@dataclass(frozen=True, slots=True)
class Spoken:
    """One utterance as it was sent."""

    channel: str
    start_ms: float
    end_ms: float
    text: str
    is_whole: bool = True  # False if a reconnect or the end of the run cut it; then it is not judged
    alone: str = ""  # the text of its phrases, each decoded without load


@dataclass(frozen=True, slots=True)
class Arrived:
    """An event, and when the watcher received it."""

    at_ms: float
    event: dict[str, Any]


@dataclass(slots=True)
class Heard:
    """The results for one utterance."""

    spoken: Spoken
    finals: list[Arrived] = field(default_factory=list)
    first_text_ms: float | None = None
    revised: dict[str, str] = field(default_factory=dict)
    """The newest text of each segment that the server has revised, before its glossary stages."""

    @property
    def ttfs_ms(self) -> float | None:
        """Time to the final segment: arrival of the last final minus the end of speech."""
        return max(f.at_ms for f in self.finals) - self.spoken.end_ms if self.finals else None

    @property
    def text(self) -> str:
        """The live text."""
        return " ".join(_raw(event) for event in self._in_order)

    @property
    def recorded(self) -> str:
        """The text in the record, with the revisions that came during the run."""
        return " ".join(self.revised.get(event["segment"], _raw(event)) for event in self._in_order)

    @property
    def _in_order(self) -> list[dict[str, Any]]:
        return sorted((one.event for one in self.finals), key=lambda event: int(event["start_ms"]))


def _raw(event: dict[str, Any]) -> str:
    """The text of a final or a revision before the glossary stages."""
    return str(event.get("raw") or event["text"])


@dataclass(frozen=True, slots=True)
class Point:
    """A value at a time, for a plot."""

    at_ms: float
    value: float


def heard_of(spoken: Sequence[Spoken], arrived: Iterable[Arrived]) -> list[Heard]:
    """Each utterance with the finals that overlap it most, and the time of its first text."""
    by_channel: dict[str, list[Heard]] = defaultdict(list)
    heard = [Heard(one) for one in spoken]
    for one in sorted(heard, key=lambda one: one.spoken.start_ms):
        by_channel[one.spoken.channel].append(one)
    owners: dict[str, Heard] = {}  # by segment
    for arrival in arrived:
        kind = arrival.event["type"]
        if kind == "segment.revised" and (reviewed := owners.get(arrival.event["segment"])) is not None:
            reviewed.revised[arrival.event["segment"]] = _raw(arrival.event)
        if kind not in ("segment.final", "segment.interim"):
            continue
        owner = _owner(by_channel[arrival.event["channel"]], arrival.event)
        if owner is None:
            continue
        if kind == "segment.final":
            owner.finals.append(arrival)
            owners[arrival.event["segment"]] = owner
        if owner.first_text_ms is None or arrival.at_ms < owner.first_text_ms:
            owner.first_text_ms = arrival.at_ms
    return heard


def _owner(in_order: list[Heard], event: dict[str, Any]) -> Heard | None:
    """The utterance that an event belongs to. in_order: of one channel, by start, without overlaps.

    An hour has many utterances, so only those near the event are compared.
    """
    first = bisect_left(in_order, event["start_ms"] - NEAR_MS, key=lambda one: one.spoken.end_ms)
    last = bisect_left(in_order, event["end_ms"] + NEAR_MS, lo=first, key=lambda one: one.spoken.start_ms)

    def overlap(one: Heard) -> float:
        first, last = max(one.spoken.start_ms, event["start_ms"]), min(one.spoken.end_ms, event["end_ms"])
        return float(last - first)

    best = max(in_order[first:last], key=overlap, default=None)
    return best if best is not None and overlap(best) > -NEAR_MS else None


# --- the measures -------------------------------------------------------------------------------------


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """n, p50, p95, p99 and max; only n if there are no values."""
    if not len(values):
        return {"n": 0}
    p50, p95, p99 = np.percentile(values, [50, 95, 99])
    figures = {"p50": p50, "p95": p95, "p99": p99, "max": max(values)}
    return {"n": len(values), **{name: round(float(value), 1) for name, value in figures.items()}}


def ttfs(heard: Sequence[Heard]) -> list[Point]:
    """Time to final text of whole utterances with a final, at the time when each ended."""
    return [Point(h.spoken.end_ms, h.ttfs_ms) for h in heard if h.spoken.is_whole and h.ttfs_ms is not None]


def first_text(heard: Sequence[Heard]) -> list[Point]:
    """Arrival of the first text, interim or final, minus the start of speech."""
    return [
        Point(h.spoken.start_ms, h.first_text_ms - h.spoken.start_ms)
        for h in heard
        if h.spoken.is_whole and h.first_text_ms is not None
    ]


def interim_age(arrived: Iterable[Arrived]) -> list[Point]:
    """Arrival of an interim minus the end of its audio: the age of the newest text on the screen."""
    return [
        Point(a.at_ms, a.at_ms - a.event["end_ms"]) for a in arrived if a.event["type"] == "segment.interim"
    ]


def missed(heard: Sequence[Heard]) -> int:
    """Whole utterances without any final."""
    return sum(h.spoken.is_whole and not h.finals for h in heard)


def timecode_error(heard: Sequence[Heard]) -> dict[str, list[float]]:
    """Start of the first final and end of the last one, minus the true times: above 0 is too late."""
    whole = [h for h in heard if h.spoken.is_whole and h.finals]
    return {
        "start": [min(f.event["start_ms"] for f in h.finals) - h.spoken.start_ms for h in whole],
        "end": [max(f.event["end_ms"] for f in h.finals) - h.spoken.end_ms for h in whole],
    }


def off_by(errors: Sequence[float]) -> dict[str, float]:
    """Percentiles of the absolute errors, and `bias`: the median error with its sign, above 0 is too late."""
    figures = percentiles([abs(error) for error in errors])
    return figures | ({"bias": round(float(np.median(errors)), 1)} if len(errors) else {})


def erasure(arrived: Iterable[Arrived]) -> float | None:
    """Words that were shown and removed again, per word of final text.

    From each interim to the next one, and to the final that replaces it, the words after the longest common
    beginning count as removed. 0 means that text only grows.
    """
    shown: dict[str, list[str]] = {}
    erased = final = 0
    for arrival in arrived:
        event = arrival.event
        if event["type"] not in ("segment.interim", "segment.final") or "utterance" not in event:
            continue
        words, before = plain(event["text"]).split(), shown.get(event["utterance"], [])
        if event["type"] == "segment.final":
            # The text after this final's words stays on the screen, as the beginning of the next interim.
            erased += max(0, min(len(before), len(words)) - _common(before, words))
            shown[event["utterance"]] = before[len(words) :]
            final += len(words)
        else:
            erased += len(before) - _common(before, words)
            shown[event["utterance"]] = words
    return round(erased / final, 3) if final else None


def _common(one: Sequence[str], two: Sequence[str]) -> int:
    count = 0
    for a, b in zip(one, two, strict=False):
        if a != b:
            break
        count += 1
    return count


def error_rate(pairs: Sequence[tuple[str, str]], language: str) -> dict[str, float | int | str]:
    """WER of (spoken, transcribed) pairs after `plain`; CER without spaces for UNSPACED languages. With
    counts.
    """
    by_character = language in UNSPACED
    said = [plain(a).replace(" ", "") if by_character else plain(a) for a, _ in pairs]
    read = [plain(b).replace(" ", "") if by_character else plain(b) for _, b in pairs]
    kept = [(a, b) for a, b in zip(said, read, strict=True) if a]
    if not kept:
        return {"n": 0}
    process = jiwer.process_characters if by_character else jiwer.process_words
    out = process([a for a, _ in kept], [b for _, b in kept])
    rate = out.cer if isinstance(out, jiwer.CharacterOutput) else out.wer
    return {
        "kind": "CER" if by_character else "WER",
        "rate": round(float(rate), 4),
        "substituted": out.substitutions,
        "deleted": out.deletions,
        "inserted": out.insertions,
        "n": out.hits + out.substitutions + out.deletions,
    }


def plain(text: str) -> str:
    """Lower case, with punctuation as spaces and digits as words."""
    words = re.sub(r"[^\w\s]", " ", text.lower())
    return " ".join(re.sub(r"\d", lambda d: f" {_DIGITS[int(d[0])]} ", words).split())


def coverage(events: Iterable[dict[str, Any]], from_ms: float, to_ms: float) -> dict[str, float]:
    """Seconds of all channels by state, between the two times; `unknown`: no event covered them."""
    first, last = int(from_ms // CELL_MS), int(to_ms // CELL_MS)
    states = ["unknown"]
    by_channel: dict[str, Any] = {}
    for event in events:
        cells = by_channel.setdefault(event["channel"], np.zeros(max(0, last - first), np.int8))
        if event["state"] not in states:
            states.append(event["state"])
        a, b = (max(0, round(event[key] / CELL_MS) - first) for key in ("from_ms", "to_ms"))
        cells[a:b] = states.index(event["state"])
    seconds = dict.fromkeys(states, 0.0)
    for cells in by_channel.values():
        for number, count in enumerate(np.bincount(cells, minlength=len(states))):
            seconds[states[number]] += float(count) * CELL_MS / 1000
    return {state: round(value, 2) for state, value in seconds.items()}


def over_time(points: Sequence[Point], every_ms: float, share: float) -> list[Point]:
    """For each period: the percentile `share` (0 to 100) of its points; for a plot."""
    stretches: dict[int, list[float]] = defaultdict(list)
    for point in points:
        stretches[int(point.at_ms // every_ms)].append(point.value)
    return [
        Point((number + 0.5) * every_ms, float(np.percentile(values, share)))
        for number, values in sorted(stretches.items())
    ]


def growth_per_hour(points: Sequence[Point]) -> dict[str, float]:
    """Slope of a least-squares line, in the value's unit per hour, and its standard error."""
    if len(points) < 8:
        return {"n": len(points)}
    x = np.array([p.at_ms for p in points]) / 3_600_000
    y = np.array([p.value for p in points])
    x = x - x.mean()
    spread = float((x**2).sum())
    if spread == 0:
        return {"n": len(points)}
    slope = float((x * y).sum() / spread)
    rest = y - y.mean() - slope * x
    error = float(np.sqrt((rest**2).sum() / (len(x) - 2) / spread))
    return {"n": len(points), "slope": round(slope, 1), "standard_error": round(error, 1)}
