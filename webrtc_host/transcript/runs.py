"""Coverage runs as the record stores them: applies newer runs to the stored ones. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from host_stt_common.ranges import RangeMap


@dataclass(frozen=True, slots=True)
class Run:
    from_ms: int
    to_ms: int  # exclusive
    state: str
    reason: str | None = None


def apply_runs(runs: Iterable[Run], newer: Iterable[Run]) -> list[Run]:
    """The stored runs with each of `newer` applied in order: a newer run replaces older ones at its time.

    Sorted, without overlap; neighbours with the same state and reason become one run.
    """
    applied = RangeMap[tuple[str, str | None]]()
    for run in (*runs, *newer):
        applied.put(run.from_ms, run.to_ms, (run.state, run.reason))
    return [Run(start, end, *mark) for start, end, mark in applied]
