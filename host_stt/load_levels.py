"""Load levels: which work the engine leaves out, step by step, when it cannot keep up.

Pure; `now_s` is passed in. The input is whether the engine is overloaded. The planner defines what overload
is, and what each level means for a window.
"""

from __future__ import annotations

from enum import IntEnum


class Load(IntEnum):
    """The load levels, lowest first. Each level also does what the lower ones do."""

    NORMAL = 0
    SLOW_INTERIMS = 1  # each channel gets interims half as often
    SHORT_INTERIMS = 2  # only the last seconds of an interim are decoded
    FINALS_ONLY = 3  # no interims are decoded


class LoadControl:
    """Raises the level after steady overload and lowers it after steady calm, one step at a time."""

    def __init__(self, raise_after_ms: int, lower_after_ms: int) -> None:
        """raise_after_ms, lower_after_ms: how long the state must last before a step."""
        self._raise_s = raise_after_ms / 1000
        self._lower_s = lower_after_ms / 1000
        self._is_overloaded = False
        self._since_s = float("-inf")  # start of the current state, or time of the last step
        self.load = Load.NORMAL
        self.raises = 0

    def on_tick(self, now_s: float, *, is_overloaded: bool) -> None:
        if is_overloaded is not self._is_overloaded:
            self._is_overloaded, self._since_s = is_overloaded, now_s
        # After a step the time starts again, so the effect of the step shows before the next one.
        steady_s = now_s - self._since_s
        if is_overloaded and self.load < Load.FINALS_ONLY and steady_s >= self._raise_s:
            self.load, self._since_s = Load(self.load + 1), now_s
            self.raises += 1
        elif not is_overloaded and self.load > Load.NORMAL and steady_s >= self._lower_s:
            self.load, self._since_s = Load(self.load - 1), now_s
