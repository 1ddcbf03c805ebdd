"""Runs of coverage: laying a new one over those that are there.

Pure. Invariant: the runs of a channel are sorted and never overlap; neighbours that say the same are one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Run:
    from_ms: int
    to_ms: int  # exclusive
    state: str
    reason: str | None = None

    def says_the_same(self, other: Run) -> bool:
        return (self.state, self.reason) == (other.state, other.reason)


def laid(runs: Sequence[Run], new: Run) -> list[Run]:
    """The runs with `new` in place of whatever they said of its time."""
    if new.from_ms >= new.to_ms:
        return list(runs)
    before = [replace(r, to_ms=min(r.to_ms, new.from_ms)) for r in runs if r.from_ms < new.from_ms]
    after = [replace(r, from_ms=max(r.from_ms, new.to_ms)) for r in runs if r.to_ms > new.to_ms]
    joined: list[Run] = []
    for run in (*before, new, *after):
        if joined and joined[-1].to_ms == run.from_ms and joined[-1].says_the_same(run):
            joined[-1] = replace(joined[-1], to_ms=run.to_ms)
        else:
            joined.append(run)
    return joined
