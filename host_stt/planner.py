"""Planner: which waiting windows form the next batch, and what is given up first when there are too many.

Pure: no clock, no thread, no model; `now_s` comes from the caller and only grows. Owns the waiting windows
and the written order of giving up (`Load`); what a batch costs is `cost`'s.

Order of service: finals first come first served (the oldest picks its group, others of that group join);
then second readings of holes in finals (`mending`); then interims, channels served longest ago first; then
background windows (files), only while nothing live waits, and in the shortest calls while anything live may
come.

Invariants, held by property tests: a final that was let in leaves exactly once, in a batch; of a channel at
most one interim waits, the newest; every ticket that came in goes out exactly once: in a batch, refused,
forgotten or flushed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from enum import StrEnum

from host_stt.contract import Priority, Window, WindowError
from host_stt.cost import CostModel
from host_stt.ladder import Ladder, Load


class ShedReason(StrEnum):
    REPLACED = "replaced"
    FINAL_CAME = "final_came"
    STALE = "stale"
    OVERLOAD = "overload"
    FULL = "full"


SENTENCES = {
    ShedReason.REPLACED: "a newer interim of its channel took its place",
    ShedReason.FINAL_CAME: "a final of the same speech came",
    ShedReason.STALE: "it waited until it was of no use",
    ShedReason.OVERLOAD: "the engine is overloaded and decodes finals only",
    ShedReason.FULL: "too many windows are waiting; send this one again in a second",
}


@dataclass(frozen=True, slots=True)
class Group:
    """What the rows of one call share: CTranslate2 takes the options of the first row for all of them."""

    priority: Priority
    window_s: int  # rows are padded to this
    prompt_tokens: int  # before <|startoftranscript|>, the same in every row
    options: Hashable = None  # whatever else an engine cannot mix


@dataclass(frozen=True, slots=True)
class Ticket:
    """A window waiting. `number` is the pool's own: ids of different sources may be equal."""

    number: int
    source: str  # the connection it came by; channels of different sources are different channels
    window: Window
    group: Group
    arrived_s: float

    @property
    def lane(self) -> tuple[str, str]:
        return self.source, self.window.channel

    @property
    def end_sample(self) -> int:
        return self.window.start_sample + len(self.window.samples)


