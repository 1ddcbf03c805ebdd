"""The usual figures of one channel: what it did in the last minutes, and the band of its last 24 hours.

Pure: no clock, no I/O; times are given. Every five minutes of audio become one `Point`. The band of a figure
reaches from its 10th to its 90th percentile over the points of 24 hours; docs/explanation/usual.md says why.
Invariant: time without audio makes no point, so a channel that was off does not change what is usual.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

MINUTE_MS = 60_000
POINT_MS = 5 * MINUTE_MS
DAY_MS = 24 * 60 * MINUTE_MS
POINTS_MAX = DAY_MS // POINT_MS
POINTS_MIN = 12
"""One hour of audio. With less, no band is shown: nothing is usual yet."""
RECENT_MS = 30 * MINUTE_MS
"""The length of one step of the curve."""
READINGS_MIN = 15
"""Fewer readings of the level make no point and no value for "now". One reading each two seconds: 30 s."""
DELAYS_MAX = 200

Figure = Literal["words", "delay_ms", "confidence", "level_db"]
FIGURES: tuple[Figure, ...] = ("words", "delay_ms", "confidence", "level_db")
Verdict = Literal["usual", "low", "high"]
MARGINS: dict[Figure, float] = {"words": 10.0, "delay_ms": 500.0, "confidence": 0.05, "level_db": 3.0}
"""A value that is outside of the band by less than this counts as usual."""
GOOD: dict[Figure, Verdict] = {"delay_ms": "low", "confidence": "high"}
"""Outside of the band on this side, a value is better than usual, so it counts as usual."""


@dataclass(frozen=True, slots=True)
class Point:
    """The figures of POINT_MS of audio. words: per minute of audio; level_db: mean dBFS, also of silence."""

    wall_ms: int  # where it begins
    words: float
    delay_ms: float | None  # median, of live lines; None: there were none
    confidence: float | None  # mean, 0 to 1
    level_db: float


@dataclass(frozen=True, slots=True)
class Line:
    """What a final tells about its channel. delay_ms None: it was not live; confidence None: not known."""

    words: int
    delay_ms: int | None
    confidence: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A figure now and usually. All None where there is too little to say it."""

    now: float | None
    low: float | None  # the band: 10th percentile, median, 90th percentile
    middle: float | None
    high: float | None
    verdict: Verdict | None
    recent: tuple[float | None, ...]  # medians of RECENT_MS, oldest first, up to now


@dataclass(slots=True)
class _Minute:
    """The readings and lines of one minute of wall time."""

    number: int
    readings: int = 0
    level_sum: float = 0.0
    words: int = 0
    delays: list[int] = field(default_factory=list)
    confidences: list[float] = field(default_factory=list)


class UsualFigures:
    """Of one channel. Holds at most POINTS_MAX points and the newest minutes."""

    def __init__(self, points: Iterable[Point] = ()) -> None:
        """points: of the last 24 hours, oldest first."""
        self._points: deque[Point] = deque(points, maxlen=POINTS_MAX)
        self._minutes: deque[_Minute] = deque(maxlen=POINT_MS // MINUTE_MS)

    @property
    def newest_ms(self) -> int:
        """Where the newest point or minute begins; 0: there is none."""
        newest = self._points[-1].wall_ms if self._points else 0
        return max(newest, self._minutes[-1].number * MINUTE_MS) if self._minutes else newest

    def note_level(self, wall_ms: int, level_db: float) -> None:
        minute = self._minute(wall_ms)
        minute.readings += 1
        minute.level_sum += level_db

    def note_line(self, wall_ms: int, line: Line) -> None:
        minute = self._minute(wall_ms)
        minute.words += line.words
        if line.delay_ms is not None and len(minute.delays) < DELAYS_MAX:
            minute.delays.append(line.delay_ms)
        if line.confidence is not None and len(minute.confidences) < DELAYS_MAX:
            minute.confidences.append(line.confidence)

    def close(self, from_ms: int, reading_s: float) -> Point | None:
        """Make the point of [from_ms, from_ms + POINT_MS). None: there was too little audio.

        reading_s: seconds of audio that one reading of the level stands for.
        """
        point = self._point(from_ms, from_ms + POINT_MS, reading_s)
        if point is not None:
            self._points.append(point)
        return point

    def compare(self, wall_ms: int, reading_s: float) -> dict[Figure, Comparison]:
        points = [point for point in self._points if point.wall_ms > wall_ms - DAY_MS]
        newest = self._point(wall_ms - POINT_MS, wall_ms + 1, reading_s)
        return {figure: _compare(figure, newest, points, wall_ms) for figure in FIGURES}

    def _minute(self, wall_ms: int) -> _Minute:
        number = wall_ms // MINUTE_MS
        if not self._minutes or self._minutes[-1].number != number:
            self._minutes.append(_Minute(number))
        return self._minutes[-1]

    def _point(self, from_ms: int, to_ms: int, reading_s: float) -> Point | None:
        """The figures of the minutes that begin in the range."""
        minutes = [one for one in self._minutes if from_ms <= one.number * MINUTE_MS < to_ms]
        readings = sum(one.readings for one in minutes)
        if readings < READINGS_MIN:
            return None
        delays = sorted(delay for one in minutes for delay in one.delays)
        sure = [value for one in minutes for value in one.confidences]
        return Point(
            from_ms,
            sum(one.words for one in minutes) / (readings * reading_s / 60),
            delays[len(delays) // 2] if delays else None,
            sum(sure) / len(sure) if sure else None,
            sum(one.level_sum for one in minutes) / readings,
        )


def _compare(figure: Figure, newest: Point | None, points: Sequence[Point], wall_ms: int) -> Comparison:
    now = None if newest is None else _value(newest, figure)
    recent = _recent(figure, points, wall_ms)
    values = sorted(value for point in points if (value := _value(point, figure)) is not None)
    if len(values) < POINTS_MIN:
        return Comparison(now, None, None, None, None, recent)
    low, middle, high = (percentile(values, share) for share in (0.1, 0.5, 0.9))
    return Comparison(now, low, middle, high, _verdict(figure, now, low, high), recent)


def _value(point: Point, figure: Figure) -> float | None:
    value: float | None = getattr(point, figure)
    return value


def _verdict(figure: Figure, now: float | None, low: float, high: float) -> Verdict | None:
    """A fifth of all values lie outside of the band, so a value counts only when it is clearly outside."""
    if now is None:
        return None
    margin = max(MARGINS[figure], (high - low) / 2)
    verdict: Verdict = "low" if now < low - margin else "high" if now > high + margin else "usual"
    return "usual" if verdict == GOOD.get(figure) else verdict


def _recent(figure: Figure, points: Sequence[Point], wall_ms: int) -> tuple[float | None, ...]:
    steps: list[list[float]] = [[] for _ in range(DAY_MS // RECENT_MS)]
    for point in points:
        value = _value(point, figure)
        if value is not None and 0 <= wall_ms - point.wall_ms < DAY_MS:
            steps[-1 - (wall_ms - point.wall_ms) // RECENT_MS].append(value)
    return tuple(percentile(sorted(step), 0.5) if step else None for step in steps)


def percentile(ordered: Sequence[float], share: float) -> float:
    """By nearest rank. ordered: not empty, ascending."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
