"""Fan-out: sends the events of a session to all its watchers, each with a bounded queue.

This module has the watchers and the rule for slow ones. It uses no socket: `ws`, `sse` and `data_channel`
take events from a `Watcher` and send them. A watcher has a cursor into the log of its session, not copies of
stored events, so a watcher that never reads costs the same few hundred bytes as any other. It holds only its
own interims, and, during a replay from the record, one page of events.

Slow watchers: a newer interim of an utterance replaces the waiting one, and above a limit the oldest interim
is dropped; stored events are never skipped. A watcher overflows when more than `queue` stored events wait (in
addition to those that its replay began with), or come while its replay does not move: it is closed with 1013
and resumes with `since`. A watcher overflows too when its earlier events cannot be read anywhere.
Invariant: the stored events of a watcher have ascending seq, and none that concerns it is missing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from host_stt_common.callers import LOOPBACK
from host_stt_common.places import share_of
from webrtc_host.errors import Overloaded, StoreError
from webrtc_host.events import ErrorCode, SegmentInterim, error_report
from webrtc_host.transcript.event_log import EncodedEvent, LoggedEvent, ReadableLog
from webrtc_host.transcript.replay import History

logger = logging.getLogger(__name__)

LAST_WORDS_S = 0.7
"""Time to send the events that still wait when the server stops."""
INTERIMS_MAX = 64
"""Interims waiting for one watcher: one for each channel of a full session."""


class End(StrEnum):
    """Why a watcher gets no more events."""

    OVERFLOW = "overflow"
    GOING_AWAY = "going_away"
    LEFT = "left"


@dataclass(slots=True)
class WatcherStatistics:
    waiting: int = 0
    limit: int = 0
    taken: int = 0
    interims_dropped: int = 0


class Watcher:
    """One reader of one session's events. Made by `Subscribers.join`, always handed back to `leave`."""

    def __init__(
        self,
        log: ReadableLog,
        channels: frozenset[str] | None,
        since: int | None,
        queue_events: int,
        history: History | None = None,
        caller: str = LOOPBACK,
    ) -> None:
        """history: None when only the log's memory can be read. caller: the key that it is counted by."""
        self._log = log
        self._channels = channels
        self._history = history
        self._page: deque[EncodedEvent] = deque()
        self._page_up_to = 0
        self._came_meanwhile = 0  # stored events since a replay last moved
        self._notes: list[EncodedEvent] = []
        self._interims: dict[str, EncodedEvent] = {}
        self._cursor = self._start(since)
        self._is_replaying = history is not None and self._is_behind_memory
        self._waiting = 0 if self._is_replaying else log.count(self._cursor, channels)
        self._queue = queue_events
        self._allowance = self._waiting + queue_events
        self._wakened = asyncio.Event()
        self._hurry: Callable[[float], None] | None = None
        self.caller = caller
        self._end: End | None = None
        self._taken = 0
        self._interims_dropped = 0
        if self.has_waiting:
            self._wakened.set()

    def on_hurry(self, hurry: Callable[[float], None] | None) -> None:
        """Set by the task that sends: called with the seconds that are left to it, because a `send` may be
        stuck. None: nothing is sent any more.
        """
        self._hurry = hurry

    @property
    def reason(self) -> End:
        """Why the watcher ends, also while its last events wait."""
        return self._end or End.LEFT

    @property
    def end(self) -> End | None:
        """Why the watcher ended; None while it is open or still has events to take."""
        if self.has_waiting and self._end is End.GOING_AWAY:
            return None
        return self._end

    @property
    def session(self) -> str:
        return self._log.session

    @property
    def has_waiting(self) -> bool:
        return bool(self._waiting or self._interims or self._notes or self._is_replaying)

    @property
    def _is_behind_memory(self) -> bool:
        return self._cursor + 1 < self._log.first_seq

    async def wait(self) -> None:
        """Wait until there is an event to take, or the watcher has ended."""
        await self._wakened.wait()

    async def refill(self) -> None:
        """Read the next page of a replay when there is none in memory. Await it before each `take`."""
        if not self._is_replaying or self._page or not self._is_behind_memory or self._history is None:
            return
        log = self._log
        try:
            page = await self._history.page(log.session, self._cursor, log.first_seq - 1, self._channels)
        except (StoreError, Overloaded) as error:
            logger.warning("session %s: a watcher is sent away: %s", log.session, error)
            self._overflow()
            return
        if self._end is not End.OVERFLOW:
            self._page.extend(page.events)
            self._page_up_to = page.up_to

    def take(self, most: int) -> list[EncodedEvent]:
        """Up to `most` events in the order of their emission; none once it has overflowed."""
        if self._end is End.OVERFLOW:
            return []
        self._came_meanwhile = 0
        events = self._notes[:most]
        del self._notes[:most]
        while len(events) < most and (event := self._next()) is not None:
            events.append(event)
        if not self.has_waiting and self._end is None:
            self._wakened.clear()
            self._allowance = self._queue
        self._taken += len(events)
        return events

    def offer(self, event: LoggedEvent) -> None:
        """Take an event that was just emitted. Only `Subscribers` calls it."""
        if self._end is not None or not event.concerns(self._channels):
            return
        if event.seq is None:
            self._keep_interim(event)
        elif event.seq <= self._cursor:
            return  # the watcher resumes from a later event
        elif self._is_replaying:
            self._came_meanwhile += 1
            if self._came_meanwhile > self._queue:
                self._overflow()
        else:
            if self._waiting == 0:
                self._cursor = event.seq - 1
            self._waiting += 1
            is_lost = self._history is None and self._is_behind_memory
            if self._waiting > self._allowance or is_lost:
                self._overflow()
        self._wakened.set()

    def close(self, end: End) -> None:
        """End the watcher. Events that wait may still be taken, unless it has overflowed."""
        if self._end is not End.OVERFLOW:
            self._end = end
        self._wakened.set()
        if self._hurry is not None:
            self._hurry(LAST_WORDS_S)

    def statistics(self) -> WatcherStatistics:
        waiting = self._waiting + len(self._interims) + len(self._notes) + len(self._page)
        return WatcherStatistics(waiting, self._allowance + INTERIMS_MAX, self._taken, self._interims_dropped)

    def _start(self, since: int | None) -> int:
        """The cursor to begin at, with a note when a part of the history is not available."""
        log = self._log
        if since is None:
            return log.visible_seq
        if since > log.head_seq:
            message = f"this session has {log.head_seq} events, not {since}; it is sent from its beginning"
            self._notes.append(log.note(error_report(ErrorCode.SINCE_AHEAD, message)))
            since = 0
        if since + 1 < log.first_seq and self._history is None:
            message = f"events up to {log.first_seq - 1} are no longer held in memory; the rest follows"
            self._notes.append(log.note(error_report(ErrorCode.HISTORY_TRUNCATED, message)))
            return log.first_seq - 1
        return since

    def _next(self) -> EncodedEvent | None:
        """The earliest event not yet taken: an interim goes after the stored event it followed."""
        if self._waiting and self._is_behind_memory:  # the log has dropped it: continue from the record
            self._is_replaying, self._waiting = True, 0
        if self._is_replaying:
            event = self._next_replayed()
            if event is not None or self._is_replaying:
                return event
        stored = self._next_stored() if self._waiting else None
        key = next(iter(self._interims), None)
        if key is not None and (stored is None or self._interims[key].after_seq < (stored.seq or 0)):
            return self._interims.pop(key)
        if stored is not None and stored.seq is not None:
            self._cursor = stored.seq
            self._waiting -= 1
        return stored

    def _next_replayed(self) -> EncodedEvent | None:
        """The next event of the page in memory; None: read another page, or the log has the rest."""
        if self._page:
            event = self._page.popleft()
            self._cursor = event.seq or self._cursor
            return event
        self._cursor = max(self._cursor, self._page_up_to)
        if not self._is_behind_memory:
            self._is_replaying = False
            self._waiting = self._log.count(self._cursor, self._channels)
            self._allowance = self._waiting + self._queue
        return None

    def _next_stored(self) -> EncodedEvent | None:
        for event in self._log.since(self._cursor, self._channels):
            return event
        return None

    def _keep_interim(self, logged: LoggedEvent) -> None:
        event = logged.event
        # An error has no newer version. Its own text is its key, so no error replaces another.
        of_what = event.utterance if isinstance(event, SegmentInterim) else repr(logged.data)
        key = f"{event.channel} {of_what}"
        if self._interims.pop(key, None) is not None:
            self._interims_dropped += 1
        self._interims[key] = logged
        if len(self._interims) > INTERIMS_MAX:
            del self._interims[next(iter(self._interims))]
            self._interims_dropped += 1

    def _overflow(self) -> None:
        self._end = End.OVERFLOW
        self._interims.clear()
        self._notes.clear()
        self._page.clear()
        self._waiting = 0
        self._is_replaying = False
        if self._hurry is not None:
            self._hurry(0)


