"""Check the numbers of a settings object against their ranges. Pure."""

from __future__ import annotations

from collections.abc import Iterable


def check_ranges(settings: object, ranges: Iterable[tuple[str, float, float]]) -> None:
    """ranges: (name of a field, smallest value, largest value). Raises ValueError for the first outside."""
    for name, low, high in ranges:
        value = getattr(settings, name)
        if not low <= value <= high:
            raise ValueError(f"{name} is {value}; it lies between {low} and {high}")
