"""Limit costly work (exports, uploads, recordings) to a number of places; one caller gets at most half.

Pure. Invariant: a caller that uses half of the places leaves the other half to others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from host_stt_common.callers import LOOPBACK


class NoPlace(Exception):
    """No place is free. held: how many places the caller itself uses (is_own_share), or all callers."""

    def __init__(self, held: int, is_own_share: bool) -> None:
        super().__init__(f"{held} places are taken")
        self.held = held
        self.is_own_share = is_own_share

    @property
    def who(self) -> str:
        """For an error text: whose work uses the places."""
        return "from your address" if self.is_own_share else "from all callers"


def share_of(key: str, total: int) -> int:
    """How many of `total` places one caller may use: half, at least one.

    `key` is `callers.caller_key` of the address. A caller on this machine itself may use all places, because
    no other caller shares it.
    """
    return total if key == LOOPBACK else max(1, total // 2)


class Places:
    def __init__(self, total: int) -> None:
        self.total = total
        self._taken: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._taken.total()

    @property
    def callers(self) -> int:
        """Callers that hold a place."""
        return len(self._taken)

    @contextmanager
    def take(self, key: str) -> Iterator[None]:
        """Use a place inside a `with` block. Raises NoPlace."""
        if len(self) >= self.total:
            raise NoPlace(len(self), is_own_share=False)
        if self._taken[key] >= share_of(key, self.total):
            raise NoPlace(self._taken[key], is_own_share=True)
        self._taken[key] += 1
        try:
            yield
        finally:
            self._taken[key] -= 1
            if not self._taken[key]:
                del self._taken[key]
