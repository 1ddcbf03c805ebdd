"""The overload ladder: what is given up first, second and third when the engine cannot keep up.

Pure; `now_s` comes from the caller. Knows only whether there is strain: what counts as strain, and what each
rung means for a window, is the planner's.
"""

from __future__ import annotations

from enum import IntEnum


class Load(IntEnum):
    """The overload ladder, lowest rung first. Each rung keeps what the ones below it do."""

    NORMAL = 0
    SLOW_INTERIMS = 1  # a channel's interims come half as often
    SHORT_INTERIMS = 2  # interims are read from their last seconds only
    FINALS_ONLY = 3  # no interims at all


class Ladder:
    """Up a rung after steady strain, down one after steady calm; never two at once."""

    def __init__(self, climb_after_ms: int, descend_after_ms: int) -> None:
        """climb_after_ms, descend_after_ms: how long the mood must last for a step."""
        self._climb_s = climb_after_ms / 1000
        self._descend_s = descend_after_ms / 1000
        self._is_strained = False
        self._since_s = float("-inf")  # of the present mood, or of the last move
        self.load = Load.NORMAL
        self.climbs = 0

    def on_tick(self, now_s: float, *, is_strained: bool) -> None:
        if is_strained is not self._is_strained:
            self._is_strained, self._since_s = is_strained, now_s
        steady_s = now_s - self._since_s
        if is_strained and self.load < Load.FINALS_ONLY and steady_s >= self._climb_s:
            self.load, self._since_s = Load(self.load + 1), now_s
            self.climbs += 1
        elif not is_strained and self.load > Load.NORMAL and steady_s >= self._descend_s:
            self.load, self._since_s = Load(self.load - 1), now_s
