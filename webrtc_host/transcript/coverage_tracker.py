"""The coverage tracker of one channel: turns reports of the stages into `coverage` events.

It converts samples and blocks into milliseconds, adds to the totals of the process, and checks the coverage
when `coverage.check` is set. `coverage.py` has the rules. Implements `seams.CoverageNotes`. Invariant: no
method waits, and none raises for a stage's report; coverage that breaks a rule is logged, counted and kept.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from webrtc_host.events import CoverageChanged, EventSink
from webrtc_host.seams import Block, BlockKind, CoverageState, ms_of
from webrtc_host.transcript.coverage import (
    CLOSED_GAP,
    NETWORK,
    NOT_FED,
    NOT_FED_GAP,
    Coverage,
    CoverageConfig,
    CoverageRun,
    Mark,
)

logger = logging.getLogger(__name__)

PAUSED = "paused"
SERVER_DOWN = "server_down"


@dataclass(slots=True)
class CoverageBook:
    """Shared by all trackers of a process: settings, totals since its start, broken rules found."""

    config: CoverageConfig = CoverageConfig()
    is_checking: bool = False
    totals_ms: dict[CoverageState, int] = field(default_factory=lambda: dict.fromkeys(CoverageState, 0))
    events: int = 0
    violations: int = 0

    def statistics(self) -> dict[str, float]:
        totals = {f"{state.value}_ms": float(ms) for state, ms in self.totals_ms.items()}
        return {**totals, "events": self.events, "violations": self.violations}


class CoverageTracker:
    """Tracks one channel for as long as the channel exists."""

    def __init__(self, channel_id: str, sink: EventSink, book: CoverageBook | None = None) -> None:
        self._channel_id = channel_id
        self._sink = sink
        self._book = book or CoverageBook()
        self._coverage = Coverage(self._book.config)
        self._totals_counted = dict(self._coverage.totals_ms)

    @property
    def covered_to_ms(self) -> int:
        return self._coverage.covered_to_ms

    @property
    def origin_ms(self) -> int | None:
        """Start of the coverage: the first opening. None before it."""
        return self._coverage.origin_ms if self._coverage.is_opened else None

    def restore(self, reported: Sequence[CoverageRun], opened_ms: int, closed_ms: int | None = None) -> None:
        """Continue the coverage of an earlier process: its runs, and the first opening of the channel.

        closed_ms: end of the last connection when its sender ended on purpose; else None.
        """
        self._coverage = Coverage.restored(reported, self._book.config)
        self._coverage.opened(opened_ms)
        if closed_ms is not None:
            self._coverage.ended(max(closed_ms, self._coverage.end_ms), is_orderly=True)
        self._totals_counted = dict(self._coverage.totals_ms)

    def opened(self, at_sample: int) -> None:
        """A connection starts to feed. At the first time, the coverage begins here."""
        self._report(self._coverage.opened(ms_of(at_sample)))

    def ended(self, at_sample: int, *, is_orderly: bool) -> None:
        """A connection that fed the channel up to here has ended; is_orderly: its sender said so."""
        self._coverage.ended(ms_of(at_sample), is_orderly=is_orderly)

    def take(self, block: Block) -> None:
        """Take a block that goes to the pipeline. A gap before it is lost."""
        start, end = ms_of(block.start_sample), ms_of(block.end_sample)
        match block.kind:
            case BlockKind.AUDIO:
                self._report(self._coverage.received(start, end))
            case BlockKind.LOST:
                self._report(self._coverage.missing(start, end, CoverageState.LOST, NETWORK))
            case BlockKind.PAUSED:
                self._report(self._coverage.missing(start, end, CoverageState.SILENCE, PAUSED))

    def decide(
        self, start_sample: int, end_sample: int, state: CoverageState, reason: str | None = None
    ) -> None:
        self._report(self._coverage.decide(ms_of(start_sample), ms_of(end_sample), state, reason))

    def repair(
        self, start_sample: int, end_sample: int, state: CoverageState, reason: str | None = None
    ) -> None:
        self._report(self._coverage.repair(ms_of(start_sample), ms_of(end_sample), state, reason))

    def closed(self, start_sample: int, end_sample: int) -> None:
        """No more results will come for this range."""
        self._report(self._coverage.closed(ms_of(start_sample), ms_of(end_sample)))

    def absent(self, to_ms: int, reason: str = NOT_FED) -> None:
        """No connection fed the channel until `to_ms`, and none will feed that time live."""
        self._report(self._coverage.absent(to_ms, reason))

    @property
    def gap(self) -> Mark:
        """The mark that the time after the end gets as long as no connection feeds the channel."""
        return self._coverage.gap if self._coverage.gap == CLOSED_GAP else NOT_FED_GAP

    def flush(self) -> None:
        """Report what is decided and was not reported."""
        self._report(self._coverage.flush())

    def runs(self, from_ms: int = 0, to_ms: int | None = None) -> list[CoverageRun]:
        """The runs up to the watermark."""
        return self._coverage.runs(from_ms, to_ms)

    def opening(self, start_sample: int) -> OpeningNotes:
        """The notes for the pipeline of one opening; its first sample is not before `start_sample`."""
        return OpeningNotes(self, start_sample)

    def repairing(self) -> RepairNotes:
        """The notes for a pipeline that reads past audio of this channel: its states are repairs."""
        return RepairNotes(self)

    def _report(self, runs: Iterable[CoverageRun]) -> None:
        for run in runs:
            self._book.events += 1
            report_run(self._sink, self._channel_id, run)
            self._count()
            if self._book.is_checking:
                self._check()

    def _count(self) -> None:
        totals = self._coverage.totals_ms
        if totals != self._totals_counted:
            for state, ms in totals.items():
                self._book.totals_ms[state] += ms - self._totals_counted[state]
            self._totals_counted = dict(totals)

    def _check(self) -> None:
        for violation in self._coverage.violations():
            self._book.violations += 1
            logger.error("the coverage of channel %s breaks a rule: %s", self._channel_id, violation)


def report_run(sink: EventSink, channel_id: str, run: CoverageRun) -> None:
    """Write one `coverage` event. For a channel that has no tracker any more, as its session has ended."""
    sink.emit(
        CoverageChanged(
            channel=channel_id, from_ms=run.from_ms, to_ms=run.to_ms, state=run.state, reason=run.reason
        )
    )


@dataclass(frozen=True, slots=True)
class OpeningNotes:
    """`seams.CoverageNotes` for the pipeline of one opening, limited to its own time.

    Earlier audio belongs to the opening before, whose pipeline may still wait for results.
    """

    tracker: CoverageTracker
    start_sample: int

    def decide(
        self, start_sample: int, end_sample: int, state: CoverageState, reason: str | None = None
    ) -> None:
        if end_sample > self.start_sample:
            self.tracker.decide(max(start_sample, self.start_sample), end_sample, state, reason)

    def repair(
        self, start_sample: int, end_sample: int, state: CoverageState, reason: str | None = None
    ) -> None:
        self.tracker.repair(start_sample, end_sample, state, reason)

    def closed(self, end_sample: int) -> None:
        """The pipeline will report nothing more for audio up to `end_sample`."""
        self.tracker.closed(self.start_sample, end_sample)


@dataclass(frozen=True, slots=True)
class RepairNotes:
    """`seams.CoverageNotes` for a pipeline that reads past audio (backfill, recovery)."""

    tracker: CoverageTracker

    def decide(
        self, start_sample: int, end_sample: int, state: CoverageState, reason: str | None = None
    ) -> None:
        self.tracker.repair(start_sample, end_sample, state, reason)

    repair = decide
