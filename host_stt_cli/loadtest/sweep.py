"""Find the largest number of channels with the verdict yes, by doubling and then by halving, and report it.

Pure except for the runs that are passed in. Invariant: no number is tried twice; each one is within the
bounds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from host_stt_cli.loadtest.verdict import Answer, Limits, Verdict, judge

Holds = Callable[[int], Awaitable[bool]]
Runs = Sequence[tuple[dict[str, Any], Verdict]]
FINE = 10
"""The result is exact to a tenth: two runs with the same number of channels differ by about as much."""


async def largest(holds: Holds, first: int, most: int) -> int:
    """The largest number up to `most` for which `holds` is true, exact to a tenth; 0 if not even 1 holds.

    Assumes that if a number holds, every smaller one holds too. first: the number to begin with.
    """
    low, high = 0, most + 1  # low holds, high does not
    trial = min(max(1, first), most)
    while True:
        if await holds(trial):
            low = trial
        else:
            high = trial
        if low == most or high - low <= max(1, low // FINE):
            return low
        trial = min(low * 2, most) if high == most + 1 and low else (low + high) // 2
        if trial <= low:
            trial = low + 1


def judged(runs: Runs, asked: int, most: int, edge: int, limits: Limits) -> tuple[dict[str, Any], Verdict]:
    """The run with the requested number (else the smallest one that was made), with the sweep in its
    report.
    """
    made = {found["load"]["channels"]: (found, verdict) for found, verdict in runs}
    found, verdict = made.get(asked) or made[min(made)]
    over = min((n for n in made if n > edge), default=None)
    if verdict.answer is not Answer.UNMEASURED:
        verdict = judge(found, limits, edge)
    if edge:
        sentence = f"{verdict.sentence} {_edge(made, edge, over, most)}"
        limiting = made[over or edge][1].limiting
        verdict = replace(verdict, sentence=sentence, limiting=limiting)
    found["sweep"] = {"largest": edge, "runs": [_step(*made[n]) for n in sorted(made)]}
    return found, verdict


def _edge(made: dict[int, tuple[dict[str, Any], Verdict]], edge: int, over: int | None, most: int) -> str:
    if over is None:
        ended = "no larger number was requested" if edge == most else "no larger number could be measured"
        return f"The largest number that worked is {edge} channels; {ended}."
    why = made[over][1]
    return (
        f"The largest number that worked is {edge} channels; at {over}: {'; '.join(why.reasons)}. "
        f"The limiting part there is {why.limiting}."
    )


def _step(found: dict[str, Any], verdict: Verdict) -> dict[str, Any]:
    return {
        "channels": found["load"]["channels"],
        "answer": verdict.answer.value,
        "ttfs_ms": found["measures"]["ttfs_ms"],
        "engine_busy": found["measures"].get("engine_busy"),
        "machine_percent": found["machine"].get("cpu_percent_mean"),
        "interims_shed": found["measures"]["interims_shed"],
        "limiting": verdict.limiting,
        "reasons": list(verdict.reasons),
    }


def line(found: dict[str, Any], verdict: Verdict) -> str:
    """One step of the sweep, as a line for a terminal."""
    ttfs = found["measures"]["ttfs_ms"]
    times = f"{ttfs['p50']:.0f}/{ttfs['p95']:.0f} ms (p50/p95 of {ttfs['n']})" if ttfs.get("n") else "-"
    why = f": {'; '.join(verdict.reasons)}" if verdict.reasons else ""
    return (
        f"{found['load']['channels']:>3} channels  {verdict.answer.value:<3}  time to final text {times}; "
        f"{verdict.limiting}{why}"
    )
