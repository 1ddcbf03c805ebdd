"""The largest number of channels that holds, by doubling and then by halving.

Pure but for the runs it is given. Invariant: no number is tried twice; every one lies in the bounds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

Holds = Callable[[int], Awaitable[bool]]


async def largest(holds: Holds, first: int, most: int) -> int:
    """The largest number up to `most` for which `holds`; 0 when not even one does.

    Takes it that what holds for a number holds for any smaller one. first: where to begin.
    """
    low, high = 0, most + 1  # low holds, high does not
    trial = min(max(1, first), most)
    while True:
        if await holds(trial):
            low = trial
        else:
            high = trial
        if high - low <= 1:
            return low
        trial = min(low * 2, most) if high == most + 1 and low else (low + high) // 2
        if trial <= low:
            trial = low + 1