@dataclass(frozen=True, slots=True)
class FanOutStatistics:
    watchers: int
    limit: int
    waiting: int  # events not yet taken, over all watchers
    waiting_max: int  # of the slowest watcher
    overflowed: int  # watchers closed for being too slow, since the start
    interims_dropped: int


class Subscribers:
    """All watchers of the process. `publish` is the listener of every event log."""

    def __init__(self, *, watchers_max: int, queue_events: int, history: History | None = None) -> None:
        """history: where earlier events are read; None: only what logs hold in memory can be replayed."""
        self._history = history
        self._watchers: dict[str, set[Watcher]] = {}
        self._count = 0
        self._callers: Counter[str] = Counter()
        self._watchers_max = watchers_max
        self._queue_events = queue_events
        self._overflowed = 0
        self._interims_dropped = 0
        self._is_closing = False

    def join(
        self,
        log: ReadableLog,
        channels: frozenset[str] | None = None,
        since: int | None = None,
        caller: str = LOOPBACK,
    ) -> Watcher:
        """Watch a session: with `since`, every event after it and then live ones; without, live ones only.

        No await between the cursor and the registration: no event can fall between replay and live.
        caller: the key it is counted by; one caller gets half of the places (`places.share_of`).
        Raises Overloaded when there are too many watchers or the server is stopping.
        """
        if self._is_closing:
            raise Overloaded("going_away", "the server is stopping", retry_after_s=5)
        if self._count >= self._watchers_max:
            message = f"{self._watchers_max} watchers are connected, the limit (limits.watchers); try later"
            raise Overloaded("too_many_watchers", message, retry_after_s=10, status=429)
        if self._callers[caller] >= share_of(caller, self._watchers_max):
            message = (
                f"{self._callers[caller]} watchers are connected from your address, half of limits.watchers"
            )
            raise Overloaded("too_many_watchers", message, retry_after_s=10, status=429)
        watcher = Watcher(log, channels, since, self._queue_events, self._history, caller)
        self._callers[caller] += 1
        self._watchers.setdefault(log.session, set()).add(watcher)
        self._count += 1
        return watcher

    def leave(self, watcher: Watcher) -> None:
        """Remove a watcher. A second call does nothing."""
        watchers = self._watchers.get(watcher.session, set())
        if watcher not in watchers:
            return
        watchers.remove(watcher)
        self._count -= 1
        self._callers[watcher.caller] -= 1
        if not self._callers[watcher.caller]:
            del self._callers[watcher.caller]
        if not watchers:
            del self._watchers[watcher.session]
        self._overflowed += watcher.end is End.OVERFLOW
        self._interims_dropped += watcher.statistics().interims_dropped
        watcher.close(End.LEFT)

    def publish(self, event: LoggedEvent) -> None:
        for watcher in self._watchers.get(event.session, ()):
            watcher.offer(event)

    def close(self) -> None:
        """End all watchers because the server stops, and accept no more. A second call does nothing."""
        self._is_closing = True
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.close(End.GOING_AWAY)

    def statistics(self) -> FanOutStatistics:
        each = [watcher.statistics() for watchers in self._watchers.values() for watcher in watchers]
        return FanOutStatistics(
            watchers=self._count,
            limit=self._watchers_max,
            waiting=sum(one.waiting for one in each),
            waiting_max=max((one.waiting for one in each), default=0),
            overflowed=self._overflowed,
            interims_dropped=self._interims_dropped + sum(one.interims_dropped for one in each),
        )
