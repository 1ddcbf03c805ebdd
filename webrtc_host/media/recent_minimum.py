"""The smallest of recent values, from two numbers instead of a list."""

from __future__ import annotations


class RecentMinimum:
    """The smallest of the values of the last one to two spans of time.

    Two spans, because with one the minimum would be lost at the moment at which a new span begins.
    """

    def __init__(self, span_samples: int, first: int) -> None:
        self._span_samples = span_samples
        self._since: int | None = None
        self._older = first
        self._newer = first

    @property
    def value(self) -> int:
        return min(self._older, self._newer)

    def add(self, value: int, now_sample: int) -> None:
        if self._since is None or now_sample - self._since >= self._span_samples:
            self._older = self._newer if self._since is not None else value
            self._newer = value
            self._since = now_sample
        else:
            self._newer = min(self._newer, value)
