"""The event log: what happened in one session, in order, each event encoded once for everyone who watches.

Owns `seq` (from 1, one per stored event, no holes), the wire form of an event, the tail that is held in
memory, and that nobody hears of a stored event before it is saved. Does not own who watches
(`desk.subscribers`) nor any disk (`transcript.store`). No task and no clock of its own: the session's time
and the wall clock are handed in. Every call comes from the event loop's thread.

Three positions: `head_seq` was emitted, `visible_seq` was handed to the listener, `saved_seq` is on disk.
While the journal is degraded, events are handed on at once, marked `"durable":false`.
Invariant: the held events are exactly those with seq in [first_seq, head_seq], and none that is not yet saved
is dropped from memory.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from webrtc_host.events import ErrorReported, Event, SegmentFinal, SegmentInterim
from webrtc_host.seams import EventType
from webrtc_host.transcript.event_codec import Envelope, decode, encode, mark_not_durable

INTERIMS_PENDING_MAX = 1000
"""Waiting behind stored events that are being saved; that takes milliseconds, or `degrade` ends it."""


@dataclass(frozen=True, slots=True)
class EncodedEvent:
    """One event as every watcher gets it. `data` is its JSON, UTF-8, encoded exactly once."""

    session: str
    seq: int | None  # None: never stored (interim, error)
    after_seq: int  # newest stored event at emission; its own seq when it is stored
    channel: str | None  # None concerns the whole session
    data: bytes

    @property
    def text(self) -> str:
        return self.data.decode()

    def concerns(self, channels: frozenset[str] | None) -> bool:
        """True for a watcher of these channels (None: all). Events of the session concern everyone."""
        return channels is None or self.channel is None or self.channel in channels


@dataclass(frozen=True, slots=True)
class LoggedEvent(EncodedEvent):
    """An event of a log: encoded for watchers, and as it was emitted, so that nothing has to decode it."""

    envelope: Envelope

    @property
    def event(self) -> Event:
        return self.envelope.event

    @property
    def kind(self) -> EventType:
        return self.envelope.event.kind

    def encoded(self) -> EncodedEvent:
        """What a log holds of it: the typed event takes two to three times the memory of its JSON."""
        return EncodedEvent(self.session, self.seq, self.after_seq, self.channel, self.data)


@dataclass(frozen=True, slots=True)
class LogStatistics:
    held: int
    limit: int
    dropped: int
    head_seq: int


class _HeldFinal(NamedTuple):
    """Where a held final lies, so that those of a time are found without decoding the others."""

    seq: int
    channel: str
    start_ms: int
    end_ms: int


Listener = Callable[[LoggedEvent], None]


class Journal(Protocol):
    """Where stored events are saved; `transcript.journal` in life. It calls `acknowledge` and `degrade`."""

    @property
    def is_degraded(self) -> bool: ...

    def append(self, event: LoggedEvent) -> None:
        """Never waits."""
        ...


class ReadableLog(Protocol):
    """The log as those need it who read events: watchers, the desk, and readers of past audio.

    `EventLog` implements it; `channel.SessionLog` is the same with writing and waiting.
    """

    @property
    def session(self) -> str: ...

    @property
    def first_seq(self) -> int:
        """The oldest event held in memory; head_seq + 1 when none is."""
        ...

    @property
    def head_seq(self) -> int:
        """seq of the newest stored event, 0 before the first."""
        ...

    @property
    def visible_seq(self) -> int:
        """The newest stored event that watchers may have; what is later is still being saved."""
        ...

    @property
    def saved_seq(self) -> int:
        """The newest stored event that is on disk."""
        ...

    def note(self, event: ErrorReported) -> EncodedEvent:
        """An event that is never stored, made for one watcher alone; no listener hears of it."""
        ...

    def since(self, seq: int, channels: frozenset[str] | None = None) -> Iterator[EncodedEvent]:
        """Held and visible events after `seq` that concern these channels (None: all), in order."""
        ...

    def count(self, since: int, channels: frozenset[str] | None = None) -> int:
        """How many held events `since` would give, without going through them."""
        ...

    def segments(
        self,
        channel: str | None = None,
        *,
        from_ms: int = 0,
        to_ms: int | None = None,
        after: int = 0,
        limit: int = 1000,
    ) -> list[LoggedEvent]:
        """Held finals that overlap [from_ms, to_ms), after seq `after`, oldest first, `limit` at most."""
        ...


class EventLog:
    """The log of one session; implements `seams.EventSink` and `ReadableLog`. Without a journal it is memory
    alone.
    """

    def __init__(
        self,
        session: str,
        *,
        capacity: int,
        now_ms: Callable[[], int],
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        listener: Listener | None = None,
        journal: Journal | None = None,
        head_seq: int = 0,
    ) -> None:
        """capacity: stored events held, the oldest goes first. now_ms: time since the session's t = 0.

        head_seq: of a session that goes on after a restart, its newest event on disk.
        """
        if capacity < 1:
            raise ValueError(f"an event log of {capacity} events holds nothing")
        self.session = session
        self._capacity = capacity
        self._now_ms = now_ms
        self._wall = wall
        self._listener = listener
        self._journal = journal
        self._pending: deque[LoggedEvent] = deque()  # not yet handed on: begins with a stored event, if any
        self._unmarked: dict[int, EncodedEvent] = {}  # what is held with a mark, as it will be on disk
        self._held: dict[int, EncodedEvent] = {}
        self._of_channel: dict[str | None, list[int]] = {}  # held seqs, ascending
        self._finals: list[_HeldFinal] = []
        self.first_seq = head_seq + 1
        self.head_seq = self.visible_seq = self.saved_seq = head_seq

    def emit(self, event: Event) -> int | None:
        """Append one event; the listener gets it once it is saved. Returns the seq of a stored one."""
        return self._append(self._logged(event))

    def _append(self, event: LoggedEvent) -> int | None:
        if event.seq is not None:
            self._keep(event, event.seq)
        if self._journal is None:
            self.saved_seq = self.head_seq
            self._hand_on(event)
            self._drop_surplus()
            return event.seq
        if event.seq is not None:
            self._journal.append(event)
        if self._journal.is_degraded:
            self.degrade()
            self._hand_on(self._marked(event))
        elif event.seq is not None or (self._pending and len(self._pending) < INTERIMS_PENDING_MAX):
            self._pending.append(event)
        elif not self._pending:
            self._hand_on(event)
        return event.seq

    def acknowledge(self, seq: int) -> None:
        """Everything up to `seq` is saved: hand on what waited for it."""
        for number in range(self.saved_seq + 1, seq + 1):
            unmarked = self._unmarked.pop(number, None)
            if unmarked is not None and number in self._held:
                self._held[number] = unmarked
        self.saved_seq = max(self.saved_seq, seq)
        while self._pending and (self._pending[0].seq or 0) <= self.saved_seq:
            self._hand_on(self._pending.popleft())
        self._drop_surplus()

    def degrade(self) -> None:
        """The journal cannot save now: hand on what waits, marked."""
        while self._pending:
            self._hand_on(self._marked(self._pending.popleft()))

    def note(self, event: ErrorReported) -> EncodedEvent:
        """An event that is never stored, made for one watcher alone; no listener hears of it."""
        return self._logged(event)

    def get(self, seq: int) -> EncodedEvent | None:
        """The stored event, or None when it is not (or no longer) held."""
        return self._held.get(seq)

    def since(self, seq: int, channels: frozenset[str] | None = None) -> Iterator[EncodedEvent]:
        """Held and visible events after `seq` that concern these channels (None: all), in order."""
        for number in range(max(seq + 1, self.first_seq), self.visible_seq + 1):
            event = self._held[number]
            if event.concerns(channels):
                yield event

    def count(self, since: int, channels: frozenset[str] | None = None) -> int:
        """How many held events `since` would give, without going through them."""
        if channels is None:
            return max(0, self.visible_seq - max(since, self.first_seq - 1))
        lists = (self._of_channel.get(channel, []) for channel in (None, *channels))
        ends = (since, max(since, self.visible_seq))
        return sum(bisect_right(seqs, ends[1]) - bisect_right(seqs, ends[0]) for seqs in lists)

    def segments(
        self,
        channel: str | None = None,
        *,
        from_ms: int = 0,
        to_ms: int | None = None,
        after: int = 0,
        limit: int = 1000,
    ) -> list[LoggedEvent]:
        """Held finals that overlap [from_ms, to_ms), after seq `after`, oldest first, `limit` at most."""
        found: list[LoggedEvent] = []
        for position in range(bisect_right(self._finals, after, key=_seq_of), len(self._finals)):
            final = self._finals[position]
            is_in_time = final.end_ms > from_ms and (to_ms is None or final.start_ms < to_ms)
            if is_in_time and channel in (None, final.channel):
                found.append(_decoded(self._held[final.seq]))
                if len(found) == limit:
                    break
        return found

    def statistics(self) -> LogStatistics:
        return LogStatistics(len(self._held), self._capacity, self.first_seq - 1, self.head_seq)

    def _keep(self, event: LoggedEvent, seq: int) -> None:
        self._held[seq] = event.encoded()
        self._of_channel.setdefault(event.channel, []).append(seq)
        final = event.event
        if isinstance(final, SegmentFinal):
            self._finals.append(_HeldFinal(seq, final.channel, final.start_ms, final.end_ms))
        self.head_seq = seq

    def _hand_on(self, event: LoggedEvent) -> None:
        if event.seq is not None:
            self.visible_seq = event.seq
        if self._listener is not None:
            self._listener(event)
        if event.seq is not None:
            self._became_visible(event.seq)

    def _became_visible(self, seq: int) -> None:
        """For those who wait for it: `saved_log`."""

    def _marked(self, event: LoggedEvent) -> LoggedEvent:
        """A stored event as watchers get it while it is not on disk, from memory too."""
        if event.seq is None:
            return event
        self._unmarked[event.seq] = event.encoded()
        marked = replace(event, data=mark_not_durable(event.data))
        self._held[event.seq] = marked.encoded()
        return marked

    def _drop_surplus(self) -> None:
        while len(self._held) > self._capacity and self.first_seq <= self.saved_seq:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        oldest = self._held.pop(self.first_seq)
        del self._of_channel[oldest.channel][0]
        if self._finals and self._finals[0].seq == self.first_seq:
            del self._finals[0]
        self.first_seq += 1

    def _logged(self, event: Event) -> LoggedEvent:
        seq = self.head_seq + 1 if event.kind.is_stored else None
        envelope = Envelope(event, self.session, seq, self._wall(), self._latency_ms(event))
        after_seq = self.head_seq if seq is None else seq
        return LoggedEvent(self.session, seq, after_seq, event.channel, encode(envelope), envelope)

    def _latency_ms(self, event: Event) -> int | None:
        if isinstance(event, SegmentInterim) or (isinstance(event, SegmentFinal) and event.source is None):
            return max(0, self._now_ms() - event.end_ms)
        return None


def _seq_of(final: _HeldFinal) -> int:
    return final.seq


def _decoded(held: EncodedEvent) -> LoggedEvent:
    return LoggedEvent(held.session, held.seq, held.after_seq, held.channel, held.data, decode(held.data))
