"""Planner: chooses which waiting windows form the next batch, and which are dropped when too many wait.

Pure: no clock, no thread, no model. `now_s` is passed in and never decreases. Holds the waiting windows
(`tickets`) and applies the load levels (`Load`); `cost` predicts how long a batch takes.

Order of service. First finals, the oldest first: its group is decoded, and other finals of the group join.
Then second decodes of holes in finals (`second_decode`). Then interims, the channel that was served longest
ago first. Last background windows (files): only while no live window waits, and in short calls while live
windows may arrive.

Invariants, checked by property tests: an accepted final leaves exactly once, in a batch, or refused as
`behind` if its sender set a limit to its wait. Each channel has at most one waiting interim, the newest.
Each ticket leaves exactly once: in a batch, refused, dropped with its source, or flushed.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from host_stt.contract import Priority
from host_stt.cost import CostModel
from host_stt.load_levels import Load, LoadControl
from host_stt.tickets import Batch, Group, Refused, ShedReason, Ticket


@dataclass(frozen=True, slots=True)
class PlannerConfig:
    batch_max: int = 16  # rows of one call; more than 16 are hardly faster, and each row waits longer
    interim_batch_ms: int = 100  # limit for one call of interims, because a final may have to wait for it
    background_batch_ms: int = 25  # the same for windows of files, while channels are live
    live_ms: int = 5_000  # live windows are expected for this long after the last one
    interim_interval_ms: int = 700  # how often a channel sends an interim during speech
    interim_age_ms_max: int = 2_000  # an interim that waits longer is shed
    second_decode_age_ms_max: int = (
        3_000  # a second decode that waits longer is shed, because its final's text waits for it
    )
    final_wait_ms_max: int = 500  # if the oldest final waits longer, the engine is overloaded
    raise_after_ms: int = 1_500  # overload for this long raises the load level by one
    lower_after_ms: int = 5_000  # no overload for this long lowers the load level by one
    queue_finals: int = 256
    queue_second_decodes: int = 32  # of live finals
    queue_interims: int = 256  # one per channel
    queue_background: int = 512

    def __post_init__(self) -> None:
        if min(self.batch_max, self.interim_batch_ms, self.queue_finals, self.queue_interims) < 1:
            raise ValueError("batch_max, interim_batch_ms and the queues' bounds must be at least 1")


@dataclass(frozen=True, slots=True)
class PlannerStatistics:
    finals: int
    interims: int
    background: int
    second_decodes: int  # of live finals
    load: Load
    raises: int  # raises of the load level since the start
    shed: dict[ShedReason, int]  # since the start


class Planner:
    """Call `feed` for each window, `take` whenever a worker is free, and `on_tick` about ten times a
    second.
    """

    def __init__(self, config: PlannerConfig, cost: CostModel | None = None) -> None:
        self._config = config
        self._batch_max = config.batch_max
        self.cost = cost or CostModel()
        self._finals: OrderedDict[int, Ticket] = OrderedDict()
        self._second_decodes: OrderedDict[int, Ticket] = OrderedDict()  # second readings of live finals
        # by lane; a lane is a channel of a source
        self._interims: OrderedDict[tuple[str, str], Ticket] = OrderedDict()
        self._background: OrderedDict[int, Ticket] = OrderedDict()
        # when an interim of the lane was last put into a batch
        self._served_s: dict[tuple[str, str], float] = {}
        self._live_s = float("-inf")  # when the last final or interim arrived
        self._load_control = LoadControl(config.raise_after_ms, config.lower_after_ms)
        self._shed = dict.fromkeys(ShedReason, 0)

    @property
    def load(self) -> Load:
        return self._load_control.load

    def halve_batches(self) -> int:
        """The device has too little memory: halve the maximum batch from now on. Returns the new maximum."""
        self._batch_max = max(1, self._batch_max // 2)
        return self._batch_max

    @property
    def is_empty(self) -> bool:
        return not (self._finals or self._second_decodes or self._interims or self._background)

    @property
    def is_calm(self) -> bool:
        """True if nothing waits and the load level is normal, so that no tick is needed."""
        return self.is_empty and self.load is Load.NORMAL

    # --- windows in ------------------------------------------------------------------------------------

    def feed(self, ticket: Ticket) -> list[Refused]:
        """Add a ticket. Returns the tickets that are refused because of it, possibly the ticket itself."""
        if ticket.window.priority is not Priority.BACKGROUND:
            self._live_s = max(self._live_s, ticket.arrived_s)
        match ticket.window.priority:
            case Priority.FINAL if ticket.window.is_second_decode:
                return self._feed_second_decode(ticket)
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
            # The interim reaches past the final, so it has newer speech and is still useful.
            return []
        # The final has the same speech, or more, and takes the place of the interim on the screen.
        del self._interims[ticket.lane]
        return [self._refuse(interim, ShedReason.FINAL_ARRIVED)]

    def _feed_second_decode(self, ticket: Ticket) -> list[Refused]:
        """Missing words are more important than interims, but a second decode must not delay finals."""
        if self.load is Load.FINALS_ONLY:
            return [self._refuse(ticket, ShedReason.OVERLOAD)]
        if len(self._second_decodes) >= self._config.queue_second_decodes:
            return [self._refuse(ticket, ShedReason.FULL)]
        self._second_decodes[ticket.number] = ticket
        return []

    def _feed_background(self, ticket: Ticket) -> list[Refused]:
        """Add a window of a file. A second decode goes to the front, because its recording waits for it."""
        if len(self._background) >= self._config.queue_background:
            return [self._refuse(ticket, ShedReason.FULL)]
        self._background[ticket.number] = ticket
        if ticket.window.is_second_decode:
            self._background.move_to_end(ticket.number, last=False)
        return []

    def _feed_interim(self, ticket: Ticket) -> list[Refused]:
        if self.load is Load.FINALS_ONLY:
            return [self._refuse(ticket, ShedReason.OVERLOAD)]
        refused: list[Refused] = []
        if older := self._interims.pop(ticket.lane, None):
            # The new interim covers the old one's audio and more, so decoding the old one is wasted work.
            refused.append(self._refuse(older, ShedReason.REPLACED))
        elif len(self._interims) >= self._config.queue_interims:
            _, oldest = self._interims.popitem(last=False)
            # The oldest interim has the least value: its channel sends a newer one soon.
            refused.append(self._refuse(oldest, ShedReason.FULL))
        self._interims[ticket.lane] = ticket
        return refused

    def drop_source(self, source: str) -> list[Ticket]:
        """Remove all tickets of a source that has disconnected. Returns them; they get no response."""
        gone = [ticket for ticket in self._waiting() if ticket.source == source]
        for ticket in gone:
            self._take_out(ticket)
        self._served_s = {lane: at for lane, at in self._served_s.items() if lane[0] != source}
        return gone

    def flush(self) -> list[Ticket]:
        """Remove all tickets; returns them, finals first."""
        waiting = self._waiting()
        for ticket in waiting:
            self._take_out(ticket)
        return waiting

    # --- batches out -----------------------------------------------------------------------------------

    def take(self, now_s: float, *, is_for_finals: bool = False) -> Batch | None:
        """The batch that a free worker should decode now; None if no window is due.

        is_for_finals: for a worker that only decodes finals.
        """
        if is_for_finals:
            return self._oldest_batch(self._finals)
        return (
            self._oldest_batch(self._finals)
            or self._oldest_batch(self._second_decodes)
            or self._interims_batch(now_s)
            or self._background_batch(now_s)
        )

    def _oldest_batch(self, waiting: OrderedDict[int, Ticket]) -> Batch | None:
        """The oldest ticket and the others of its group."""
        if not waiting:
            return None
        group = next(iter(waiting.values())).group
        # One group per call, because rows of another padding or prompt length cannot share it. The oldest
        # ticket chooses the group, so no group can wait for ever.
        rows = [ticket for ticket in waiting.values() if ticket.group == group]
        return self._batch(rows[: self._batch_max])

    def _interims_batch(self, now_s: float) -> Batch | None:
        # Sorted by the time of the last service, so that a busy channel cannot take the turn of another one.
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
        """A batch of file windows; short while channels are live, because a final must wait for all of it."""
        if not self._background or self._interims:
            # Live interims come first, even those that are not due yet: files have no deadline.
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
        """The largest number of rows predicted to fit the budget; at least one, or nothing would run."""
        rows, budget_s = 1, budget_ms / 1000
        while rows < self._batch_max and self._predict_s(group, rows + 1) <= budget_s:
            rows += 1
        return rows

    def _predict_s(self, group: Group, rows: int) -> float:
        return self.cost.predict_s(group.priority.is_final, group.window_s, rows)

    def _turn(self, ticket: Ticket) -> tuple[float, float]:
        # A channel that was never served comes first, then the one that was served longest ago.
        return self._served_s.get(ticket.lane, float("-inf")), ticket.arrived_s

    def _is_due(self, ticket: Ticket, now_s: float) -> bool:
        if self.load < Load.SLOW_INTERIMS:
            return True
        # At a higher load level, each channel gets an interim only half as often.
        last_s = self._served_s.get(ticket.lane, float("-inf"))
        return now_s - last_s >= 2 * self._config.interim_interval_ms / 1000

    def record_time(self, batch: Batch, took_s: float) -> None:
        """Learn from a decoded batch: its time determines the size of the next batches."""
        self.cost.observe(batch.group.priority.is_final, batch.group.window_s, len(batch.tickets), took_s)

    # --- time ----------------------------------------------------------------------------------

    def on_tick(self, now_s: float) -> list[Refused]:
        """Shed windows that are too old, and update the load level."""
        limit_s = self._config.interim_age_ms_max / 1000
        # An interim past its own deadline is useless too: 8082 does not wait for it any more.
        old = [t for t in self._interims.values() if now_s - t.arrived_s > min(limit_s, _deadline_s(t))]
        second_s = self._config.second_decode_age_ms_max / 1000
        late = [t for t in self._second_decodes.values() if now_s - t.arrived_s > second_s]
        # More finals come than can be decoded: without a limit, every final would come later than the one
        # before.
        behind = [t for t in self._finals.values() if _is_behind(t, now_s)]
        refused = [self._refuse(ticket, ShedReason.STALE) for ticket in (*old, *late)]
        refused += [self._refuse(ticket, ShedReason.BEHIND) for ticket in behind]
        for ticket in (*old, *late, *behind):
            self._take_out(ticket)
        # Old interims are a sign of overload too: the engine did not get to them in time.
        self._load_control.on_tick(now_s, is_overloaded=bool(old) or self._is_overloaded(now_s))
        if self.load is Load.FINALS_ONLY and self._interims:
            # The level has just been raised; interims that were accepted before would delay finals now.
            refused += [self._refuse(ticket, ShedReason.OVERLOAD) for ticket in self._interims.values()]
            self._interims.clear()
        return refused

    def _is_overloaded(self, now_s: float) -> bool:
        """True if a final waits past its limit, or an interim until its channel sends the next one."""
        oldest = next(iter(self._finals.values()), None)
        if oldest is not None and (now_s - oldest.arrived_s) * 1000 > self._config.final_wait_ms_max:
            return True
        interval_s = self._config.interim_interval_ms / 1000
        # Only interims that are due count. Others wait because of the load level, which is not overload.
        return any(
            now_s - t.arrived_s > interval_s for t in self._interims.values() if self._is_due(t, now_s)
        )

    # --- figures -------------------------------------------------------------------------------

    def statistics(self) -> PlannerStatistics:
        return PlannerStatistics(
            finals=len(self._finals),
            interims=len(self._interims),
            background=len(self._background),
            second_decodes=len(self._second_decodes),
            load=self.load,
            raises=self._load_control.raises,
            shed=dict(self._shed),
        )

    def _waiting(self) -> list[Ticket]:
        return [
            *self._finals.values(),
            *self._second_decodes.values(),
            *self._interims.values(),
            *self._background.values(),
        ]

    def _take_out(self, ticket: Ticket) -> None:
        self._finals.pop(ticket.number, None)
        self._second_decodes.pop(ticket.number, None)
        self._background.pop(ticket.number, None)
        if self._interims.get(ticket.lane) is ticket:
            del self._interims[ticket.lane]

    def _refuse(self, ticket: Ticket, reason: ShedReason) -> Refused:
        self._shed[reason] += 1
        return Refused(ticket, reason)


def _is_behind(ticket: Ticket, now_s: float) -> bool:
    limit_ms = ticket.window.start_within_ms
    return limit_ms > 0 and (now_s - ticket.arrived_s) * 1000 > limit_ms


def _deadline_s(ticket: Ticket) -> float:
    return ticket.window.deadline_ms / 1000
