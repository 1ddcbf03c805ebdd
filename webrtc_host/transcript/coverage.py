"""Coverage: the state of every millisecond of one channel.

This module keeps the runs (one state each) from the channel's first opening, remembers which of them were
reported as events, and applies the rule which state may replace which. `coverage_tracker.py` converts samples
and blocks into milliseconds. Pure: no clock, no I/O.
Invariants: runs follow each other without gap or overlap. Audio that arrived has the mark `AWAITING` until a
stage decides its state; before the watermark nothing has this mark. A reader that applies the reported runs
in their order has the same states.
Explanation: docs/explanation/coverage.md.
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
    """How often coverage is reported."""

    report_every_ms: int = 10_000
    """A run that continues is reported in pieces of this length; a run that has ended, at once. With 10 s, 64
    silent channels make 6 events a second; with half of it, twice as many.
    """

    def __post_init__(self) -> None:
        if not 100 <= self.report_every_ms <= 600_000:
            raise ValueError(f"report_every_ms is {self.report_every_ms}; it lies between 100 and 600000")


@dataclass(frozen=True, slots=True)
class CoverageRun:
    """One state from `from_ms` to `to_ms`. A later run replaces earlier ones for the same milliseconds."""

    from_ms: int
    to_ms: int
    state: CoverageState
    reason: str | None = None

    def __post_init__(self) -> None:
        if not self.from_ms < self.to_ms:
            raise ValueError(f"a run from {self.from_ms} to {self.to_ms} ms is empty")


class Mark(NamedTuple):
    """The mark of a millisecond. state None: audio arrived, and its state is not decided yet."""

    state: CoverageState | None
    reason: str | None = None


AWAITING = Mark(None)
NOT_FED_GAP = Mark(CoverageState.LOST, NOT_FED)
"""No connection fed the channel, and its sender had not said that it was done."""
CLOSED_GAP = Mark(CoverageState.CLOSED)
"""No connection fed the channel, because its sender had ended on purpose."""
NO_RESULT = Mark(CoverageState.FAILED, NOT_READ)
"""No result came, and none is expected. A result that comes all the same replaces this mark."""

WITHOUT_AUDIO = (CoverageState.LOST, CoverageState.CLOSED)

_RANK = {
    CoverageState.LOST: 0,
    CoverageState.SHED: 0,
    CoverageState.FAILED: 0,
    CoverageState.CLOSED: 0,
    CoverageState.SILENCE: 1,
    CoverageState.TRANSCRIBED: 2,
    CoverageState.REDACTED: 3,
}
"""A repair replaces states of a lower rank, and among rank 0 also its own rank: text is never lost again."""


class Coverage:
    """The coverage of one channel. The methods return the runs that have to be reported now, in order."""

    def __init__(self, config: CoverageConfig = CoverageConfig()) -> None:
        self._config = config
        self._runs = RangeMap[Mark]()
        self._end_ms = 0
        self._origin_ms: int | None = None
        self._reported_ms = 0  # everything before it was reported
        self._gap = NOT_FED_GAP  # the mark of time that no connection has fed, from the end of the runs on
        self.totals_ms = dict.fromkeys(CoverageState, 0)  # of the runs that were reported

    @classmethod
    def restored(cls, reported: Sequence[CoverageRun], config: CoverageConfig | None = None) -> Coverage:
        """The coverage of an earlier process, from the runs that it reported, in their order."""
        coverage = cls(config or CoverageConfig())
        for run in reported:
            coverage._restore(run)
        for start, end, mark in coverage._runs:
            if mark.state is not None:
                coverage.totals_ms[mark.state] += end - start
        coverage._reported_ms = coverage._end_ms
        return coverage

    @property
    def is_opened(self) -> bool:
        return self._origin_ms is not None

    @property
    def origin_ms(self) -> int:
        """Start of the coverage; 0 before the channel was opened."""
        return self._origin_ms or 0

    @property
    def covered_to_ms(self) -> int:
        """The watermark: every millisecond before it has a state."""
        # From the reported end only: a run is reported when it has a state, and no run loses its state again.
        for start, _, mark in self._runs.between(self._reported_ms, self._end_ms):
            if mark is AWAITING:
                return start
        return self._end_ms

    @property
    def end_ms(self) -> int:
        """End of the coverage; before it, audio may still have no state."""
        return self._end_ms

    @property
    def gap(self) -> Mark:
        """The mark that the time after `end_ms` gets as long as no connection feeds the channel."""
        return self._gap

    def opened(self, at_ms: int) -> list[CoverageRun]:
        """A connection starts to feed the channel. At the first time, the coverage begins here.

        An upload for past time (before `end_ms`) changes nothing of the time after it.
        """
        if self._origin_ms is None:
            self._origin_ms = self._end_ms = self._reported_ms = at_ms
        if at_ms < self._end_ms:
            return []
        if self._gap == CLOSED_GAP:
            self._append(at_ms, CLOSED_GAP)
        self._gap = NOT_FED_GAP
        return self._due()

    def ended(self, at_ms: int, *, is_orderly: bool) -> None:
        """A connection that fed the channel up to `at_ms` has ended.

        is_orderly: its sender said that it was done. Then the time until the next opening is `closed`, else
        `lost`.
        """
        if self.is_opened and at_ms >= self._end_ms:
            self._gap = CLOSED_GAP if is_orderly else NOT_FED_GAP

    def received(self, from_ms: int, to_ms: int) -> list[CoverageRun]:
        """Audio arrived. Its state is decided later; a gap before it is lost."""
        return self._add_arrived(from_ms, to_ms, AWAITING)

    def missing(
        self, from_ms: int, to_ms: int, state: CoverageState, reason: str | None = None
    ) -> list[CoverageRun]:
        """The state is known at arrival: lost, shed, or a source that was stopped (silence)."""
        reported = self._add_arrived(from_ms, to_ms, AWAITING)
        return reported + self.decide(from_ms, to_ms, state, reason)

    def decide(
        self, from_ms: int, to_ms: int, state: CoverageState, reason: str | None = None
    ) -> list[CoverageRun]:
        """Set the state of audio that arrived and has none yet, or that was given up as not read."""
        # Other marks stay: a lost packet inside a word is lost, whatever text surrounds it.
        changed = self._set_marks(
            from_ms, to_ms, Mark(state, reason), lambda old: old in (AWAITING, NO_RESULT)
        )
        return self._reported_again(changed) + self._due()

    def repair(
        self, from_ms: int, to_ms: int, state: CoverageState, reason: str | None = None
    ) -> list[CoverageRun]:
        """Set a better state later (late result, backfill, upload), also outside the coverage so far.

        It replaces lower ranks. Audio that has no state yet keeps waiting for its own.
        """
        if to_ms <= from_ms:
            return []
        mark = Mark(state, reason)
        # Three parts: time before the coverage, time after it, and time within it. The first two have no
        # state to compare with, so they are added; within it, the ranks decide.
        before = self._begin_at(from_ms, to_ms, mark)
        end = self._end_ms
        if to_ms > end:
            self._append(max(from_ms, end), NOT_FED_GAP)
            self._append(to_ms, mark)
        changed = self._set_marks(
            max(from_ms, before), min(to_ms, end), mark, lambda old: _may_replace(old, state)
        )
        if from_ms < before:
            # Reported like a change. The old mark is AWAITING, because the totals have no state of this time
            # that would have to be subtracted.
            changed.insert(0, (from_ms, before, AWAITING))
        return self._reported_again(changed) + self._due()

    def closed(self, from_ms: int = 0, to_ms: int | None = None) -> list[CoverageRun]:
        """No more results will come for audio in [from_ms, to_ms): what has no state yet becomes `failed`.

        to_ms None: up to the end. Several connections may still wait for results of one channel, each for its
        own time: a connection that has ended, while the next one feeds.
        """
        end = self._end_ms if to_ms is None else min(to_ms, self._end_ms)
        self._set_marks(max(from_ms, self._reported_ms), end, NO_RESULT, lambda old: old is AWAITING)
        return self._due(is_over=True)

    def absent(self, to_ms: int, reason: str = NOT_FED) -> list[CoverageRun]:
        """No audio came until `to_ms`, and none will. NOT_FED becomes `closed` after an orderly end."""
        if self.is_opened:
            mark = (
                CLOSED_GAP
                if reason == NOT_FED and self._gap == CLOSED_GAP
                else Mark(CoverageState.LOST, reason)
            )
            self._append(to_ms, mark)
        return self._due(is_over=True)

    def flush(self) -> list[CoverageRun]:
        """Report everything that is decided and was not reported."""
        return self._due(is_over=True)

    def runs(self, from_ms: int = 0, to_ms: int | None = None) -> list[CoverageRun]:
        """The runs up to the watermark, cut to [from_ms, to_ms)."""
        high = self.covered_to_ms if to_ms is None else min(to_ms, self.covered_to_ms)
        return [
            CoverageRun(start, end, mark.state, mark.reason)
            for start, end, mark in self._runs.between(from_ms, high)
            if mark.state is not None
        ]

    def violations(self) -> list[str]:
        """Contradictions to the invariants, as sentences; empty when there are none."""
        found: list[str] = []
        for start, end, mark in self._runs:
            if start >= end:
                found.append(f"the run {mark} from {start} to {end} ms is empty")
        runs = list(self._runs)
        if any(one[2] == other[2] for one, other in pairwise(runs)):
            found.append("two neighbouring runs are alike")
        reported, length = sum(self.totals_ms.values()), self._reported_ms - self.origin_ms
        if reported != length:
            found.append(f"the reported states add up to {reported} ms, the reported time is {length} ms")
        if self._reported_ms > self.covered_to_ms:
            found.append(
                f"reported up to {self._reported_ms} ms, but only {self.covered_to_ms} ms are decided"
            )
        return found

    def _add_arrived(self, from_ms: int, to_ms: int, mark: Mark) -> list[CoverageRun]:
        if from_ms > self._end_ms:
            self._append(from_ms, self._gap)
        # A connection feeds the channel now, so the next gap is the network's, until the connection ends.
        self._gap = Mark(CoverageState.LOST, NETWORK)
        self._append(to_ms, mark)
        return self._due()

    def _set_marks(
        self, from_ms: int, to_ms: int, mark: Mark, may_replace: Callable[[Mark], bool]
    ) -> list[tuple[int, int, Mark]]:
        """Set `mark` where the old mark allows it; returns what these ranges were before."""
        changed = [
            (start, end, old)
            for start, end, old in self._runs.between(max(from_ms, self.origin_ms), to_ms)
            if old != mark and may_replace(old)
        ]
        for start, end, _ in changed:
            self._runs.put(start, end, mark)
        return changed

    def _append(self, to_ms: int, mark: Mark) -> None:
        """Add the time from the end of the coverage to `to_ms`, with `mark`."""
        if to_ms > self._end_ms:
            self._runs.put(self._end_ms, to_ms, mark)
            self._end_ms = to_ms

    def _prepend(self, from_ms: int, to_ms: int, mark: Mark) -> None:
        """Add time directly before the start of the coverage, with `mark`."""
        self._runs.put(from_ms, to_ms, mark)
        self._end_ms = max(self._end_ms, to_ms)

    def _begin_at(self, from_ms: int, to_ms: int, mark: Mark) -> int:
        """Start at `from_ms` when that is earlier, with `mark` up to `to_ms`; returns the old start."""
        if self._origin_ms is None:
            self.opened(from_ms)
        origin, self._origin_ms = self.origin_ms, min(from_ms, self.origin_ms)
        if from_ms < origin:
            if to_ms < origin:
                self._prepend(to_ms, origin, NOT_FED_GAP)
            self._prepend(from_ms, min(to_ms, origin), mark)
        return origin

    def _due(self, *, is_over: bool = False) -> list[CoverageRun]:
        """Of the runs not reported before the watermark: all that have ended or are long enough; or all."""
        # The first run that is not due ends the loop: the reported time has one end (`_reported_ms`), so runs
        # are reported in order, without leaving one out.
        due: list[CoverageRun] = []
        unreported = chain(self._runs.between(self._reported_ms, self._end_ms), [None])
        for run, behind in pairwise(unreported):
            assert run is not None, "only the last of them is"
            start, end, mark = run
            if mark is AWAITING:
                break
            # A lost run ends where audio arrived, although that audio has no state yet: it cannot become
            # lost.
            is_closed = behind is not None and (behind[2] is not AWAITING or mark.state in WITHOUT_AUDIO)
            if not (is_over or is_closed or end - start >= self._config.report_every_ms):
                break
            if mark.state is not None:
                due.append(CoverageRun(start, end, mark.state, mark.reason))
                self.totals_ms[mark.state] += end - start
            self._reported_ms = end
        return due

    def _reported_again(self, changed: Sequence[tuple[int, int, Mark]]) -> list[CoverageRun]:
        """Of ranges that changed, the parts that were reported before, with their new states."""
        reported: list[CoverageRun] = []
        for start, end, old in sorted(changed):
            # The part after `_reported_ms` is left to `_due`, which reports it for the first time.
            end = min(end, self._reported_ms)
            if old.state is not None and start < end:
                self.totals_ms[old.state] -= end - start
            for low, high, mark in self._runs.between(start, end):
                if mark.state is None or (reported and reported[-1].to_ms > low):
                    continue
                self.totals_ms[mark.state] += high - low
                reported.append(CoverageRun(low, high, mark.state, mark.reason))
        return _joined(reported)

    def _restore(self, run: CoverageRun) -> None:
        mark = Mark(run.state, run.reason)
        origin = self._begin_at(run.from_ms, run.to_ms, mark)
        end = self._end_ms
        self._append(run.from_ms, NOT_FED_GAP)
        self._append(run.to_ms, mark)
        if max(run.from_ms, origin) < min(run.to_ms, end):
            self._runs.put(max(run.from_ms, origin), min(run.to_ms, end), mark)


def _may_replace(old: Mark, state: CoverageState) -> bool:
    """True when a repair to `state` may replace the mark. Audio without a state waits for its own result."""
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