@dataclass(frozen=True, slots=True)
class Refused:
    """A ticket that will not be decoded, why, and the answer to send for it."""

    ticket: Ticket
    reason: ShedReason

    @property
    def answer(self) -> WindowError:
        is_interim = self.ticket.window.priority is Priority.INTERIM
        code = "overloaded" if self.reason is ShedReason.FULL and not is_interim else "shed"
        return WindowError(self.ticket.window.id, code, SENTENCES[self.reason], is_retryable=not is_interim)


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows for one call, all of one group, oldest first."""

    tickets: tuple[Ticket, ...]
    predicted_s: float

    @property
    def group(self) -> Group:
        return self.tickets[0].group


@dataclass(frozen=True, slots=True)
class PlannerConfig:
    batch_max: int = 16  # rows of one call; past 16 there is little more speed and a longer wait
    interim_batch_ms: int = 100  # what one call of interims may take: a final may wait for it
    background_batch_ms: int = 25  # the same for windows of files, while channels are live
    live_ms: int = 5_000  # for so long after a window of a channel its next one is expected
    interim_interval_ms: int = 700  # how often a channel asks while someone speaks
    interim_age_ms_max: int = 2_000  # an interim that waited longer is shed
    second_reading_age_ms_max: int = (
        3_000  # a second reading that waited longer is shed: its final's text waits for it
    )
    final_wait_ms_max: int = 500  # the oldest final waiting longer than this is overload
    climb_after_ms: int = 1_500  # overload for so long goes up one rung
    descend_after_ms: int = 5_000  # calm for so long goes down one rung
    queue_finals: int = 256
    queue_second_readings: int = 32  # of live finals
    queue_interims: int = 256  # channels
    queue_background: int = 512

    def __post_init__(self) -> None:
        if min(self.batch_max, self.interim_batch_ms, self.queue_finals, self.queue_interims) < 1:
            raise ValueError("batch_max, interim_batch_ms and the queues' bounds are at least 1")


@dataclass(frozen=True, slots=True)
class PlannerStatistics:
    finals: int
    interims: int
    background: int
    second_readings: int  # of live finals
    load: Load
    climbs: int  # rungs climbed since the start
    shed: dict[ShedReason, int]  # since the start


class Planner:
    """Feed tickets as they come, take a batch whenever a worker is free, tick about ten times a second."""

    def __init__(self, config: PlannerConfig, cost: CostModel | None = None) -> None:
        self._config = config
        self._batch_max = config.batch_max
        self.cost = cost or CostModel()
        self._finals: OrderedDict[int, Ticket] = OrderedDict()
        self._second_readings: OrderedDict[int, Ticket] = OrderedDict()  # second readings of live finals
        self._interims: OrderedDict[tuple[str, str], Ticket] = OrderedDict()  # by lane
        self._background: OrderedDict[int, Ticket] = OrderedDict()
        self._served_s: dict[tuple[str, str], float] = {}  # when a lane's interim was last planned
        self._live_s = float("-inf")  # when a final or an interim last came
        self._ladder = Ladder(config.climb_after_ms, config.descend_after_ms)
        self._shed = dict.fromkeys(ShedReason, 0)

    @property
    def load(self) -> Load:
        return self._ladder.load

    def halve_batches(self) -> int:
        """The device ran out of memory: batches are half as long from now on. Returns their new length."""
        self._batch_max = max(1, self._batch_max // 2)
        return self._batch_max

    @property
    def is_empty(self) -> bool:
        return not (self._finals or self._second_readings or self._interims or self._background)

    @property
    def is_calm(self) -> bool:
        """Nothing waits and the ladder stands at its foot: no tick is needed."""
        return self.is_empty and self.load is Load.NORMAL

    # --- in ------------------------------------------------------------------------------------

    def feed(self, ticket: Ticket) -> list[Refused]:
        """Take a ticket in; returns those that are refused for it, the ticket itself perhaps."""
        if ticket.window.priority is not Priority.BACKGROUND:
            self._live_s = max(self._live_s, ticket.arrived_s)
        match ticket.window.priority:
            case Priority.FINAL if ticket.window.is_second_reading:
                return self._feed_second_reading(ticket)
            case Priority.FINAL:
                return self._feed_final(ticket)
            case Priority.BACKGROUND:
                return self._feed_background(ticket)
            case Priority.INTERIM:
                return self._feed_interim(ticket)

    def _feed_final(self, ticket: Ticket) -> list[Refused]:
        if len(self._finals) >= self._config.queue_finals:
            return [self._refuse(ticket, ShedReason.FULL)]
        self._finals[ticket.number] = ticket
        interim = self._interims.get(ticket.lane)
        if interim is None or interim.end_sample > ticket.end_sample:
            return []
        del self._interims[ticket.lane]
        return [self._refuse(interim, ShedReason.FINAL_CAME)]

    def _feed_second_reading(self, ticket: Ticket) -> list[Refused]:
        """Words that are missing count for more than interims, but no final may come late for them."""
        if self.load is Load.FINALS_ONLY:
            return [self._refuse(ticket, ShedReason.OVERLOAD)]
        if len(self._second_readings) >= self._config.queue_second_readings:
            return [self._refuse(ticket, ShedReason.FULL)]
        self._second_readings[ticket.number] = ticket
        return []

    def _feed_background(self, ticket: Ticket) -> list[Refused]:
        """A second reading goes to the front: its recording cannot go on without it."""
        if len(self._background) >= self._config.queue_background:
            return [self._refuse(ticket, ShedReason.FULL)]
        self._background[ticket.number] = ticket
        if ticket.window.is_second_reading:
            self._background.move_to_end(ticket.number, last=False)
        return []

    def _feed_interim(self, ticket: Ticket) -> list[Refused]:
        if self.load is Load.FINALS_ONLY:
            return [self._refuse(ticket, ShedReason.OVERLOAD)]
        refused: list[Refused] = []
        if older := self._interims.pop(ticket.lane, None):
            refused.append(self._refuse(older, ShedReason.REPLACED))
        elif len(self._interims) >= self._config.queue_interims:
            _, oldest = self._interims.popitem(last=False)
            refused.append(self._refuse(oldest, ShedReason.FULL))
        self._interims[ticket.lane] = ticket
        return refused

    def forget(self, source: str) -> list[Ticket]:
        """Take out everything of a source that is gone."""
        gone = [ticket for ticket in self._waiting() if ticket.source == source]
        for ticket in gone:
            self._take_out(ticket)
        self._served_s = {lane: at for lane, at in self._served_s.items() if lane[0] != source}
        return gone

    def flush(self) -> list[Ticket]:
        """Take out everything, finals first."""
        waiting = self._waiting()
        for ticket in waiting:
            self._take_out(ticket)
        return waiting

    # --- out -----------------------------------------------------------------------------------

    def take(self, now_s: float, *, is_for_finals: bool = False) -> Batch | None:
        """The batch a free worker should decode now; None when nothing is due.

        is_for_finals: for a worker kept free for finals (a second CUDA stream).
        """
        if is_for_finals:
            return self._oldest_batch(self._finals)
        return (
            self._oldest_batch(self._finals)
            or self._oldest_batch(self._second_readings)
            or self._interims_batch(now_s)
            or self._background_batch(now_s)
        )

    def _oldest_batch(self, waiting: OrderedDict[int, Ticket]) -> Batch | None:
        """The oldest ticket and those of its group."""
        if not waiting:
            return None
        group = next(iter(waiting.values())).group
        rows = [ticket for ticket in waiting.values() if ticket.group == group]
        return self._batch(rows[: self._batch_max])

    def _interims_batch(self, now_s: float) -> Batch | None:
        due = sorted((t for t in self._interims.values() if self._is_due(t, now_s)), key=self._turn)
        if not due:
            return None
        group = due[0].group
        most = self._rows_within(self._config.interim_batch_ms, group)
        rows = [ticket for ticket in due if ticket.group == group][:most]
        for ticket in rows:
            self._served_s[ticket.lane] = now_s
        return self._batch(rows)

    def _background_batch(self, now_s: float) -> Batch | None:
        """Short beside live channels: a final that comes meanwhile waits for all of it."""
        if not self._background or self._interims:
            return None
        is_live = now_s - self._live_s < self._config.live_ms / 1000
        budget_ms = self._config.background_batch_ms if is_live else self._config.interim_batch_ms
        group = next(iter(self._background.values())).group
        rows = [ticket for ticket in self._background.values() if ticket.group == group]
        return self._batch(rows[: self._rows_within(budget_ms, group)])

    def _batch(self, rows: list[Ticket]) -> Batch:
        for ticket in rows:
            self._take_out(ticket)
        return Batch(tuple(rows), self._predict_s(rows[0].group, len(rows)))

    def _rows_within(self, budget_ms: int, group: Group) -> int:
        """The most rows predicted to fit the budget; one at least, or nothing would ever run."""
        rows, budget_s = 1, budget_ms / 1000
        while rows < self._batch_max and self._predict_s(group, rows + 1) <= budget_s:
            rows += 1
        return rows

    def _predict_s(self, group: Group, rows: int) -> float:
        return self.cost.predict_s(group.priority.is_final, group.window_s, rows)

    def _turn(self, ticket: Ticket) -> tuple[float, float]:
        return self._served_s.get(ticket.lane, float("-inf")), ticket.arrived_s

    def _is_due(self, ticket: Ticket, now_s: float) -> bool:
        if self.load < Load.SLOW_INTERIMS:
            return True
        last_s = self._served_s.get(ticket.lane, float("-inf"))
        return now_s - last_s >= 2 * self._config.interim_interval_ms / 1000

    def ended(self, batch: Batch, took_s: float) -> None:
        """A batch was decoded: what it took sizes the next ones."""
        self.cost.observe(batch.group.priority.is_final, batch.group.window_s, len(batch.tickets), took_s)

    # --- time ----------------------------------------------------------------------------------

    def on_tick(self, now_s: float) -> list[Refused]:
        """Shed what is too old and move on the ladder."""
        limit_s = self._config.interim_age_ms_max / 1000
        old = [t for t in self._interims.values() if now_s - t.arrived_s > min(limit_s, _deadline_s(t))]
        second_s = self._config.second_reading_age_ms_max / 1000
        late = [t for t in self._second_readings.values() if now_s - t.arrived_s > second_s]
        refused = [self._refuse(ticket, ShedReason.STALE) for ticket in (*old, *late)]
        for ticket in (*old, *late):
            self._take_out(ticket)
        self._ladder.on_tick(now_s, is_strained=bool(old) or self._is_strained(now_s))
        if self.load is Load.FINALS_ONLY and self._interims:
            refused += [self._refuse(ticket, ShedReason.OVERLOAD) for ticket in self._interims.values()]
            self._interims.clear()
        return refused

    def _is_strained(self, now_s: float) -> bool:
        """A final waits past its limit, or an interim past the time when its channel asks anew."""
        oldest = next(iter(self._finals.values()), None)
        if oldest is not None and (now_s - oldest.arrived_s) * 1000 > self._config.final_wait_ms_max:
            return True
        interval_s = self._config.interim_interval_ms / 1000
        return any(
            now_s - t.arrived_s > interval_s for t in self._interims.values() if self._is_due(t, now_s)
        )

    # --- figures -------------------------------------------------------------------------------

    def statistics(self) -> PlannerStatistics:
        return PlannerStatistics(
            finals=len(self._finals),
            interims=len(self._interims),
            background=len(self._background),
            second_readings=len(self._second_readings),
            load=self.load,
            climbs=self._ladder.climbs,
            shed=dict(self._shed),
        )

    def _waiting(self) -> list[Ticket]:
        return [
            *self._finals.values(),
            *self._second_readings.values(),
            *self._interims.values(),
            *self._background.values(),
        ]

    def _take_out(self, ticket: Ticket) -> None:
        self._finals.pop(ticket.number, None)
        self._second_readings.pop(ticket.number, None)
        self._background.pop(ticket.number, None)
        if self._interims.get(ticket.lane) is ticket:
            del self._interims[ticket.lane]

    def _refuse(self, ticket: Ticket, reason: ShedReason) -> Refused:
        self._shed[reason] += 1
        return Refused(ticket, reason)


def _deadline_s(ticket: Ticket) -> float:
    return ticket.window.deadline_ms / 1000
