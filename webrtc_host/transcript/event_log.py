"""The event log: the events of one session in order. Each event is encoded once for all watchers.

This module assigns `seq` (from 1, one per stored event, without gaps), encodes events, and holds the newest
ones in memory. A stored event is passed on only after it is saved. `desk.subscribers` has the watchers;
`transcript.store` saves. Pure: no task and no clock; the caller passes the session's time and the wall clock.
Every call comes from the event loop.

Three positions: `head_seq` was emitted, `visible_seq` was passed to the listener, `saved_seq` is on disk.
While the journal is degraded, events are passed on at once, marked `"durable":false`.
Invariant: the held events are exactly those with seq in [first_seq, head_seq]; an event that is not saved yet
is not dropped from memory.
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
from webrtc_host.transcript.redaction import Removed

INTERIMS_PENDING_MAX = 1000
"""Interims that may wait behind stored events that are being saved. Saving takes milliseconds, or `degrade`
ends the wait.
"""


@dataclass(frozen=True, slots=True)
class EncodedEvent:
    """One event as watchers get it. `data` is its JSON in UTF-8, encoded exactly once."""

    session: str
    seq: int | None  # None: not stored (interim, error)
    after_seq: int  # newest stored event at emission; for a stored event its own seq
    channel: str | None  # None: the whole session
    data: bytes

    @property
    def text(self) -> str:
        return self.data.decode()

    def concerns(self, channels: frozenset[str] | None) -> bool:
        """True for a watcher of these channels (None: all). An event of the session is for every watcher."""
        return channels is None or self.channel is None or self.channel in channels


@dataclass(frozen=True, slots=True)
class LoggedEvent(EncodedEvent):
    """An event as listeners get it: encoded for watchers, and typed, so that nothing is decoded again."""

    envelope: Envelope

    @property
    def event(self) -> Event:
        return self.envelope.event

    @property
    def kind(self) -> EventType:
        return self.envelope.event.kind

    def encoded(self) -> EncodedEvent:
        """The encoded part, which the log holds: the typed event takes two to three times the memory."""
        return EncodedEvent(self.session, self.seq, self.after_seq, self.channel, self.data)


@dataclass(frozen=True, slots=True)
class LogStatistics:
    held: int
    limit: int
    dropped: int
    head_seq: int


class _HeldFinal(NamedTuple):
    """The position of a held final: finals of a time range are found without decoding the others."""

    seq: int
    channel: str
    start_ms: int
    end_ms: int


Listener = Callable[[LoggedEvent], None]


class Journal(Protocol):
    """Saves stored events; `transcript.journal` implements it. It calls `acknowledge` and `degrade`."""

    @property
    def is_degraded(self) -> bool: ...

    def append(self, event: LoggedEvent) -> None:
        """Never waits."""
        ...


class ReadableLog(Protocol):
    """The reading part of a log: for watchers, the desk, and readers of past audio.

    `EventLog` implements it; `channel.SessionLog` is the same with writing and waiting.
    """

    @property
    def session(self) -> str: ...

    @property
    def first_seq(self) -> int:
        """The oldest event in memory; head_seq + 1 when there is none."""
        ...

    @property
    def head_seq(self) -> int:
        """seq of the newest stored event, 0 before the first."""
        ...

    @property
    def visible_seq(self) -> int:
        """The newest stored event that watchers may get; later ones are still being saved."""
        ...

    @property
    def saved_seq(self) -> int:
        """The newest stored event that is on disk."""
        ...

    def note(self, event: ErrorReported) -> EncodedEvent:
        """An event for one watcher: it is not stored, and listeners do not get it."""
        ...

    def since(self, seq: int, channels: frozenset[str] | None = None) -> Iterator[EncodedEvent]:
        """Held and visible events after `seq` of these channels (None: all), in order."""
        ...

    def count(self, since: int, channels: frozenset[str] | None = None) -> int:
        """The number of events that `since` would return, without reading them."""
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
        """Held finals that overlap [from_ms, to_ms), after seq `after`, oldest first, at most `limit`."""
        ...


class EventLog:
    """The log of one session; implements `events.EventSink` and `ReadableLog`.

    Without a journal, events are only in memory.
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

        head_seq: for a session that was restored, its newest event on disk.
        """
        if capacity < 1:
            raise ValueError(f"an event log of {capacity} events holds nothing")
        self.session = session
        self._capacity = capacity
        self._now_ms = now_ms
        self._wall = wall
        self._listener = listener
        self._journal = journal
        self._pending: deque[LoggedEvent] = deque()  # not passed on yet; the first one is a stored event
        # Events that are held with the mark, as they will be on disk
        self._unmarked: dict[int, EncodedEvent] = {}
        self._held: dict[int, EncodedEvent] = {}
        self._of_channel: dict[str | None, list[int]] = {}  # held seqs, ascending
        self._finals: list[_HeldFinal] = []
        self.first_seq = head_seq + 1
        self.head_seq = self.visible_seq = self.saved_seq = head_seq

    def emit(self, event: Event) -> int | None:
        """Append one event. The listener gets it when it is saved. Returns the seq of a stored event."""
        return self._append(self._logged(event))

    def _append(self, event: LoggedEvent) -> int | None:
        if event.seq is not None:
            self._hold(event, event.seq)
        if self._journal is None:
            self.saved_seq = self.head_seq
            self._pass_on(event)
            self._drop_over_capacity()
            return event.seq
        if event.seq is not None:
            self._journal.append(event)
        if self._journal.is_degraded:
            self.degrade()
            self._pass_on(self._marked(event))
        elif event.seq is not None or (self._pending and len(self._pending) < INTERIMS_PENDING_MAX):
            self._pending.append(event)
        elif not self._pending:
            self._pass_on(event)
        return event.seq

    def acknowledge(self, seq: int) -> None:
        """Everything up to `seq` is saved: pass on the events that waited for it."""
        for number in range(self.saved_seq + 1, seq + 1):
            unmarked = self._unmarked.pop(number, None)
            if unmarked is not None and number in self._held:
                self._held[number] = unmarked
        self.saved_seq = max(self.saved_seq, seq)
        while self._pending and (self._pending[0].seq or 0) <= self.saved_seq:
            self._pass_on(self._pending.popleft())
        self._drop_over_capacity()

    def degrade(self) -> None:
        """The journal cannot save now: pass on the waiting events, marked as not durable."""
        while self._pending:
            self._pass_on(self._marked(self._pending.popleft()))

    def note(self, event: ErrorReported) -> EncodedEvent:
        """An event for one watcher: it is not stored, and listeners do not get it."""
        return self._logged(event)

    def get(self, seq: int) -> EncodedEvent | None:
        """The stored event; None when it is not held (any more)."""
        return self._held.get(seq)

    def since(self, seq: int, channels: frozenset[str] | None = None) -> Iterator[EncodedEvent]:
        """Held and visible events after `seq` of these channels (None: all), in order."""
        for number in range(max(seq + 1, self.first_seq), self.visible_seq + 1):
            event = self._held[number]
            if event.concerns(channels):
                yield event

    def count(self, since: int, channels: frozenset[str] | None = None) -> int:
        """The number of events that `since` would return, without reading them."""
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
        """Held finals that overlap [from_ms, to_ms), after seq `after`, oldest first, at most `limit`."""
        found: list[LoggedEvent] = []
        for position in range(bisect_right(self._finals, after, key=_seq_of), len(self._finals)):
            final = self._finals[position]
            is_in_time = final.end_ms > from_ms and (to_ms is None or final.start_ms < to_ms)
            if is_in_time and channel in (None, final.channel):
                found.append(_decoded(self._held[final.seq]))
                if len(found) == limit:
                    break
        return found

    def redact(self, removed: Removed) -> None:
        """Remove the words of a redaction from the held events, after the record has done so."""
        for held in (self._held, self._unmarked):
            for seq, event in held.items():
                data = removed.redacted(event.data)
                if data is not None:
                    held[seq] = replace(event, data=data)

    def statistics(self) -> LogStatistics:
        return LogStatistics(len(self._held), self._capacity, self.first_seq - 1, self.head_seq)

    def _hold(self, event: LoggedEvent, seq: int) -> None:
        self._held[seq] = event.encoded()
        self._of_channel.setdefault(event.channel, []).append(seq)
        final = event.event
        if isinstance(final, SegmentFinal):
            self._finals.append(_HeldFinal(seq, final.channel, final.start_ms, final.end_ms))
        self.head_seq = seq

    def _pass_on(self, event: LoggedEvent) -> None:
        if event.seq is not None:
            self.visible_seq = event.seq
        if self._listener is not None:
            self._listener(event)
        if event.seq is not None:
            self._on_visible(event.seq)

    def _on_visible(self, seq: int) -> None:
        """Called when an event was passed on; `saved_log` overrides it for its waiters."""

    def _marked(self, event: LoggedEvent) -> LoggedEvent:
        """A stored event with the mark that it is not on disk; the log holds it with the mark, too."""
        if event.seq is None:
            return event
        self._unmarked[event.seq] = event.encoded()
        marked = replace(event, data=mark_not_durable(event.data))
        self._held[event.seq] = marked.encoded()
        return marked

    def _drop_over_capacity(self) -> None:
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
