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

import json
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from webrtc_host.seams import EventType
from webrtc_host.transcript.timecode import timecode

WIRE_VERSION = 1
INTERIMS_PENDING_MAX = 1000
"""Waiting behind stored events that are being saved; that takes milliseconds, or `degrade` ends it."""

FIELDS: dict[EventType, tuple[str, ...]] = {
    EventType.SESSION_STARTED: ("name", "t0_wall", "is_current"),
    EventType.SESSION_ENDED: ("reason",),
    EventType.CHANNEL_OPENED: (
        *("connection", "label", "language", "door", "glossary", "start_ms", "start", "by"),
    ),
    EventType.CHANNEL_CLOSED: ("connection", "reason", "end_ms", "end"),
    EventType.CHANNEL_STATE: ("state", "language", "reason", "at_ms"),
    EventType.SPEECH_STARTED: ("utterance", "start_ms", "start"),
    EventType.SPEECH_ENDED: ("utterance", "start_ms", "end_ms", "start", "end", "rule"),
    EventType.SEGMENT_INTERIM: (
        *("utterance", "revision", "start_ms", "end_ms", "start", "end"),
        *("text", "stable_chars", "language", "latency_ms"),
    ),
    EventType.SEGMENT_FINAL: (
        *("utterance", "segment", "start_ms", "end_ms", "start", "end", "text", "raw"),
        *("language", "conf", "words", "edits", "glossary_version", "source", "latency_ms"),
    ),
    EventType.WINDOW_FAILED: ("utterance", "window", "start_ms", "end_ms", "start", "end", "code", "reason"),
    EventType.COVERAGE: ("from_ms", "to_ms", "state", "reason"),
    EventType.ERROR: ("code", "message", "retry_after_ms"),
}
"""The fields of each event after those of `_HEAD`, in the order they are written."""

_TIMED_TEXT = (EventType.SEGMENT_INTERIM, EventType.SEGMENT_FINAL)
_HEAD = ("v", "seq", "session", "type", "wall", "channel")


@dataclass(frozen=True, slots=True)
class Event:
    """One event as every watcher gets it. `data` is its JSON, UTF-8, encoded exactly once."""

    session: str
    kind: EventType
    seq: int | None  # None: never stored (interim, error)
    after_seq: int  # newest stored event at emission; its own seq when it is stored
    channel: str | None  # None concerns the whole session
    data: bytes
    utterance: str | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    latency_ms: int | None = None

    @property
    def text(self) -> str:
        return self.data.decode()

    def concerns(self, channels: frozenset[str] | None) -> bool:
        """True for a watcher of these channels (None: all). Events of the session concern everyone."""
        return channels is None or self.channel is None or self.channel in channels


@dataclass(frozen=True, slots=True)
class LogStatistics:
    held: int
    limit: int
    dropped: int
    head_seq: int


Listener = Callable[[Event], None]


