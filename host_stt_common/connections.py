"""Limit the TCP connections of a port, from the moment one is accepted until it is closed.

Pure except for closing: the clock is passed in, and a connection is closed through its `close`. Holds the
limits that apply before a caller is known: how many connections, how long a request head may take, and how
long a caller may send and take nothing while a request or a response is not complete. Invariants: the number
of counted connections is limited. When the limit is reached, the oldest connection without a request is
closed for the newest. A connection with a request in progress is never closed for another.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from host_stt_common.callers import LOOPBACK, caller_key

logger = logging.getLogger(__name__)

REPORT_S = 10.0
"""Closed connections are logged in one line per this time, because thousands may be closed in a second."""
IDLE_CHECKED_MAX = 64
"""At most so many idle connections are checked for one that has taken all of its responses."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Checked when created. Times in seconds of the clock that is passed in."""

    total: int = 5000  # open at the same time, from all addresses
    strangers_per_address: int = 128  # without a valid token yet; loopback and trusted proxies have no limit
    descriptors: int = 1 << 30  # file descriptors of connections and everything else in this process
    silent_s: float = 30.0  # without a first byte; browsers open connections before they need them
    head_s: float = 15.0  # from the first byte to the end of the request head, with the TLS handshake
    stall_s: float = 30.0  # in which progress_bytes must move while a body or a response is unfinished
    progress_bytes: int = 4096  # single bytes now and then do not count as progress
    unsent_bytes: int = 256 * 1024 * 1024  # responses that wait in memory, all together

    def __post_init__(self) -> None:
        if min(self.total, self.strangers_per_address, self.descriptors, self.unsent_bytes) < 1:
            raise ValueError("every limit of connections must be at least 1")
        if min(self.silent_s, self.head_s, self.stall_s) <= 0:
            raise ValueError("a time limit of connections must be longer than 0 s")


class Stage(Enum):
    SILENT = "silent"  # accepted, no byte received
    HEAD = "head"  # a request head has begun and is not complete
    BUSY = "busy"  # a request is being served; also a stream or a WebSocket
    IDLE = "idle"  # kept open between two requests


class Wire(Protocol):
    """What `Connections` needs to know about a connection while a request is served."""

    def unsent_bytes(self) -> int:
        """Bytes written and not yet given to the operating system."""
        ...

    def owed_bytes(self) -> int:
        """Bytes written and not yet acknowledged by the caller's system: unsent, or on the way."""
        ...

    def taken_bytes(self) -> int:
        """A count that grows with every byte that the caller has taken."""
        ...

    def is_waiting_for_body(self) -> bool:
        """True while a request's body is being read and is not complete."""
        ...

    def body_stalled(self) -> None:
        """Raise an error in the handler that reads the body: no more of it arrives."""
        ...


class Place:
    """One connection. `close` ends it at once. The code with the socket calls `close_with` and `connect`."""

    __slots__ = ("close", "is_known", "is_limited", "key", "received", "since_s", "stage", "wire", "_marks")

    def __init__(self, key: str, is_limited: bool, now_s: float, close: Callable[[], None]) -> None:
        self.key = key
        self.is_limited = is_limited
        self.close = close
        self.stage = Stage.SILENT
        self.since_s = now_s
        self.is_known = False
        self.received = 0
        self.wire: Wire | None = None
        self._marks: dict[str, tuple[int, float]] = {}

    def close_with(self, close: Callable[[], None]) -> None:
        """From now on the connection is closed by this function: it was handed to other code."""
        self.close = close

    def connect(self, close: Callable[[], None], wire: Wire) -> None:
        """The connection has its transport, so bytes in both directions can be counted."""
        self.close, self.wire = close, wire

    def has_stalled(self, way: str, count: int, now_s: float, limits: ConnectionLimits) -> bool:
        """True if fewer than progress_bytes moved in this direction for stall_s. Call it repeatedly.

        way: "in" or "out". count: a number that grows with every byte moved.
        """
        before, since_s = self._marks.setdefault(way, (count, now_s))
        if count - before >= limits.progress_bytes:
            self._marks[way] = (count, now_s)
            return False
        return now_s - since_s >= limits.stall_s

    def restart_stall(self, way: str) -> None:
        """Restart the time limit of this direction: nothing is unfinished."""
        self._marks.pop(way, None)


