"""Ranges: which samples of a channel are already spoken for.

Pure. Owns a sorted list of half-open sample ranges and nothing of why they are taken.
Invariant: for neighbours a, b of the list: a.start < a.end < b.start (touching ranges are one).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Protocol


class RangeView(Protocol):
    """A set of ranges for those who may only read it."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[tuple[int, int]]: ...

    def overlap(self, start: int, end: int) -> tuple[int, int] | None:
        """The first part of [start, end) that is taken, or None."""
        ...

    def end_around(self, sample: int) -> int:
        """End of the range that holds `sample`; `sample` itself when none does."""
        ...


class RangeSet:
    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(list(zip(self._starts, self._ends, strict=True)))

    def overlap(self, start: int, end: int) -> tuple[int, int] | None:
        """The first part of [start, end) that is taken, or None."""
        at = bisect_right(self._ends, start)
        if start >= end or at == len(self._starts) or self._starts[at] >= end:
            return None
        return max(start, self._starts[at]), min(end, self._ends[at])

    def add(self, start: int, end: int) -> None:
        """Take [start, end), whether or not parts of it are taken already. An empty range changes nothing."""
        if end <= start:
            return
        first = bisect_left(self._ends, start)
        last = bisect_right(self._starts, end)
        if first < last:
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]

    def remove(self, start: int, end: int) -> None:
        """Give [start, end) back; a range it cuts through keeps what lies outside."""
        if end <= start:
            return
        kept = [(a, b) for a, b in self if b <= start or a >= end]
        for a, b in self:
            if a < end and start < b:
                kept += [piece for piece in ((a, min(b, start)), (max(a, end), b)) if piece[0] < piece[1]]
        kept.sort()
        self._starts = [a for a, _ in kept]
        self._ends = [b for _, b in kept]

    def gaps(self, start: int, end: int) -> list[tuple[int, int]]:
        """The parts of [start, end) that are not taken, in order."""
        found: list[tuple[int, int]] = []
        at = bisect_right(self._ends, start)
        while start < end:
            taken_from = self._starts[at] if at < len(self._starts) else end
            if taken_from > start:
                found.append((start, min(taken_from, end)))
            if at == len(self._starts):
                break
            start, at = self._ends[at], at + 1
        return found

    def forget_oldest(self, keep: int) -> int | None:
        """Keep the last `keep` ranges. Returns the sample before which nothing is known now, if any was let
        go.
        """
        excess = len(self._starts) - keep
        if excess <= 0:
            return None
        del self._starts[:excess], self._ends[:excess]
        return self._starts[0]

    def end_around(self, sample: int) -> int:
        """End of the range that holds `sample`; `sample` itself when none does."""
        at = bisect_right(self._starts, sample) - 1
        return self._ends[at] if at >= 0 and sample < self._ends[at] else sample
