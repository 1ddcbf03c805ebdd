"""Ranges: a set of half-open sample ranges of one channel. Ranges that touch become one.

Pure. The caller decides what the ranges mean (for example: audio that is transcribed already).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from host_stt_common.ranges import RangeMap


class RangeView(Protocol):
    """A RangeSet that can be read but not changed."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[tuple[int, int]]: ...

    def overlap(self, start: int, end: int) -> tuple[int, int] | None:
        """The first part of [start, end) that is in the set, or None."""
        ...

    def end_around(self, sample: int) -> int:
        """End of the range that holds `sample`; `sample` itself when no range holds it."""
        ...


class RangeSet:
    def __init__(self) -> None:
        self._taken = RangeMap[bool]()

    def __len__(self) -> int:
        return len(self._taken)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return ((start, end) for start, end, _ in self._taken)

    def overlap(self, start: int, end: int) -> tuple[int, int] | None:
        """The first part of [start, end) that is in the set, or None."""
        return next(((low, high) for low, high, _ in self._taken.between(start, end)), None)

    def add(self, start: int, end: int) -> None:
        """Add [start, end); parts of it may be in the set already. An empty range changes nothing."""
        self._taken.put(start, end, True)

    def remove(self, start: int, end: int) -> None:
        """Remove [start, end). A range that is cut keeps the parts outside."""
        self._taken.remove(start, end)

    def gaps(self, start: int, end: int) -> list[tuple[int, int]]:
        """The parts of [start, end) that are not in the set, in order."""
        return self._taken.gaps(start, end)

    def forget_oldest(self, keep: int) -> int | None:
        """Keep the last `keep` ranges and drop the others.

        Returns the start of the first range kept, when any was dropped: what was before it is not known.
        """
        excess = len(self._taken) - keep
        if excess <= 0:
            return None
        self._taken.remove_first(excess)
        return next((start for start, _ in self), None)

    def end_around(self, sample: int) -> int:
        """End of the range that holds `sample`; `sample` itself when no range holds it."""
        found = self._taken.at(sample)
        return sample if found is None else found[1]
