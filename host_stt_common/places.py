"""Places at costly work (exports, uploads, recordings), of which one caller never gets all.

Pure. Invariant: a caller that holds half of the places leaves the other half to others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from host_stt_common.callers import LOOPBACK


class NoPlace(Exception):
    """held: by the caller itself when its share is used up, else by all."""

    def __init__(self, held: int, is_own_share: bool) -> None:
        super().__init__(f"{held} places are taken")
        self.held = held
        self.is_own_share = is_own_share

    @property
    def who(self) -> str:
        """For an error's text: whose places they are."""
        return "from your address" if self.is_own_share else "from everybody"


def share_of(key: str, total: int) -> int:
    """How many of `total` one caller may hold: half, at least one.

    All of them for this machine itself: who works on it alone has nobody to leave places to. `key` is
    `callers.caller_key` of the address.
    """
    return total if key == LOOPBACK else max(1, total // 2)


class Places:
    def __init__(self, total: int) -> None:
        self.total = total
        self._taken: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._taken.total()

    @contextmanager
    def take(self, key: str) -> Iterator[None]:
        """Hold a place. Raises NoPlace."""
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