class Journal(Protocol):
    """Where stored events are saved; `transcript.journal` in life. It calls `acknowledge` and `degrade`."""

    @property
    def is_degraded(self) -> bool: ...

    def append(self, event: Event) -> None:
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

    def note(self, kind: EventType, **fields: Any) -> Event:
        """An event that is never stored, made for one watcher alone; no listener hears of it."""
        ...

    def since(self, seq: int, channels: frozenset[str] | None = None) -> Iterator[Event]:
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
    ) -> list[Event]:
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
        self._pending: deque[Event] = deque()  # not yet handed on: begins with a stored event, if any
        self._unmarked: dict[int, Event] = {}  # what is held with a mark, as it will be on disk
        self._held: dict[int, Event] = {}
        self._of_channel: dict[str | None, list[int]] = {}  # held seqs, ascending
        self._finals: list[int] = []
        self.first_seq = head_seq + 1
        self.head_seq = self.visible_seq = self.saved_seq = head_seq

    def emit(self, kind: EventType, channel: str | None = None, **fields: Any) -> int | None:
        """Append one event; the listener gets it once it is saved. Returns the seq of a stored one."""
        event = self._encoded(kind, channel, fields)
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

    def note(self, kind: EventType, **fields: Any) -> Event:
        """An event that is never stored, made for one watcher alone; no listener hears of it."""
        if kind.is_stored:
            raise ValueError(f"{kind} is a stored event; use emit")
        return self._encoded(kind, None, fields)

    def get(self, seq: int) -> Event | None:
        """The stored event, or None when it is not (or no longer) held."""
        return self._held.get(seq)

    def since(self, seq: int, channels: frozenset[str] | None = None) -> Iterator[Event]:
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
    ) -> list[Event]:
        """Held finals that overlap [from_ms, to_ms), after seq `after`, oldest first, `limit` at most."""
        found: list[Event] = []
        for position in range(bisect_right(self._finals, after), len(self._finals)):
            event = self._held[self._finals[position]]
            if channel in (None, event.channel) and _overlaps(event, from_ms, to_ms):
                found.append(event)
                if len(found) == limit:
                    break
        return found

    def statistics(self) -> LogStatistics:
        return LogStatistics(len(self._held), self._capacity, self.first_seq - 1, self.head_seq)

    def _keep(self, event: Event, seq: int) -> None:
        self._held[seq] = event
        self._of_channel.setdefault(event.channel, []).append(seq)
        if event.kind is EventType.SEGMENT_FINAL:
            self._finals.append(seq)
        self.head_seq = seq

    def _hand_on(self, event: Event) -> None:
        if event.seq is not None:
            self.visible_seq = event.seq
        if self._listener is not None:
            self._listener(event)
        if event.seq is not None:
            self._became_visible(event.seq)

    def _became_visible(self, seq: int) -> None:
        """For those who wait for it: `saved_log`."""

    def _marked(self, event: Event) -> Event:
        """A stored event as watchers get it while it is not on disk, from memory too."""
        if event.seq is None:
            return event
        self._unmarked[event.seq] = event
        marked = replace(event, data=event.data[:-1] + b',"durable":false}')
        self._held[event.seq] = marked
        return marked

    def _drop_surplus(self) -> None:
        while len(self._held) > self._capacity and self.first_seq <= self.saved_seq:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        oldest = self._held.pop(self.first_seq)
        del self._of_channel[oldest.channel][0]
        if oldest.kind is EventType.SEGMENT_FINAL:
            del self._finals[0]
        self.first_seq += 1

    def _encoded(self, kind: EventType, channel: str | None, fields: dict[str, Any]) -> Event:
        seq = self.head_seq + 1 if kind.is_stored else None
        known = _with_derived(kind, fields, self._now_ms)
        body: dict[str, Any] = {"v": WIRE_VERSION}
        if seq is not None:
            body["seq"] = seq
        body |= {"session": self.session, "type": kind.value, "wall": iso_ms(self._wall())}
        if channel is not None:
            body["channel"] = channel
        body |= {name: known[name] for name in FIELDS[kind] if name in known}
        # Additions nobody listed yet go out at the end: the wire may grow, a final may not be lost over it.
        body |= {name: value for name, value in known.items() if name not in body and name not in _HEAD}
        return Event(
            session=self.session,
            kind=kind,
            seq=seq,
            after_seq=self.head_seq if seq is None else seq,
            channel=channel,
            data=encode_json(body),
            utterance=known.get("utterance"),
            start_ms=known.get("start_ms"),
            end_ms=known.get("end_ms"),
            latency_ms=known.get("latency_ms"),
        )


def _with_derived(kind: EventType, fields: dict[str, Any], now_ms: Callable[[], int]) -> dict[str, Any]:
    known = {name: value for name, value in fields.items() if value is not None}
    if "start_ms" in known:
        known["start"] = timecode(known["start_ms"])
    if "end_ms" in known:
        known["end"] = timecode(known["end_ms"])
    if kind in _TIMED_TEXT and "end_ms" in known and "source" not in known:  # late sound has no delay of ours
        known["latency_ms"] = max(0, now_ms() - known["end_ms"])
    return known


def _overlaps(event: Event, from_ms: int, to_ms: int | None) -> bool:
    if event.start_ms is None or event.end_ms is None:
        return False
    return event.end_ms > from_ms and (to_ms is None or event.start_ms < to_ms)


def encode_json(body: Any) -> bytes:
    """Compact JSON as UTF-8. A lone surrogate (a label may hold one) becomes `?`, so it stops no watcher."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode(
        errors="replace"
    )


def iso_ms(moment: datetime) -> str:
    """ISO 8601 UTC with milliseconds: 2026-11-21T06:10:01.234Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
