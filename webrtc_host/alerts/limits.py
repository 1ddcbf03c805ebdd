"""What keeps alerts from flooding the desk: the cooldown of each rule and channel, quiet hours, and a rate.

Pure; the caller passes the time. Times are seconds since 1970, so that a cooldown survives a restart.
Invariant: in one cooldown, a rule raises at most two alerts on a channel: one from an interim that the final
withdrew, and one that stays.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from webrtc_host.alerts.rules import COOLDOWN_S_MAX, Rule

MARKS_MAX = 20_000
"""Rules times channels whose last alert is remembered; the oldest is forgotten first."""
PER_MINUTE_MAX = 300
"""Alerts of all rules in a minute. More cannot be read, and each one is an event on disk."""

Key = tuple[str, str, str]
"""Name of the rule, session, channel."""


@dataclass(slots=True)
class _Mark:
    raised_s: float  # the last alert, also one that was withdrawn
    held_s: float  # the last alert that was not withdrawn


class Limits:
    def __init__(self) -> None:
        self._marks: OrderedDict[Key, _Mark] = OrderedDict()
        self._minute = (0, 0)  # number of the minute, alerts in it
        self.suppressed = 0

    def restore(self, raised: Iterable[tuple[Key, float]]) -> None:
        """Continue the cooldowns of the process before."""
        for key, at_s in raised:
            self._marks[key] = _Mark(at_s, at_s)

    def allows(
        self,
        rule: Rule,
        key: Key,
        at_s: float,
        minute: int,
        *,
        is_provisional: bool = False,
        is_counted: bool = True,
    ) -> bool:
        """Whether an alert may be raised now; it counts as raised then. minute: of the day, local time.

        is_counted: whether a refusal is counted in `suppressed`.
        """
        number = int(at_s // 60)
        count = self._minute[1] if self._minute[0] == number else 0
        is_refused = rule.is_quiet(minute) or self._is_cooling(rule, key, at_s, is_provisional)
        if is_refused or count >= PER_MINUTE_MAX:
            self.suppressed += is_counted
            return False
        self._minute = (number, count + 1)
        held_s = self._marks[key].held_s if key in self._marks else float("-inf")
        self._marks[key] = _Mark(at_s, held_s if is_provisional else at_s)
        self._marks.move_to_end(key)
        while len(self._marks) > MARKS_MAX:
            self._marks.popitem(last=False)
        return True

    def keep(self, key: Key, raised_s: float) -> None:
        """A provisional alert was confirmed: its cooldown holds on every path."""
        if (mark := self._marks.get(key)) is not None:
            mark.held_s = max(mark.held_s, raised_s)

    def _is_cooling(self, rule: Rule, key: Key, at_s: float, is_provisional: bool) -> bool:
        mark = self._marks.get(key)
        if mark is None:
            return False
        last_s = mark.raised_s if is_provisional else mark.held_s
        # The wall clock may have been set back: a mark of the future must not block for ever.
        return last_s - COOLDOWN_S_MAX < at_s < last_s + rule.cooldown_s
