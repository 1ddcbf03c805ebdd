"""The coverage of a session for a response: the runs of the record, and newer ones of running channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from webrtc_host.seams import CoverageState
from webrtc_host.session.session import Session
from webrtc_host.transcript import records
from webrtc_host.transcript.coverage import CoverageRun
from webrtc_host.transcript.records import Span
from webrtc_host.transcript.store import Store

RUNS_MAX = 50_000
"""Of one channel in one response."""


@dataclass(frozen=True, slots=True)
class ChannelCoverage:
    """The coverage of one channel, within the range of the request."""

    channel: str
    from_ms: int
    covered_to_ms: int
    runs: list[CoverageRun]

    @property
    def is_truncated(self) -> bool:
        return len(self.runs) > RUNS_MAX

    def body(self) -> dict[str, Any]:
        totals: dict[str, int] = {}
        for run in self.runs[:RUNS_MAX]:
            totals[run.state.value] = totals.get(run.state.value, 0) + run.to_ms - run.from_ms
        return {
            "channel": self.channel,
            "from_ms": self.from_ms,
            "covered_to_ms": self.covered_to_ms,
            "totals_ms": totals,
            "runs": [
                {"from_ms": run.from_ms, "to_ms": run.to_ms, "state": run.state.value, "reason": run.reason}
                for run in self.runs[:RUNS_MAX]
            ],
        }


async def stored_coverage(store: Store, span: Span) -> dict[str, ChannelCoverage]:
    """By channel, from the record."""
    # Runs first: a channel whose first run is written between the two reads has no extent yet.
    rows = await store.read(lambda c: records.coverage_runs(c, span, RUNS_MAX + 1))
    ends = await store.read(lambda c: records.extents(c, Span(span.session, span.channels)))
    found = {channel: ChannelCoverage(channel, low, high, []) for channel, low, high in ends}
    for row in rows:
        low, high = max(row.from_ms, span.from_ms), min(row.to_ms, _end(span, row.to_ms))
        if low < high and row.channel in found:  # else its session was removed meanwhile
            run = CoverageRun(low, high, CoverageState(row.state), row.reason)
            found[row.channel].runs.append(run)
    return found


def live_coverage(session: Session, span: Span) -> dict[str, ChannelCoverage]:
    """By channel, from the coverage trackers, which have newer states than the record.

    A channel without a feed is `closed` or `lost` until now.
    """
    found: dict[str, ChannelCoverage] = {}
    for channel in session.channels.values():
        tracker = channel.coverage
        if tracker.origin_ms is None or (span.channels is not None and channel.id not in span.channels):
            continue
        runs, covered_to_ms = tracker.runs(span.from_ms, span.to_ms), tracker.covered_to_ms
        if channel.connection is None and not session.is_ended and session.now_ms() > covered_to_ms:
            low, covered_to_ms = max(covered_to_ms, span.from_ms), session.now_ms()
            high = min(covered_to_ms, _end(span, covered_to_ms))
            if low < high:
                runs.append(
                    CoverageRun(low, high, tracker.gap.state or CoverageState.LOST, tracker.gap.reason)
                )
        found[channel.id] = ChannelCoverage(channel.id, tracker.origin_ms, covered_to_ms, runs)
    return found


def _end(span: Span, otherwise: int) -> int:
    return otherwise if span.to_ms is None else span.to_ms
