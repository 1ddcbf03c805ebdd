"""Ranges: which samples of a channel are already spoken for.

Pure. Owns a set of half-open sample ranges and nothing of why they are taken; touching ranges are one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from host_stt_common.ranges import RangeMap


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
        self._taken = RangeMap[bool]()

    def __len__(self) -> int:
        return len(self._taken)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return ((start, end) for start, end, _ in self._taken)

    def overlap(self, start: int, end: int) -> tuple[int, int] | None:
        """The first part of [start, end) that is taken, or None."""
        return next(((low, high) for low, high, _ in self._taken.between(start, end)), None)

    def add(self, start: int, end: int) -> None:
        """Take [start, end), whether or not parts of it are taken already. An empty range changes nothing."""
        self._taken.put(start, end, True)

    def remove(self, start: int, end: int) -> None:
        """Give [start, end) back; a range it cuts through keeps what lies outside."""
        self._taken.remove(start, end)

    def gaps(self, start: int, end: int) -> list[tuple[int, int]]:
        """The parts of [start, end) that are not taken, in order."""
        return self._taken.gaps(start, end)

    def forget_oldest(self, keep: int) -> int | None:
        """Keep the last `keep` ranges. Returns the sample before which nothing is known now, if any was let
        go.
        """
        excess = len(self._taken) - keep
        if excess <= 0:
            return None
        self._taken.remove_first(excess)
        return next((start for start, _ in self), None)

    def end_around(self, sample: int) -> int:
        """End of the range that holds `sample`; `sample` itself when none does."""
        found = self._taken.at(sample)
        return sample if found is None else found[1]
