"""What live windows cost: how long they waited in the last minute, and sums since the start.

Pure: the times are given. Recordings (background windows) do not count, because they may wait as long as it
takes. Invariant: memory holds the waits of the last minute.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from host_stt.contract import Priority
from host_stt.queue_waits import WITHIN_S


@dataclass(frozen=True, slots=True)
class LiveFigures:
    """waits: windows decoded in the last minute. p50_s, p95_s: of their waits; None without any.

    The others are sums since the start: finals and interims that were decoded, and seconds of decoding.
    """

    waits: int
    p50_s: float | None
    p95_s: float | None
    finals: int
    interims: int
    decoding_s: float


class LiveDecodes:
    def __init__(self) -> None:
        self._waits: deque[tuple[float, float]] = deque()  # (when its decoding ended, seconds in the queue)
        self._windows = dict.fromkeys(Priority, 0)
        self._decoding_s = 0.0

    def decoded(self, priority: Priority, waited_s: Sequence[float], took_s: float, at_s: float) -> None:
        """One call of the engine. waited_s: of each of its windows; took_s: of the call."""
        if priority is Priority.BACKGROUND:
            return
        self._forget(at_s)
        self._waits.extend((at_s, max(0.0, waited)) for waited in waited_s)
        self._windows[priority] += len(waited_s)
        self._decoding_s += max(0.0, took_s)

    def figures(self, now_s: float) -> LiveFigures:
        self._forget(now_s)
        waits = sorted(waited for _, waited in self._waits)
        return LiveFigures(
            len(waits),
            _quantile(waits, 0.5),
            _quantile(waits, 0.95),
            self._windows[Priority.FINAL],
            self._windows[Priority.INTERIM],
            self._decoding_s,
        )

    def _forget(self, now_s: float) -> None:
        while self._waits and now_s - self._waits[0][0] > WITHIN_S:
            self._waits.popleft()


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest value that `share` of the values do not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None
