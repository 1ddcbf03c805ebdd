"""The helper that waits for what no event announces."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

from tests.support.polling import until, until_blocking


def true_at(attempt: int) -> Callable[[], int]:
    """0 until it is asked for the `attempt`th time, then the number of the attempt."""
    attempts = count(1)

    def value() -> int:
        now = next(attempts)
        return now if now >= attempt else 0

    return value


async def test_what_becomes_true_is_returned() -> None:
    later = true_at(3)

    async def asked() -> int:
        return later()

    assert await until(true_at(3)) == await until(asked) == until_blocking(true_at(3)) == 3


async def test_a_failure_says_what_did_not_happen_and_the_last_value() -> None:
    with pytest.raises(AssertionError, match=r"not within 0 s: three words \(last value: \[\]\)"):
        await until(list, 0, "three words")
    with pytest.raises(AssertionError, match=r"test_polling\.py:\d+ \(last value: 0\)"):
        until_blocking(lambda: 0, 0)


async def test_a_condition_that_fails_ends_the_waiting() -> None:
    with pytest.raises(ZeroDivisionError):
        await until(lambda: 1 / 0)
