"""Every TCP connection of a port, counted from the moment it is accepted until it is gone.

Pure but for the closing: the clock is passed in, and a connection is closed through its `close`. Owns the
limits that hold before a caller is known: how many connections, how long a request's head may take, and how
long a caller may neither take nor send a byte while something is owed.
Invariants: what is counted is bounded; when there is no room, the oldest connection that has asked for
nothing yet makes room for the newest; no connection that is being served is closed for another.
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
"""Closed connections are told in one line for so long: thousands a second can be opened."""
LOOK_AT_MOST = 64
"""Idle connections looked at for one that owes nothing."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Checked at birth. Times in seconds of the clock that is passed in."""

    total: int = 5000  # open at a time, of all addresses
    strangers_per_address: int = 128  # that have not shown a token; loopback and own proxies: no such limit
    descriptors: int = 1 << 30  # for connections and everything else that this process has open
    silent_s: float = 30.0  # without a first byte; browsers open connections ahead of need
    head_s: float = 15.0  # from its first byte to the end of a request's head, TLS handshake included
    stall_s: float = 30.0  # in which progress_bytes must move when something is owed
    progress_bytes: int = 4096  # a byte now and then is no progress
    unsent_bytes: int = 256 * 1024 * 1024  # answers that wait in memory to be taken, all together

    def __post_init__(self) -> None:
        if min(self.total, self.strangers_per_address, self.descriptors, self.unsent_bytes) < 1:
            raise ValueError("every limit of connections is at least 1")
        if min(self.silent_s, self.head_s, self.stall_s) <= 0:
            raise ValueError("every time limit of connections is over 0 s")


class Stage(Enum):
    SILENT = "silent"  # accepted, nothing heard
    HEAD = "head"  # a request's head has begun and has not ended
    BUSY = "busy"  # a request is being served, a stream or a socket too
    IDLE = "idle"  # kept alive between two requests


class Wire(Protocol):
    """What is asked of a connection's two ends while a request is served."""

    def unsent_bytes(self) -> int:
        """Written and not yet handed to the system."""
        ...

    def owed_bytes(self) -> int:
        """Written and not yet taken by the caller's system: what is unsent, and what is on its way."""
        ...

    def taken_bytes(self) -> int:
        """A count that grows with every byte the caller has taken."""
        ...

    def is_waiting_for_body(self) -> bool:
        """A request's body is being read and has not ended."""
        ...

    def body_stalled(self) -> None:
        """Tell whoever reads the body that no more comes."""
        ...


class Place:
    """One connection. `close` ends it at once; whoever holds the connection keeps it up to date."""

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

    def has_stalled(self, way: str, count: int, now_s: float, limits: ConnectionLimits) -> bool:
        """Whether fewer than progress_bytes have moved this way for stall_s. Asked again and again."""
        before, since_s = self._marks.setdefault(way, (count, now_s))
        if count - before >= limits.progress_bytes:
            self._marks[way] = (count, now_s)
            return False
        return now_s - since_s >= limits.stall_s

    def moves(self, way: str) -> None:
        """Nothing is owed this way."""
        self._marks.pop(way, None)


