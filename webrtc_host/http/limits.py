"""How much one caller may ask: requests a second, requests in hand, wrong tokens.

Owns the counting and its bounds; `http` asks before anything else is done for a caller. Time is passed in.
Invariant: what is remembered of callers is bounded, whatever addresses they come from.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from host_stt_common.rates import Bucket
from webrtc_host.errors import Overloaded

REMEMBERED_S = 86_400.0
"""A token that was right from an address stays known there for a day."""
ADDRESSES_MAX = 10_000
"""Remembered at a time; the one not heard of for longest is forgotten, with a full allowance."""


@dataclass(frozen=True, slots=True)
class LimitsOfCallers:
    """requests_per_s: of one address; it may save up `burst_s` seconds of them."""

    requests_per_s: float = 100.0
    burst_s: float = 10.0
    in_hand_per_address: int = 1100
    in_hand: int = 4000
    guesses_per_min: float = 20.0  # wrong tokens


class Allowance:
    """A bucket for each key; the key not used for longest is forgotten first."""

    def __init__(self, per_s: float, most: float, keys_max: int = ADDRESSES_MAX) -> None:
        self._per_s = per_s
        self._most = most
        self._keys_max = keys_max
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def wait_s(self, key: str, now_s: float) -> float:
        """How long until one more is allowed; 0 when it is."""
        return self._of(key).wait_s(1, now_s)

    def take(self, key: str, now_s: float) -> float:
        """One more, if it is allowed: 0, else the seconds to wait."""
        bucket = self._of(key)
        if not bucket.take(1, now_s):
            return bucket.wait_s(1, now_s)
        self._buckets[key] = bucket
        self._buckets.move_to_end(key)
        while len(self._buckets) > self._keys_max:
            self._buckets.popitem(last=False)
        return 0.0

    def _of(self, key: str) -> Bucket:
        """The bucket of this key; a new one is remembered only once something was taken from it."""
        return self._buckets.get(key) or Bucket(self._per_s, self._most)


class CallerLimits:
    """Of the whole server."""

    def __init__(self, config: LimitsOfCallers) -> None:
        self.config = config
        self._requests = Allowance(config.requests_per_s, config.requests_per_s * config.burst_s)
        self._guesses = Allowance(config.guesses_per_min / 60, config.guesses_per_min)
        self._right: OrderedDict[tuple[str, bytes], float] = OrderedDict()  # (caller, digest) -> last seen
        self._in_hand: Counter[str] = Counter()
        self._total = 0
        self.refused = 0

    @contextmanager
    def request(self, address: str, now_s: float) -> Iterator[None]:
        """While a request of this address is in hand, sockets and streams too. Raises Overloaded 429, 503."""
        config = self.config
        if (wait_s := self._requests.take(address, now_s)) > 0:
            raise self._refusal(
                "too_many_requests",
                f"more than {config.requests_per_s:g} requests a second come from {address} "
                "(limits.requests_per_s)",
                wait_s,
                429,
            )
        if self._in_hand[address] >= config.in_hand_per_address:
            raise self._refusal(
                "too_many_connections",
                f"{address} has {self._in_hand[address]} requests and streams open already "
                "(limits.connections_per_address)",
                5.0,
                429,
            )
        if self._total >= config.in_hand:
            raise self._refusal(
                "server_full",
                f"{self._total} requests and streams are open, which is what this server takes "
                "(limits.connections)",
                5.0,
                503,
            )
        self._in_hand[address] += 1
        self._total += 1
        try:
            yield
        finally:
            self._total -= 1
            self._in_hand[address] -= 1
            if not self._in_hand[address]:
                del self._in_hand[address]

    def remember(self, address: str, digest: bytes, now_s: float) -> None:
        """The token with this digest was right from this address."""
        self._right[address, digest] = now_s
        self._right.move_to_end((address, digest))
        while len(self._right) > ADDRESSES_MAX:
            self._right.popitem(last=False)

    def is_remembered(self, address: str, digest: bytes, now_s: float) -> bool:
        """Whether it was right from this address within the last day: then wrong tokens that others send from
        there do not lock it out.
        """
        seen_s = self._right.get((address, digest))
        return seen_s is not None and now_s - seen_s <= REMEMBERED_S

    def check_guess(self, address: str, now_s: float) -> None:
        """Raises Overloaded 429 after too many wrong tokens; then no new one is let in, right or wrong."""
        if (wait_s := self._guesses.wait_s(address, now_s)) > 0:
            message = f"too many wrong tokens came from {address}"
            raise self._refusal("too_many_guesses", message, wait_s, 429)

    def count_guess(self, address: str, now_s: float) -> None:
        """A token was wrong."""
        self._guesses.take(address, now_s)

    def statistics(self) -> dict[str, float]:
        return {"in_hand": self._total, "refused": self.refused}

    def _refusal(self, code: str, message: str, wait_s: float, status: int) -> Overloaded:
        self.refused += 1
        return Overloaded(code, message, retry_after_s=max(1.0, wait_s), status=status)
