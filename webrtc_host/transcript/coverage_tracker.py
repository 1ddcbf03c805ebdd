"""The keeper of one channel's coverage: what the rooms report becomes `coverage` events, few of them.

Owns the way from samples and blocks to the ledger's milliseconds, the process's totals, and the live check
(`coverage.check`). The ledger's rules are coverage.py's. Implements `seams.CoverageNotes`. Invariant: nothing
here waits or raises for what a room reports; a ledger found broken is logged, counted, and kept.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from webrtc_host.events import CoverageChanged, EventSink
from webrtc_host.seams import Block, BlockKind, CoverageState, ms_of
from webrtc_host.transcript.coverage import (
    AT_REST,
    NETWORK,
    NOT_FED,
    UNFED,
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
    """What all keepers of a process share: settings, totals since its start, violations found."""

    config: CoverageConfig = CoverageConfig()
    is_checking: bool = False
    totals_ms: dict[CoverageState, int] = field(default_factory=lambda: dict.fromkeys(CoverageState, 0))
    events: int = 0
    violations: int = 0

    def statistics(self) -> dict[str, float]:
        totals = {f"{state.value}_ms": float(ms) for state, ms in self.totals_ms.items()}
        return {**totals, "events": self.events, "violations": self.violations}


class CoverageTracker:
    """One channel's, for as long as the channel lasts."""

    def __init__(self, channel_id: str, sink: EventSink, book: CoverageBook | None = None) -> None:
        self._channel_id = channel_id
        self._sink = sink
        self._book = book or CoverageBook()
        self._coverage = Coverage(self._book.config)
        self._counted = dict(self._coverage.totals_ms)

    @property
    def covered_to_ms(self) -> int:
        return self._coverage.covered_to_ms

    @property
    def origin_ms(self) -> int | None:
        """Where the ledger begins: the first opening. None before it."""
        return self._coverage.origin_ms if self._coverage.is_opened else None

    def restore(self, told: Sequence[CoverageRun], opened_ms: int, closed_ms: int | None = None) -> None:
        """Go on with the ledger of an earlier process: its runs, and where the channel was first opened.

        closed_ms: where its last connection ended in good order; None: it did not.
        """
        self._coverage = Coverage.restored(told, self._book.config)
        self._coverage.opened(opened_ms)
        if closed_ms is not None:
            self._coverage.ended(max(closed_ms, self._coverage.end_ms), is_orderly=True)
        self._counted = dict(self._coverage.totals_ms)

    def opened(self, at_sample: int) -> None:
        """The first time, the ledger begins here."""
        self._tell(self._coverage.opened(ms_of(at_sample)))

    def ended(self, at_sample: int, *, is_orderly: bool) -> None:
        """A connection that fed the channel up to here is over; is_orderly: it said so."""
        self._coverage.ended(ms_of(at_sample), is_orderly=is_orderly)

    def take(self, block: Block) -> None:
        """A block on its way to the pipeline; what is missing in front of it is lost."""
        start, end = ms_of(block.start_sample), ms_of(block.end_sample)
        match block.kind:
            case BlockKind.AUDIO:
                self._tell(self._coverage.received(start, end))
            case BlockKind.LOST:
                self._tell(self._coverage.missing(start, end, CoverageState.LOST, NETWORK))
            case BlockKind.PAUSED:
                self._tell(self._coverage.missing(start, end, CoverageState.SILENCE, PAUSED))

    def decide(
        self, start_sample: int, end_sample: int, state: CoverageState, reason: str | None = None
    ) -> None:
        self._tell(self._coverage.decide(ms_of(start_sample), ms_of(end_sample), state, reason))

    def repair(
        self, start_sample: int, end_sample: int, state: CoverageState, reason: str | None = None
    ) -> None:
        self._tell(self._coverage.repair(ms_of(start_sample), ms_of(end_sample), state, reason))

    def closed(self, start_sample: int, end_sample: int) -> None:
        """Whoever read this stretch has said their last words on it."""
        self._tell(self._coverage.closed(ms_of(start_sample), ms_of(end_sample)))

    def absent(self, to_ms: int, reason: str = NOT_FED) -> None:
        """Nobody fed the channel until `to_ms`, and nobody will feed that time live any more."""
        self._tell(self._coverage.absent(to_ms, reason))

    @property
    def gap(self) -> Mark:
        """What the time after the ledger's end is for as long as nobody feeds the channel."""
        return self._coverage.gap if self._coverage.gap == AT_REST else UNFED

    def flush(self) -> None:
        """Tell what is decided and was not told yet."""
        self._tell(self._coverage.flush())

    def runs(self, from_ms: int = 0, to_ms: int | None = None) -> list[CoverageRun]:
        """Up to the watermark."""
        return self._coverage.runs(from_ms, to_ms)

    def opening(self, start_sample: int) -> OpeningNotes:
        """For the pipeline of one opening, whose first sample is not before `start_sample`."""
        return OpeningNotes(self, start_sample)

    def repairing(self) -> RepairNotes:
        """For whatever reads this channel's past: its verdicts are repairs."""
        return RepairNotes(self)

    def _tell(self, runs: Iterable[CoverageRun]) -> None:
        for run in runs:
            self._book.events += 1
            self._sink.emit(
                CoverageChanged(
                    channel=self._channel_id,
                    from_ms=run.from_ms,
                    to_ms=run.to_ms,
                    state=run.state,
                    reason=run.reason,
                )
            )
            self._count()
            if self._book.is_checking:
                self._check()

    def _count(self) -> None:
        totals = self._coverage.totals_ms
        if totals != self._counted:
            for state, ms in totals.items():
                self._book.totals_ms[state] += ms - self._counted[state]
            self._counted = dict(totals)

    def _check(self) -> None:
        for violation in self._coverage.violations():
            self._book.violations += 1
            logger.error("channel %s: its coverage is broken: %s", self._channel_id, violation)


@dataclass(frozen=True, slots=True)
class OpeningNotes:
    """`seams.CoverageNotes` for the pipeline of one opening. What came before is another's, which may still
    be reading it.
    """

    keeper: CoverageTracker
    start_sample: int

    def decide(
        self, start_sample: int, end_sample: int, state: CoverageState, reason: str | None = None
    ) -> None:
        if end_sample > self.start_sample:
            self.keeper.decide(max(start_sample, self.start_sample), end_sample, state, reason)

    def repair(
        self, start_sample: int, end_sample: int, state: CoverageState, reason: str | None = None
    ) -> None:
        self.keeper.repair(start_sample, end_sample, state, reason)

    def closed(self, end_sample: int) -> None:
        """The pipeline has said its last words on everything up to `end_sample`."""
        self.keeper.closed(self.start_sample, end_sample)


@dataclass(frozen=True, slots=True)
class RepairNotes:
    """`seams.CoverageNotes` for a pipeline that reads a channel's past (backfill, recovery)."""

    keeper: CoverageTracker

    def decide(
        self, start_sample: int, end_sample: int, state: CoverageState, reason: str | None = None
    ) -> None:
        self.keeper.repair(start_sample, end_sample, state, reason)

    repair = decide
