"""Ranges of a timeline with a value each; a later value replaces an earlier one.

Pure. Whole numbers in any unit of time; a range is half-open, [start, end). Invariants: ranges are sorted,
none is empty, none overlaps another, and neighbours that touch have different values.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Generic, TypeVar

Value = TypeVar("Value")


class RangeMap(Generic[Value]):
    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._values: list[Value] = []

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[tuple[int, int, Value]]:
        """(start, end, value) in order. Iterates over a copy, so the map may change meanwhile."""
        return iter(list(zip(self._starts, self._ends, self._values, strict=True)))

    def put(self, start: int, end: int, value: Value) -> None:
        """Give [start, end) this value and replace all earlier ones. An empty range changes nothing."""
        if start < end:
            self._replace(start, end, [(start, end, value)])

    def remove(self, start: int, end: int) -> None:
        """Remove all values in [start, end); a range that lies partly inside keeps its outer part."""
        if start < end:
            self._replace(start, end, [])

    def between(self, start: int, end: int) -> Iterator[tuple[int, int, Value]]:
        """The ranges inside [start, end), cut to it, in order. Lazy: do not change the map meanwhile."""
        if start >= end:
            return
        first, last = self._touched(start, end)
        for at in range(first, last):
            yield max(start, self._starts[at]), min(end, self._ends[at]), self._values[at]

    def at(self, moment: int) -> tuple[int, int, Value] | None:
        """The range that contains this moment, or None."""
        number = bisect_right(self._ends, moment)
        if number == len(self._starts) or self._starts[number] > moment:
            return None
        return self._starts[number], self._ends[number], self._values[number]

    def gaps(self, start: int, end: int) -> list[tuple[int, int]]:
        """The parts of [start, end) that have no value, in order."""
        found: list[tuple[int, int]] = []
        for low, high, _ in self.between(start, end):
            if start < low:
                found.append((start, low))
            start = high
        return [*found, (start, end)] if start < end else found

    def remove_first(self, count: int) -> None:
        """Remove the `count` earliest ranges."""
        del self._starts[:count], self._ends[:count], self._values[:count]

    def _touched(self, start: int, end: int) -> tuple[int, int]:
        """Index of the first range that overlaps [start, end), and of the first one after it."""
        first = bisect_right(self._ends, start)
        return first, max(first, bisect_left(self._starts, end))

    def _replace(self, start: int, end: int, new: list[tuple[int, int, Value]]) -> None:
        first, last = self._touched(start, end)
        if first < last and self._starts[first] < start:
            new.insert(0, (self._starts[first], start, self._values[first]))
        if first < last and self._ends[last - 1] > end:
            new.append((end, self._ends[last - 1], self._values[last - 1]))
        # A neighbour that touches the new range may have the same value; then they become one range.
        if first > 0 and self._ends[first - 1] == start:
            first -= 1
            new.insert(0, (self._starts[first], start, self._values[first]))
        if last < len(self._starts) and self._starts[last] == end:
            new.append((end, self._ends[last], self._values[last]))
            last += 1
        joined: list[tuple[int, int, Value]] = []
        for low, high, value in new:
            if joined and joined[-1][1] == low and joined[-1][2] == value:
                joined[-1] = (joined[-1][0], high, joined[-1][2])
            else:
                joined.append((low, high, value))
        self._starts[first:last] = [low for low, _, _ in joined]
        self._ends[first:last] = [high for _, high, _ in joined]
        self._values[first:last] = [value for _, _, value in joined]
