"""Limits for one caller: requests per second, requests in progress, wrong tokens.

Counts callers by address. `http.server` checks the limits before a request is handled. Time is passed in.
Invariant: the memory for callers is limited, for any number of addresses.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from host_stt_common.rates import Bucket
from webrtc_host.errors import Overloaded

REMEMBERED_S = 86_400.0
"""How long a valid token is remembered for the address that sent it: one day."""
ADDRESSES_MAX = 10_000
"""The number of addresses that are remembered. The one that was silent for longest is dropped first."""


@dataclass(frozen=True, slots=True)
class LimitsOfCallers:
    """requests_per_s: of one address, which may also send those of `burst_s` idle seconds at once."""

    requests_per_s: float = 100.0
    burst_s: float = 10.0
    in_hand_per_address: int = 1100
    in_hand: int = 4000
    guesses_per_min: float = 20.0  # wrong tokens


class Allowance:
    """A token bucket for each key. The key that was not used for longest is dropped first."""

    def __init__(self, per_s: float, most: float, keys_max: int = ADDRESSES_MAX) -> None:
        self._per_s = per_s
        self._most = most
        self._keys_max = keys_max
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def wait_s(self, key: str, now_s: float) -> float:
        """Seconds until one more is allowed; 0 when it is allowed now."""
        return self._of(key).wait_s(1, now_s)

    def take(self, key: str, now_s: float) -> float:
        """Count one more if it is allowed, and return 0; otherwise return the seconds to wait."""
        bucket = self._of(key)
        if not bucket.take(1, now_s):
            return bucket.wait_s(1, now_s)
        self._buckets[key] = bucket
        self._buckets.move_to_end(key)
        while len(self._buckets) > self._keys_max:
            self._buckets.popitem(last=False)
        return 0.0

    def _of(self, key: str) -> Bucket:
        """The bucket of this key. A new bucket is kept only after something was taken from it."""
        return self._buckets.get(key) or Bucket(self._per_s, self._most)


class CallerLimits:
    """The limits of the whole server."""

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
        """Counts a request, socket or stream while it is in progress. Raises Overloaded 429 or 503."""
        config = self.config
        if (wait_s := self._requests.take(address, now_s)) > 0:
            raise self._refusal(
                "too_many_requests",
                f"{address} sends more than {config.requests_per_s:g} requests per second "
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
                f"{self._total} requests and streams are open, and this server accepts no more "
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
        """Note that this address has sent the valid token with this digest."""
        self._right[address, digest] = now_s
        self._right.move_to_end((address, digest))
        while len(self._right) > ADDRESSES_MAX:
            self._right.popitem(last=False)

    def is_remembered(self, address: str, digest: bytes, now_s: float) -> bool:
        """Whether this address has sent the token within the last day.

        If so, wrong tokens from the same address do not lock the token out.
        """
        seen_s = self._right.get((address, digest))
        return seen_s is not None and now_s - seen_s <= REMEMBERED_S

    def check_guess(self, address: str, now_s: float) -> None:
        """Raises Overloaded 429 after too many wrong tokens; then a new valid token is refused too."""
        if (wait_s := self._guesses.wait_s(address, now_s)) > 0:
            message = f"too many wrong tokens came from {address}"
            raise self._refusal("too_many_guesses", message, wait_s, 429)

    def count_guess(self, address: str, now_s: float) -> None:
        """Count a wrong token."""
        self._guesses.take(address, now_s)

    def statistics(self) -> dict[str, float]:
        return {"in_hand": self._total, "refused": self.refused}

    def _refusal(self, code: str, message: str, wait_s: float, status: int) -> Overloaded:
        self.refused += 1
        return Overloaded(code, message, retry_after_s=max(1.0, wait_s), status=status)
