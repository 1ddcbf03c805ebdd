"""Compares live finals with and without a job, in short phases of one run. Pure: times and latencies in.

A busy machine changes from minute to minute, so two runs after each other say little. Here the live
channels speak without a break, and a job comes and goes. Each block has one phase with a job and one
without, in random order, so both see the same machine. The interval of confidence comes from drawing whole
blocks again and again (bootstrap), because neighbouring finals are alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

DRAWS = 4000
CONFIDENCE = 95.0
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the run, in seconds since its begin. block: those of a block are compared."""

    block: int
    has_job: bool
    from_s: float
    to_s: float


@dataclass(frozen=True, slots=True)
class Final:
    """at_s: the end of its speech, since the begin of the run. ms: from there to its final text."""

    at_s: float
    ms: float


@dataclass(frozen=True, slots=True)
class Block:
    """The times to final text of one block in ms."""

    without: Values
    beside: Values


def blocks_of(phases: Sequence[Phase], finals: Sequence[Final]) -> list[Block]:
    """The finals of each block whose two phases have some; those outside of a phase are left out."""
    found = []
    for number in sorted({phase.block for phase in phases}):
        sides = [
            np.array(
                [
                    final.ms
                    for phase in phases
                    if phase.block == number and phase.has_job is has_job
                    for final in finals
                    if phase.from_s <= final.at_s < phase.to_s
                ]
            )
            for has_job in (False, True)
        ]
        if all(len(side) for side in sides):
            found.append(Block(*sides))
    return found


def compared(blocks: Sequence[Block], seed: int = 1) -> dict[str, Any]:
    """Percentiles of all blocks together, and their differences with an interval of confidence, in ms."""
    random = np.random.default_rng(seed)
    differences = np.array([_differences(blocks)])
    drawn = np.array(
        [
            _differences([blocks[place] for place in random.integers(0, len(blocks), len(blocks))])
            for _ in range(DRAWS)
        ]
    )
    low, high = np.percentile(drawn, (50 - CONFIDENCE / 2, 50 + CONFIDENCE / 2), axis=0)
    without = np.concatenate([block.without for block in blocks])
    beside = np.concatenate([block.beside for block in blocks])
    return {
        "blocks": len(blocks),
        "finals": {"without": len(without), "beside": len(beside)},
        "p50_ms": {"without": _at(without, 50), "beside": _at(beside, 50)},
        "p95_ms": {"without": _at(without, 95), "beside": _at(beside, 95)},
        "ratio_p95": round(float(np.percentile(beside, 95) / np.percentile(without, 95)), 3),
        **{
            f"difference_{name}_ms": {
                "found": round(float(differences[0, at])),
                "low": round(float(low[at])),
                "high": round(float(high[at])),
            }
            for at, name in enumerate(("p50", "p95"))
        },
    }


def _differences(blocks: Sequence[Block]) -> tuple[float, float]:
    """Of p50 and p95: beside a job less without."""
    without = np.concatenate([block.without for block in blocks])
    beside = np.concatenate([block.beside for block in blocks])
    p50, p95 = np.percentile(beside, (50, 95)) - np.percentile(without, (50, 95))
    return float(p50), float(p95)


def _at(values: Values, share: float) -> int:
    return round(float(np.percentile(values, share)))
