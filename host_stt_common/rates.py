"""Token buckets: limit how often something may happen, per socket and per caller.

Pure; the time is passed in. Used to slow a caller (frames of audio), and to close a connection that sends too
many messages (watchers).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

FRAMES_PER_S = 800.0
"""For one socket: twice the rate of the shortest Opus packets (2.5 ms) in real time."""
FRAMES_PER_S_OF_ADDRESS = 6600.0
"""For all sockets of one address: 64 channels of 10 ms, or 16 of 2.5 ms. A fifth of a core or less."""
FRAMES_PER_TURN = 8
"""Frames of one socket that are read before other tasks run. A busy event loop makes few turns a second; with
one frame in each, it would read less than real-time audio, and see no ping behind it.
"""
BURST_S = 2.0  # what may arrive at once after the network was blocked
FLOOD_S = 60.0
"""A socket that is slowed for this long without a pause does not send real-time audio; it is closed."""
MESSAGES_MAX = 20
MESSAGES_WITHIN_S = 10.0
"""For a caller that only receives, such as a watcher; with more, its connection ends with close code 1008."""


class Bucket:
    """A token bucket. It starts full; `per_s` tokens are added each second, up to `burst` tokens.

    Time may be in any other unit, such as samples, if the rate is in the same unit. Time that goes back adds
    no tokens.
    Invariant: in any time t, at most `burst + per_s * t` tokens are taken without a wait.
    """

    __slots__ = ("_as_of_s", "_burst", "_left", "per_s")

    def __init__(self, per_s: float, burst: float) -> None:
        self.per_s = per_s
        self._burst = burst
        self._left = burst
        self._as_of_s: float | None = None

    def wait_s(self, count: float, now_s: float) -> float:
        """How long until the bucket holds `count` tokens; 0 when it does. Takes none."""
        self._fill(now_s)
        return max(0.0, (count - self._left) / self.per_s)

    def take(self, count: float, now_s: float) -> bool:
        """Take `count` tokens, or none when there are fewer."""
        self._fill(now_s)
        if self._left < count:
            return False
        self._left -= count
        return True

    def spend(self, count: float, now_s: float) -> float:
        """Take `count` tokens even when there are fewer. Returns the seconds until the debt is paid."""
        self._fill(now_s)
        self._left -= count
        return max(0.0, -self._left / self.per_s)

    def _fill(self, now_s: float) -> None:
        if self._as_of_s is None:
            self._as_of_s = now_s
        elif now_s > self._as_of_s:
            self._left = min(self._burst, self._left + (now_s - self._as_of_s) * self.per_s)
            self._as_of_s = now_s


def watcher_messages() -> Bucket:
    """For the messages of one watcher; each takes one token."""
    return Bucket(MESSAGES_MAX / MESSAGES_WITHIN_S, MESSAGES_MAX)


@dataclass(slots=True)
class _Shared:
    bucket: Bucket
    users: int = 0


class FrameRates:
    """Limits for audio frames: each socket has its own rate, and all sockets of an address share one."""

    def __init__(self, of_socket: float = FRAMES_PER_S, of_address: float = FRAMES_PER_S_OF_ADDRESS) -> None:
        self._of_socket = of_socket
        self._of_address = of_address
        self.flood_s = FLOOD_S
        self._shared: dict[str, _Shared] = {}

    def __len__(self) -> int:
        """The number of addresses with an open socket."""
        return len(self._shared)

    @contextmanager
    def socket(self, caller: str) -> Iterator[FrameRate]:
        """The limits of one socket of this caller (`callers.caller_key`); use `with` while it is open."""
        shared = self._shared.setdefault(
            caller, _Shared(Bucket(self._of_address, BURST_S * self._of_address))
        )
        shared.users += 1
        try:
            own = Bucket(self._of_socket, BURST_S * self._of_socket)
            yield FrameRate(own, shared.bucket, self.flood_s)
        finally:
            shared.users -= 1
            if not shared.users:
                self._shared.pop(caller, None)


class FrameRate:
    """The limits of one socket."""

    def __init__(self, own: Bucket, shared: Bucket, flood_s: float) -> None:
        self._own = own
        self._shared = shared
        self._flood_s = flood_s
        self._slowed_since_s: float | None = None
        self._left_in_turn = FRAMES_PER_TURN
        self.is_flood = False

    def is_turn_over(self) -> bool:
        """Whether other tasks should run before the next frame is read. Called once for each frame."""
        self._left_in_turn -= 1
        if self._left_in_turn > 0:
            return False
        self._left_in_turn = FRAMES_PER_TURN
        return True

    def wait_s(self, now_s: float) -> float:
        """A frame was received: how many seconds to wait before the next one is read."""
        own_s = self._own.spend(1, now_s)
        if not own_s:
            self._slowed_since_s = None
        elif self._slowed_since_s is None:
            self._slowed_since_s = now_s
        elif now_s - self._slowed_since_s > self._flood_s:
            self.is_flood = True
        return max(own_s, self._shared.spend(1, now_s))
