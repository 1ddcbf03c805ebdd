"""The largest number of channels that holds, by doubling and then by halving, and what is said of it.

Pure but for the runs it is given. Invariant: no number is tried twice; every one lies in the bounds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from host_stt_cli.loadtest.verdict import Answer, Limits, Verdict, judge

Holds = Callable[[int], Awaitable[bool]]
Runs = Sequence[tuple[dict[str, Any], Verdict]]
FINE = 10
"""The edge is found to a tenth of itself: two runs of the same number differ by as much."""


async def largest(holds: Holds, first: int, most: int) -> int:
    """The largest number up to `most` for which `holds`, to a tenth; 0 when not even one does.

    Takes it that what holds for a number holds for any smaller one. first: where to begin.
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
    """The run that was asked for (or the smallest, if it was never made), with the sweep in its report."""
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
        ended = "no more were asked for" if edge == most else "beyond it nothing could be measured"
        return f"The most that held is {edge} channels; {ended}."
    why = made[over][1]
    return (
        f"The most that held is {edge} channels; at {over}: {'; '.join(why.reasons)}. "
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
    """One step, for a terminal."""
    ttfs = found["measures"]["ttfs_ms"]
    times = f"{ttfs['p50']:.0f}/{ttfs['p95']:.0f} ms (p50/p95 of {ttfs['n']})" if ttfs.get("n") else "-"
    why = f": {'; '.join(verdict.reasons)}" if verdict.reasons else ""
    return (
        f"{found['load']['channels']:>3} channels  {verdict.answer.value:<3}  time to final text {times}; "
        f"{verdict.limiting}{why}"
    )
