"""When the blocks of a source were recorded, and how long a fast source has to wait. Pure.

A source is a count of samples from a moment on. It may stop. When it then delivers faster, until it has
caught up, the network held the audio back, and the count stays right. When it continues at the speed of
speech, the source itself made a pause, and the count starts again after the pause.
"""

from __future__ import annotations

BEHIND_S_MAX = 10.0
"""A source that is later than this is not expected to catch up."""
PAUSE_S_MIN = 0.25
DECIDE_S = 5.0
"""A source that stays late for so much of its audio made a pause."""


class SourceTime:
    """Times are seconds of the clock of the caller."""

    def __init__(self) -> None:
        self._end_s: float | None = None  # of the audio so far
        self._since_s = 0.0  # audio since the last decision
        self._least_behind_s = BEHIND_S_MAX

    def place(self, seconds: float, now_s: float) -> float:
        """The end of the next block, `seconds` long. When it lies after now, send the block then."""
        end_s = now_s if self._end_s is None else self._end_s + seconds
        if now_s - end_s > BEHIND_S_MAX:
            self.restart()
            end_s = now_s
        self._since_s += seconds
        self._least_behind_s = min(self._least_behind_s, now_s - end_s)
        if self._since_s >= DECIDE_S:
            if self._least_behind_s > PAUSE_S_MIN:
                end_s += self._least_behind_s
            self._decide_again()
        self._end_s = end_s
        return end_s

    def restart(self) -> None:
        """The next block is recorded when it comes."""
        self._end_s = None
        self._decide_again()

    def _decide_again(self) -> None:
        self._since_s, self._least_behind_s = 0.0, BEHIND_S_MAX
