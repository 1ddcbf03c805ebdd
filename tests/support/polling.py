"""Wait for changes that no event reports: counters, processes, responses over the network.

The time limit is long on purpose: only a failing test reaches it, not a slow machine.
Where an event, a future or a clock can be waited for, use that instead.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar, overload

WITHIN_S = 30.0
PAUSE_MIN_S, PAUSE_MAX_S = 0.001, 0.05
"""What is true at once is seen at once; what takes seconds is asked for 20 times a second."""

T = TypeVar("T")


@overload
async def until(
    condition: Callable[[], Awaitable[T | None]], within_s: float = WITHIN_S, what: str = ""
) -> T: ...
@overload
async def until(condition: Callable[[], T | None], within_s: float = WITHIN_S, what: str = "") -> T: ...
async def until(condition: Callable[[], Any], within_s: float = WITHIN_S, what: str = "") -> Any:
    """Call `condition`, a plain or an async function, until it returns a true value; return that value.

    within_s: seconds until the test fails. what: the condition in words, for the text of the failure.
    Raises AssertionError with `what`, or with the place of `condition`, and the last value.
    """
    deadline_s = time.monotonic() + within_s
    for pause_s in _pauses():
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if time.monotonic() > deadline_s:
            raise AssertionError(_failure(condition, within_s, what, value))
        await asyncio.sleep(pause_s)


def until_blocking(condition: Callable[[], T | None], within_s: float = WITHIN_S, what: str = "") -> T:
    """As `until`, and blocks: for tests without an event loop, or whose event loop must stand still."""
    deadline_s = time.monotonic() + within_s
    for pause_s in _pauses():
        if value := condition():
            return value
        if time.monotonic() > deadline_s:
            break
        time.sleep(pause_s)
    raise AssertionError(_failure(condition, within_s, what, value))


def _pauses() -> Iterator[float]:
    pause_s = PAUSE_MIN_S
    while True:
        yield pause_s
        pause_s = min(pause_s * 1.3, PAUSE_MAX_S)


def _failure(condition: Callable[[], Any], within_s: float, what: str, value: object) -> str:
    code = getattr(condition, "__code__", None)
    place = f"{code.co_filename}:{code.co_firstlineno}" if code else repr(condition)
    return f"not within {within_s:g} s: {what or place} (last value: {value!r})"