class Connections:
    """All of one port."""

    def __init__(
        self,
        limits: ConnectionLimits,
        *,
        clock: Callable[[], float],
        is_trusted: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """is_trusted: an address of a proxy of our own, which speaks for many callers."""
        self.limits = limits
        self._clock = clock
        self._is_trusted = is_trusted
        self._places: dict[Place, None] = {}
        self._waiting: dict[Place, None] = {}  # SILENT and HEAD, the oldest first
        self._idle: dict[Place, None] = {}  # the longest idle first
        self._others = 0  # descriptors in use that are no connections of ours
        self._strangers: Counter[str] = Counter()
        self._closed: Counter[str] = Counter()
        self._told_s = clock() - REPORT_S
        self.totals: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, place: Place) -> bool:
        return place in self._places

    def admit(self, address: str, close: Callable[[], None]) -> Place | None:
        """Count a connection that was accepted; None when there is no room, also by closing another.

        close: ends the connection at once.
        """
        key = caller_key(address)
        place = Place(key, key != LOOPBACK and not self._is_trusted(address), self._clock(), close)
        is_full = len(self._places) >= min(self.limits.total, self.limits.descriptors - self._others)
        has_share = not place.is_limited or self._strangers[key] < self.limits.strangers_per_address
        if not has_share and not self._make_room(self._waiting_or_idle(key)):
            self._note("refused, their address has too many open")
            return None
        if is_full and has_share and not self._make_room(self._waiting_or_idle()):
            self._note("refused, the server is full")
            return None
        self._places[place] = None
        self._waiting[place] = None
        self._strangers[key] += 1
        return place

    def leave(self, place: Place) -> None:
        """The connection is gone. Idempotent."""
        if place not in self._places:
            return
        del self._places[place]
        self._waiting.pop(place, None)
        self._idle.pop(place, None)
        if not place.is_known:
            self._forget_stranger(place.key)

    def heard(self, place: Place, count: int) -> None:
        """So many bytes came."""
        place.received += count
        if place.stage in (Stage.SILENT, Stage.IDLE):
            self._enter(place, Stage.HEAD)

    def began(self, place: Place) -> None:
        """A whole head came: a request is being served."""
        self._enter(place, Stage.BUSY)

    def ended(self, place: Place) -> None:
        """It has been served; the connection may serve another."""
        self._enter(place, Stage.IDLE)

    def know(self, place: Place) -> None:
        """The caller may call: it showed a token, or this server asks for none."""
        if place.is_known or place not in self._places:
            return
        place.is_known = True
        self._forget_stranger(place.key)

    def count_others(self, in_use: int) -> None:
        """So many descriptors this process has open, the connections among them."""
        self._others = max(0, in_use - len(self._places))

    def sweep(self) -> None:
        """Close what is over its time. To be called about once a second."""
        now_s, limits = self._clock(), self.limits
        for place in list(self._waiting):
            if place.stage is Stage.SILENT and now_s - place.since_s >= limits.silent_s:
                self._close(place, f"silent for {limits.silent_s:g} s")
            elif place.stage is Stage.HEAD and now_s - place.since_s >= limits.head_s:
                self._close(place, f"their request's head took over {limits.head_s:g} s")
        unsent = 0
        for place in list(self._places):
            if place.wire is not None and place in self._places:
                unsent += self._look_at(place, place.wire, now_s)
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
        """In the order in which they make room; with a key, the strangers of that address."""
        yield from (one for one in self._waiting if key is None or (one.key == key and not one.is_known))
        for looked_at, place in enumerate(self._idle):
            if looked_at >= LOOK_AT_MOST:
                return
            is_meant = key is None or (place.key == key and not place.is_known)
            if is_meant and (place.wire is None or not place.wire.owed_bytes()):
                yield place

    def _make_room(self, candidates: Iterable[Place]) -> bool:
        place = next(iter(candidates), None)
        if place is None:
            return False
        self._close(place, "made room for newer ones")
        return True

    def _look_at(self, place: Place, wire: Wire, now_s: float) -> int:
        """Close a caller that takes nothing; tell the reader of a body that does not come. Unsent bytes."""
        if not wire.owed_bytes():
            place.moves("out")
        elif place.has_stalled("out", wire.taken_bytes(), now_s, self.limits):
            self._close(place, f"took nothing of their answers for {self.limits.stall_s:g} s")
            return 0
        if place.stage is not Stage.BUSY or not wire.is_waiting_for_body():
            place.moves("in")
        elif place.has_stalled("in", place.received, now_s, self.limits):
            place.moves("in")
            self._note(f"sent nothing of their bodies for {self.limits.stall_s:g} s")
            wire.body_stalled()
        return wire.unsent_bytes()

    def _free_memory(self, unsent: int) -> None:
        """Close those who owe the most to memory until the rest fits."""
        sizes = [(p.wire.unsent_bytes(), p) for p in self._places if p.wire is not None]
        for size, place in sorted(sizes, key=lambda pair: pair[0], reverse=True):
            if unsent <= self.limits.unsent_bytes:
                return
            self._close(place, "had too much of their answers waiting in memory")
            unsent -= size

    def _close(self, place: Place, why: str) -> None:
        self._note(why)
        self.leave(place)
        place.close()

    def _forget_stranger(self, key: str) -> None:
        self._strangers[key] -= 1
        if not self._strangers[key]:
            del self._strangers[key]

    def _note(self, why: str) -> None:
        self._closed[why] += 1
        self.totals["refused" if why.startswith("refused") else "closed"] += 1

    def _report(self, now_s: float) -> None:
        if not self._closed or now_s - self._told_s < REPORT_S:
            return
        self._told_s = now_s
        said = "; ".join(f"{count} {why}" for why, count in sorted(self._closed.items()))
        self._closed.clear()
        logger.info("connections closed: %s (%d are open)", said, len(self._places))
