"""Coverage: what became of every millisecond of one channel.

Pure: no clock, no I/O. Owns the runs of one state each from the channel's first opening on, which of them the
wire has been told, and the rule of who may overrule whom. Knows neither samples nor blocks
(coverage_tracker.py turns them into milliseconds). Invariants:
runs follow each other without hole or overlap;
audio that came is `awaiting` until the speech rooms say what it was; up to the watermark nothing awaits, and
the runs told, applied in their order, are the ledger's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import NamedTuple

from host_stt_common.ranges import RangeMap
from webrtc_host.seams import CoverageState

NOT_FED = "not_fed"
NETWORK = "network"
NOT_READ = "not_read"


@dataclass(frozen=True, slots=True)
class CoverageConfig:
    report_every_ms: int = 10_000
    """A run that goes on is told in pieces of this length; one that is over, at once. 64 silent channels
    make 6 events a second; half of it twice as many."""

    def __post_init__(self) -> None:
        if not 100 <= self.report_every_ms <= 600_000:
            raise ValueError(f"report_every_ms is {self.report_every_ms}; it lies between 100 and 600000")


@dataclass(frozen=True, slots=True)
class CoverageRun:
    """One state from `from_ms` to `to_ms`; a later run overrules earlier ones of the same milliseconds."""

    from_ms: int
    to_ms: int
    state: CoverageState
    reason: str | None = None

    def __post_init__(self) -> None:
        if not self.from_ms < self.to_ms:
            raise ValueError(f"a run from {self.from_ms} to {self.to_ms} ms is empty")


class Mark(NamedTuple):
    """What a millisecond is. state None: it came, and awaits its verdict."""

    state: CoverageState | None
    reason: str | None = None


AWAITING = Mark(None)
UNFED = Mark(CoverageState.LOST, NOT_FED)
"""Nobody fed the channel, though its sender had not said that it was done."""
AT_REST = Mark(CoverageState.CLOSED)
"""Nobody fed the channel, for its sender had ended in good order."""
GIVEN_UP = Mark(CoverageState.FAILED, NOT_READ)
"""Nobody said anything of it. A verdict that comes all the same knows better."""

WITHOUT_AUDIO = (CoverageState.LOST, CoverageState.CLOSED)

_RANK = {
    CoverageState.LOST: 0,
    CoverageState.SHED: 0,
    CoverageState.FAILED: 0,
    CoverageState.CLOSED: 0,
    CoverageState.SILENCE: 1,
    CoverageState.TRANSCRIBED: 2,
}
"""A repair overrules what ranks lower, and among the lowest its equals: what was heard stays heard."""


class Coverage:
    """One channel's ledger. Every method returns the runs to be told because of it, in order."""

    def __init__(self, config: CoverageConfig = CoverageConfig()) -> None:
        self._config = config
        self._runs = RangeMap[Mark]()
        self._end_ms = 0
        self._origin_ms: int | None = None
        self._told_ms = 0  # told up to here
        self._gap = UNFED  # what time is that nobody has fed yet
        self.totals_ms = dict.fromkeys(CoverageState, 0)  # of what was told

    @classmethod
    def restored(cls, told: Sequence[CoverageRun], config: CoverageConfig | None = None) -> Coverage:
        """The ledger whose runs were told before, in this order; nothing awaits."""
        coverage = cls(config or CoverageConfig())
        for run in told:
            coverage._restore(run)
        for start, end, mark in coverage._runs:
            if mark.state is not None:
                coverage.totals_ms[mark.state] += end - start
        coverage._told_ms = coverage._end_ms
        return coverage

    @property
    def is_opened(self) -> bool:
        return self._origin_ms is not None

    @property
    def origin_ms(self) -> int:
        """Where the ledger begins; 0 before the channel was ever opened."""
        return self._origin_ms or 0

    @property
    def covered_to_ms(self) -> int:
        """The watermark: everything before it has its state."""
        for start, _, mark in self._runs.between(self._told_ms, self._end_ms):
            if mark is AWAITING:
                return start
        return self._end_ms

    @property
    def end_ms(self) -> int:
        """Accounted for up to here; what lies before it may still await its verdict."""
        return self._end_ms

    @property
    def gap(self) -> Mark:
        """What the time after `end_ms` is for as long as nobody feeds the channel."""
        return self._gap

    def opened(self, at_ms: int) -> list[CoverageRun]:
        """Somebody begins to feed the channel. The first time, the ledger begins here.

        An upload of the past (before `end_ms`) changes nothing of the time after it.
        """
        if self._origin_ms is None:
            self._origin_ms = self._end_ms = self._told_ms = at_ms
        if at_ms < self._end_ms:
            return []
        if self._gap == AT_REST:
            self._append(at_ms, AT_REST)
        self._gap = UNFED
        return self._due()

    def ended(self, at_ms: int, *, is_orderly: bool) -> None:
        """A connection that fed the channel up to `at_ms` is over.

        is_orderly: it said so. The time until the next opening is then `closed`, otherwise `lost`.
        """
        if self.is_opened and at_ms >= self._end_ms:
            self._gap = AT_REST if is_orderly else UNFED

    def received(self, from_ms: int, to_ms: int) -> list[CoverageRun]:
        """Audio came. It awaits its verdict; a hole in front of it is lost."""
        return self._came(from_ms, to_ms, AWAITING)

    def missing(
        self, from_ms: int, to_ms: int, state: CoverageState, reason: str | None = None
    ) -> list[CoverageRun]:
        """The media rooms know already: lost, shed, or a source that stood still (silence)."""
        told = self._came(from_ms, to_ms, AWAITING)
        return told + self.decide(from_ms, to_ms, state, reason)

    def decide(
        self, from_ms: int, to_ms: int, state: CoverageState, reason: str | None = None
    ) -> list[CoverageRun]:
        """The verdict on audio that came: what awaits one takes it, and what was given up as not read."""
        changed = self._paint(from_ms, to_ms, Mark(state, reason), lambda old: old in (AWAITING, GIVEN_UP))
        return self._retold(changed) + self._due()

    def repair(
        self, from_ms: int, to_ms: int, state: CoverageState, reason: str | None = None
    ) -> list[CoverageRun]:
        """Later knowledge (a late decode, a backfill, an upload) on any time, also outside the ledger so far.

        Overrules what ranks lower; what awaits a verdict keeps waiting for its own.
        """
        if to_ms <= from_ms:
            return []
        mark = Mark(state, reason)
        before = self._begin_at(from_ms, to_ms, mark)
        end = self._end_ms
        if to_ms > end:
            self._append(max(from_ms, end), UNFED)
            self._append(to_ms, mark)
        changed = self._paint(max(from_ms, before), min(to_ms, end), mark, lambda old: _yields(old, state))
        if from_ms < before:
            changed.insert(0, (from_ms, before, AWAITING))
        return self._retold(changed) + self._due()

    def closed(self, from_ms: int = 0, to_ms: int | None = None) -> list[CoverageRun]:
        """Nobody reads what came in [from_ms, to_ms) any more (None: so far): what still awaits has failed.

        Several may read one channel, each its own time: a connection that is gone while the next one feeds.
        """
        end = self._end_ms if to_ms is None else min(to_ms, self._end_ms)
        self._paint(max(from_ms, self._told_ms), end, GIVEN_UP, lambda old: old is AWAITING)
        return self._due(is_over=True)

    def absent(self, to_ms: int, reason: str = NOT_FED) -> list[CoverageRun]:
        """Nothing came until `to_ms`, and nothing will. NOT_FED: or its sender had closed it."""
        if self.is_opened:
            mark = AT_REST if reason == NOT_FED and self._gap == AT_REST else Mark(CoverageState.LOST, reason)
            self._append(to_ms, mark)
        return self._due(is_over=True)

    def flush(self) -> list[CoverageRun]:
        """Everything decided that was not told yet."""
        return self._due(is_over=True)

    def runs(self, from_ms: int = 0, to_ms: int | None = None) -> list[CoverageRun]:
        """Up to the watermark, cut to [from_ms, to_ms)."""
        high = self.covered_to_ms if to_ms is None else min(to_ms, self.covered_to_ms)
        return [
            CoverageRun(start, end, mark.state, mark.reason)
            for start, end, mark in self._runs.between(from_ms, high)
            if mark.state is not None
        ]

    def violations(self) -> list[str]:
        """What contradicts the invariants, in words; empty in a sound ledger."""
        found: list[str] = []
        for start, end, mark in self._runs:
            if start >= end:
                found.append(f"the run {mark} from {start} to {end} ms is empty")
        runs = list(self._runs)
        if any(one[2] == other[2] for one, other in pairwise(runs)):
            found.append("two neighbouring runs are alike")
        told, length = sum(self.totals_ms.values()), self._told_ms - self.origin_ms
        if told != length:
            found.append(f"the states told add up to {told} ms, the time told is {length} ms")
        if self._told_ms > self.covered_to_ms:
            found.append(f"told up to {self._told_ms} ms, but only {self.covered_to_ms} ms are decided")
        return found

    def _came(self, from_ms: int, to_ms: int, mark: Mark) -> list[CoverageRun]:
        if from_ms > self._end_ms:
            self._append(from_ms, self._gap)
        self._gap = Mark(CoverageState.LOST, NETWORK)
        self._append(to_ms, mark)
        return self._due()

    def _paint(
        self, from_ms: int, to_ms: int, mark: Mark, yields: Callable[[Mark], bool]
    ) -> list[tuple[int, int, Mark]]:
        """Give `mark` to what yields to it; what those stretches were before."""
        changed = [
            (start, end, old)
            for start, end, old in self._runs.between(max(from_ms, self.origin_ms), to_ms)
            if old != mark and yields(old)
        ]
        for start, end, _ in changed:
            self._runs.put(start, end, mark)
        return changed

    def _append(self, to_ms: int, mark: Mark) -> None:
        """The time from the end of the ledger to `to_ms` becomes `mark`."""
        if to_ms > self._end_ms:
            self._runs.put(self._end_ms, to_ms, mark)
            self._end_ms = to_ms

    def _prepend(self, from_ms: int, to_ms: int, mark: Mark) -> None:
        """The time right in front of the ledger becomes `mark`."""
        self._runs.put(from_ms, to_ms, mark)
        self._end_ms = max(self._end_ms, to_ms)

    def _begin_at(self, from_ms: int, to_ms: int, mark: Mark) -> int:
        """Let the ledger begin at `from_ms` or before, `mark` up to `to_ms`; where it began until now."""
        if self._origin_ms is None:
            self.opened(from_ms)
        origin, self._origin_ms = self.origin_ms, min(from_ms, self.origin_ms)
        if from_ms < origin:
            if to_ms < origin:
                self._prepend(to_ms, origin, UNFED)
            self._prepend(from_ms, min(to_ms, origin), mark)
        return origin

    def _due(self, *, is_over: bool = False) -> list[CoverageRun]:
        """Runs that are over (or all, or long enough) between what was told and the watermark."""
        due: list[CoverageRun] = []
        untold = chain(self._runs.between(self._told_ms, self._end_ms), [None])
        for run, behind in pairwise(untold):
            assert run is not None, "only the last of them is"
            start, end, mark = run
            if mark is AWAITING:
                break
            # What came will not turn out lost, so time without audio is over with the next audio.
            is_closed = behind is not None and (behind[2] is not AWAITING or mark.state in WITHOUT_AUDIO)
            if not (is_over or is_closed or end - start >= self._config.report_every_ms):
                break
            if mark.state is not None:
                due.append(CoverageRun(start, end, mark.state, mark.reason))
                self.totals_ms[mark.state] += end - start
            self._told_ms = end
        return due

    def _retold(self, changed: Sequence[tuple[int, int, Mark]]) -> list[CoverageRun]:
        """Of stretches that changed, what had been told: as they are now."""
        told: list[CoverageRun] = []
        for start, end, old in sorted(changed):
            end = min(end, self._told_ms)
            if old.state is not None and start < end:
                self.totals_ms[old.state] -= end - start
            for low, high, mark in self._runs.between(start, end):
                if mark.state is None or (told and told[-1].to_ms > low):
                    continue
                self.totals_ms[mark.state] += high - low
                told.append(CoverageRun(low, high, mark.state, mark.reason))
        return _joined(told)

    def _restore(self, run: CoverageRun) -> None:
        mark = Mark(run.state, run.reason)
        origin = self._begin_at(run.from_ms, run.to_ms, mark)
        end = self._end_ms
        self._append(run.from_ms, UNFED)
        self._append(run.to_ms, mark)
        if max(run.from_ms, origin) < min(run.to_ms, end):
            self._runs.put(max(run.from_ms, origin), min(run.to_ms, end), mark)


def _yields(old: Mark, state: CoverageState) -> bool:
    if old.state is None:
        return False
    return _RANK[old.state] < _RANK[state] or _RANK[old.state] == _RANK[state] == 0


def _joined(runs: Sequence[CoverageRun]) -> list[CoverageRun]:
    joined: list[CoverageRun] = []
    for run in runs:
        last = joined[-1] if joined else None
        if last and (last.to_ms, last.state, last.reason) == (run.from_ms, run.state, run.reason):
            joined[-1] = CoverageRun(last.from_ms, run.to_ms, run.state, run.reason)
        else:
            joined.append(run)
    return joined
