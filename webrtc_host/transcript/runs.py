"""Runs of coverage as the record has them: laying new ones over those that are there."""

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


def laid(runs: Iterable[Run], news: Iterable[Run]) -> list[Run]:
    """The runs with each of `news`, in their order, in place of whatever was said of its time.

    Sorted, without overlap; neighbours that say the same are one.
    """
    laid_so_far = RangeMap[tuple[str, str | None]]()
    for run in (*runs, *news):
        laid_so_far.put(run.from_ms, run.to_ms, (run.state, run.reason))
    return [Run(start, end, *said) for start, end, said in laid_so_far]
