"""Which windows are decoded next. Pure: no thread, no clock, no model; `now_s` comes from the caller.

Owns the waiting windows and the three rules of the house: finals before interims, finals never dropped,
a newer interim of a channel takes the place of the older. Invariant: every ticket fed comes out exactly
once, in a batch, as refused, or from flush or forget.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from host_stt.contract import Priority, Window, WindowError


@dataclass(frozen=True, slots=True)
class PlannerConfig:
    batch_max: int = 1  # windows per call of the engine
    queue_finals: int = 256
    queue_interims: int = 256  # channels


@dataclass(frozen=True, slots=True)
class Ticket:
    """A window waiting. `number` is the pool's own: ids of different sources may be equal."""

    number: int
    source: str  # the connection it came by; channels of different sources are different channels
    window: Window
    arrived_s: float

    @property
    def lane(self) -> tuple[str, str]:
        return self.source, self.window.channel

    def is_late(self, now_s: float) -> bool:
        return (now_s - self.arrived_s) * 1000 > self.window.deadline_ms


@dataclass(frozen=True, slots=True)
class Refused:
    """A ticket that will not be decoded, and the answer to send for it."""

    ticket: Ticket
    answer: WindowError


@dataclass(frozen=True, slots=True)
class Batch:
    tickets: tuple[Ticket, ...]
    refused: tuple[Refused, ...]


@dataclass(frozen=True, slots=True)
class PlannerStatistics:
    finals: int
    interims: int
    finals_max: int
    interims_max: int
    shed: int  # since the start
    overloaded: int


class Planner:
    def __init__(self, config: PlannerConfig) -> None:
        self._config = config
        self._finals: deque[Ticket] = deque()
        self._interims: dict[tuple[str, str], Ticket] = {}  # by lane, oldest first
        self._shed = 0
        self._overloaded = 0

    def feed(self, ticket: Ticket, now_s: float) -> list[Refused]:
        """Take a window in; returns those that are refused for it, the window itself perhaps."""
        if ticket.window.priority is Priority.FINAL:
            return self._feed_final(ticket)
        refused = []
        if older := self._interims.pop(ticket.lane, None):
            refused.append(self._shed_one(older, "a newer interim of its channel took its place"))
        elif len(self._interims) >= self._config.queue_interims:
            oldest = self._interims.pop(next(iter(self._interims)))
            refused.append(self._shed_one(oldest, "too many channels are waiting"))
        self._interims[ticket.lane] = ticket
        return refused

    def take(self, now_s: float) -> Batch:
        """The next windows to decode, all of one priority; what is too late by now is refused."""
        tickets: list[Ticket] = []
        refused: list[Refused] = []
        waiting_finals = bool(self._finals)
        while len(tickets) < self._config.batch_max:
            ticket = self._next_final() if waiting_finals else self._next_interim()
            if ticket is None:
                if tickets or not waiting_finals:
                    break
                waiting_finals = False  # all finals were late
            elif ticket.is_late(now_s):
                refused.append(
                    self._shed_one(ticket, f"its deadline of {ticket.window.deadline_ms} ms passed")
                )
            else:
                tickets.append(ticket)
        return Batch(tuple(tickets), tuple(refused))

    def forget(self, source: str) -> list[Ticket]:
        """Take out everything of a source that is gone."""
        gone = [ticket for ticket in self._waiting() if ticket.source == source]
        self._finals = deque(ticket for ticket in self._finals if ticket.source != source)
        self._interims = {lane: t for lane, t in self._interims.items() if t.source != source}
        return gone

    def flush(self) -> list[Ticket]:
        """Take out everything."""
        waiting = self._waiting()
        self._finals.clear()
        self._interims.clear()
        return waiting

    @property
    def is_empty(self) -> bool:
        return not self._finals and not self._interims

    def statistics(self) -> PlannerStatistics:
        return PlannerStatistics(
            finals=len(self._finals),
            interims=len(self._interims),
            finals_max=self._config.queue_finals,
            interims_max=self._config.queue_interims,
            shed=self._shed,
            overloaded=self._overloaded,
        )

    def _feed_final(self, ticket: Ticket) -> list[Refused]:
        if len(self._finals) >= self._config.queue_finals:
            self._overloaded += 1
            text = f"{len(self._finals)} finals are waiting; send this one again in a second"
            return [Refused(ticket, WindowError(ticket.window.id, "overloaded", text, is_retryable=True))]
        self._finals.append(ticket)
        interim = self._interims.get(ticket.lane)
        if interim is None or _end(interim.window) > _end(ticket.window):
            return []
        del self._interims[ticket.lane]
        return [self._shed_one(interim, "a final of the same speech came")]

    def _next_final(self) -> Ticket | None:
        return self._finals.popleft() if self._finals else None

    def _next_interim(self) -> Ticket | None:
        if not self._interims:
            return None
        return self._interims.pop(next(iter(self._interims)))

    def _shed_one(self, ticket: Ticket, why: str) -> Refused:
        self._shed += 1
        is_final = ticket.window.priority is Priority.FINAL
        return Refused(ticket, WindowError(ticket.window.id, "shed", why, is_retryable=is_final))

    def _waiting(self) -> list[Ticket]:
        return [*self._finals, *self._interims.values()]


def _end(window: Window) -> int:
    return window.start_sample + len(window.samples)