class Connections:
    """All connections of one port."""

    def __init__(
        self,
        limits: ConnectionLimits,
        *,
        clock: Callable[[], float],
        is_trusted: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """is_trusted: whether an address is a trusted proxy, which sends requests for many callers."""
        self.limits = limits
        self._clock = clock
        self._is_trusted = is_trusted
        self._places: dict[Place, None] = {}
        self._waiting: dict[Place, None] = {}  # SILENT and HEAD, the oldest first
        self._idle: dict[Place, None] = {}  # the longest idle first
        self._others = 0  # file descriptors in use that are not these connections
        self._strangers: Counter[str] = Counter()
        self._closed: Counter[str] = Counter()
        self._reported_s = clock() - REPORT_S
        self.totals: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, place: Place) -> bool:
        return place in self._places

    def admit(self, address: str, close: Callable[[], None]) -> Place | None:
        """Count an accepted connection. None: there is no space, not even by closing another connection.

        close: ends the connection at once.
        """
        key = caller_key(address)
        place = Place(key, key != LOOPBACK and not self._is_trusted(address), self._clock(), close)
        is_full = len(self._places) >= min(self.limits.total, self.limits.descriptors - self._others)
        has_share = not place.is_limited or self._strangers[key] < self.limits.strangers_per_address
        if not has_share and not self._close_one(self._waiting_or_idle(key)):
            # An address over its share may only replace one of its own connections, never another caller's.
            self._note("refused, their address has too many open")
            return None
        if is_full and has_share and not self._close_one(self._waiting_or_idle()):
            self._note("refused, the server is full")
            return None
        self._places[place] = None
        self._waiting[place] = None
        self._strangers[key] += 1
        return place

    def leave(self, place: Place) -> None:
        """The connection is closed. Idempotent."""
        if place not in self._places:
            return
        del self._places[place]
        self._waiting.pop(place, None)
        self._idle.pop(place, None)
        if not place.is_known:
            self._uncount_stranger(place.key)

    def count_received(self, place: Place, count: int) -> None:
        """Count received bytes. The first byte after silence begins a request head."""
        place.received += count
        if place.stage in (Stage.SILENT, Stage.IDLE):
            self._enter(place, Stage.HEAD)

    def request_began(self, place: Place) -> None:
        """A request head is complete: the request is being served."""
        self._enter(place, Stage.BUSY)

    def request_ended(self, place: Place) -> None:
        """The request has been served; the connection may send another one."""
        self._enter(place, Stage.IDLE)

    def mark_known(self, place: Place) -> None:
        """The caller is known: it sent a valid token, or this server requires none."""
        if place.is_known or place not in self._places:
            return
        place.is_known = True
        self._uncount_stranger(place.key)

    def count_others(self, in_use: int) -> None:
        """Update the number of other descriptors. in_use: all of this process, connections included."""
        self._others = max(0, in_use - len(self._places))

    def sweep(self) -> None:
        """Close connections that are over a time limit. Call it about once a second."""
        now_s, limits = self._clock(), self.limits
        for place in list(self._waiting):
            if place.stage is Stage.SILENT and now_s - place.since_s >= limits.silent_s:
                self._close(place, f"silent for {limits.silent_s:g} s")
            elif place.stage is Stage.HEAD and now_s - place.since_s >= limits.head_s:
                self._close(place, f"request head took over {limits.head_s:g} s")
        unsent = 0
        for place in list(self._places):
            if place.wire is not None and place in self._places:
                unsent += self._check_stalls(place, place.wire, now_s)
        if unsent > limits.unsent_bytes:
            self._free_memory(unsent)
        self._report(now_s)

    def statistics(self) -> dict[str, float]:
        return {
            "open": len(self._places),
            "strangers": sum(self._strangers.values()),
            "closed": self.totals["closed"],
            "refused": self.totals["refused"],
        }

    def _enter(self, place: Place, stage: Stage) -> None:
        if place not in self._places or place.stage is stage:
            return
        place.stage = stage
        place.since_s = self._clock()
        self._waiting.pop(place, None)
        self._idle.pop(place, None)
        if stage is Stage.HEAD:
            self._waiting[place] = None
        elif stage is Stage.IDLE:
            self._idle[place] = None

    def _waiting_or_idle(self, key: str | None = None) -> Iterable[Place]:
        """Candidates for closing, in order. key: only the strangers of that address."""
        yield from (one for one in self._waiting if key is None or (one.key == key and not one.is_known))
        for looked_at, place in enumerate(self._idle):
            if looked_at >= IDLE_CHECKED_MAX:
                return
            is_meant = key is None or (place.key == key and not place.is_known)
            if is_meant and (place.wire is None or not place.wire.owed_bytes()):
                yield place

    def _close_one(self, candidates: Iterable[Place]) -> bool:
        place = next(iter(candidates), None)
        if place is None:
            return False
        self._close(place, "made room for newer ones")
        return True

    def _check_stalls(self, place: Place, wire: Wire, now_s: float) -> int:
        """Apply the stall limits to one connection; returns its unsent bytes.

        A caller that takes nothing is closed. A body that does not arrive raises BodyStalled in its handler.
        """
        if not wire.owed_bytes():
            place.restart_stall("out")
        elif place.has_stalled("out", wire.taken_bytes(), now_s, self.limits):
            self._close(place, f"took nothing of the response for {self.limits.stall_s:g} s")
            return 0
        if place.stage is not Stage.BUSY or not wire.is_waiting_for_body():
            place.restart_stall("in")
        elif place.has_stalled("in", place.received, now_s, self.limits):
            place.restart_stall("in")
            self._note(f"sent nothing of the body for {self.limits.stall_s:g} s")
            wire.body_stalled()
        return wire.unsent_bytes()

    def _free_memory(self, unsent: int) -> None:
        """Close the connections with the most unsent bytes until the rest is within the limit."""
        sizes = [(p.wire.unsent_bytes(), p) for p in self._places if p.wire is not None]
        for size, place in sorted(sizes, key=lambda pair: pair[0], reverse=True):
            if unsent <= self.limits.unsent_bytes:
                return
            self._close(place, "too much of the response waited in memory")
            unsent -= size

    def _close(self, place: Place, why: str) -> None:
        self._note(why)
        self.leave(place)
        place.close()

    def _uncount_stranger(self, key: str) -> None:
        self._strangers[key] -= 1
        if not self._strangers[key]:
            del self._strangers[key]

    def _note(self, why: str) -> None:
        self._closed[why] += 1
        self.totals["refused" if why.startswith("refused") else "closed"] += 1

    def _report(self, now_s: float) -> None:
        if not self._closed or now_s - self._reported_s < REPORT_S:
            return
        self._reported_s = now_s
        reasons = "; ".join(f"{count} {why}" for why, count in sorted(self._closed.items()))
        self._closed.clear()
        logger.info("connections closed: %s (%d are open)", reasons, len(self._places))
