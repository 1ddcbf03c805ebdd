"""How long windows wait before they are decoded: the longest wait of the last minute.

Pure: the times are given. Invariant: memory holds the waiting windows, and waits of the last minute that no
later one exceeds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

WITHIN_S = 60.0


class QueueWaits:
    def __init__(self) -> None:
        self._waiting: dict[int, float] = {}  # number of a window -> when it arrived; the oldest first
        self._ended: deque[tuple[float, float]] = deque()  # (when, seconds), each wait below the one before

    def arrived(self, number: int, at_s: float) -> None:
        self._waiting[number] = at_s

    def taken(self, numbers: Iterable[int], at_s: float) -> None:
        """These windows are decoded from now on."""
        for number in numbers:
            began_s = self._waiting.pop(number, None)
            if began_s is not None:
                self._note(at_s, at_s - began_s)

    def forget(self, number: int) -> None:
        """The window is not decoded: it was refused, or its sender is gone."""
        self._waiting.pop(number, None)

    def worst_s(self, now_s: float) -> float:
        """The longest wait that ended in the last minute or still goes on; 0 without any."""
        while self._ended and now_s - self._ended[0][0] > WITHIN_S:
            self._ended.popleft()
        under_way_s = now_s - next(iter(self._waiting.values()), now_s)
        return max(under_way_s, self._ended[0][1] if self._ended else 0.0)

    def _note(self, at_s: float, waited_s: float) -> None:
        while self._ended and self._ended[-1][1] <= waited_s:
            self._ended.pop()
        self._ended.append((at_s, waited_s))
