"""The one writer of the record: a thread that commits everything that waits as one transaction, in a loop.

This module holds the queue of events and work, commits them in groups, and handles a database that cannot be
written: events stay in the queue in their order and are tried again, work is refused. `rows.py` has the SQL.
`append` and `submit` are called in the event loop, and the callbacks run there too.

Bound: `unsaved_max` events. When more wait, the oldest events without text are dropped, then the oldest of
all, and the log says so; their seq is then missing in the record.
Invariant: events are saved in the order of `append`; `on_saved` gets an event only after its commit.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, OperationalError

from webrtc_host.errors import ConfigError, StoreError
from webrtc_host.seams import EventType
from webrtc_host.transcript import rows
from webrtc_host.transcript.database import hold
from webrtc_host.transcript.engines import plain
from webrtc_host.transcript.event_log import LoggedEvent

logger = logging.getLogger(__name__)

T = TypeVar("T")
Work = Callable[[Connection], T]
AfterSegments = Callable[[Connection, rows.NewTexts], None]
AfterEvents = Callable[[Connection, list[LoggedEvent]], None]

DELETE_EVERY = 100
PROBE_MAX = 100
"""Items per transaction while the record is degraded.

Events in a transaction cannot be dropped, so it is small.
"""
LOG_EVERY_S = 10.0
WITHOUT_TEXT = frozenset(
    {EventType.CHANNEL_STATE, EventType.SPEECH_STARTED, EventType.SPEECH_ENDED, EventType.COVERAGE}
)
"""The types that are dropped first when too much waits: other events contain the same facts, or they can be
missed.
"""


@dataclass(frozen=True, slots=True)
class WriterConfig:
    """Limits and times of the writer."""

    unsaved_max: int = 100_000  # events that may wait, about 1.5 kB each (a final with words: 5 kB)
    work_max: int = 1000  # pieces of work that may wait
    group_max: int = 2000  # items per transaction
    keep_events: int | None = None  # newest events kept per session (a record in memory); None: all
    retry_s: float = 1.0  # between two tries while the database cannot be written
    stall_s: float = 5.0  # a commit that takes longer makes the record degraded
    heartbeat_s: float = 2.0  # the end of a killed server is known with this precision
    stop_s: float = 5.0  # time for what waits when the server stops


@dataclass(frozen=True, slots=True)
class WriterState:
    """reason: why the record cannot be written; empty while it can."""

    reason: str = ""

    @property
    def is_degraded(self) -> bool:
        return bool(self.reason)


@dataclass(slots=True)
class _Job:
    """Work, with the future of its caller."""

    work: Work[Any]
    future: Future[Any] = field(default_factory=Future)
    outcome: Any = None
    error: Exception | None = None


@dataclass(slots=True)
class _Totals:
    events: int = 0
    groups: int = 0
    given_up: int = 0
    failures: int = 0
    commit_ms_max: float = 0.0


class StoreWriter:
    """The queue and the thread. Call `start`, then `append` and `submit`, and `stop`."""

    def __init__(
        self,
        config: WriterConfig = WriterConfig(),
        *,
        on_saved: Callable[[list[LoggedEvent]], None],
        on_state: Callable[[WriterState], None],
        after_segments: AfterSegments | None = None,
        after_events: AfterEvents | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """on_saved is called for each committed group, on_state for each change, both in the event loop.

        after_segments: called with new and revised texts, in the transaction that writes them. after_events:
        called with all events that a transaction writes, also in it.
        """
        self._on_saved, self._on_state = on_saved, on_state
        self._after_segments, self._after_events = after_segments, after_events
        self.state = WriterState()
        self._config = config
        self._clock = clock
        self._queue: deque[LoggedEvent | _Job] = deque()
        self._events_waiting = 0
        self._work_waiting = 0
        self._changed = threading.Condition()
        self._is_stopping = False
        self._stop_by_s = float("inf")
        self._busy_since_s: float | None = None
        self._logged_s = self._alive_s = float("-inf")
        self._marks: rows.Marks = {}
        self._totals = _Totals()
        self._connection: Connection | None = None
        self._thread: threading.Thread | None = None
        self._watch: asyncio.Task[None] | None = None

    def start(self, engine: Engine, loop: asyncio.AbstractEventLoop) -> None:
        self._engine = engine
        self._loop = loop
        self._thread = threading.Thread(target=self._run, name="record-writer", daemon=True)
        self._thread.start()
        self._watch = loop.create_task(self._watch_for_stalls(), name="record stall watch")

    async def stop(self) -> None:
        """Commit what waits, within `stop_s`; then the thread ends. Does not raise."""
        with self._changed:
            self._is_stopping = True
            self._stop_by_s = self._clock() + self._config.stop_s
            self._changed.notify()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, self._config.stop_s + 1.0)
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait({self._watch})
        # The thread may have ended without emptying the queue; callers must not wait for it.
        self._refuse_work(StoreError("the record is closed"))
        if self._events_waiting:
            logger.error("%s events could not be written before the server stopped", self._events_waiting)

    def append(self, event: LoggedEvent) -> None:
        """Queue an event. Never waits."""
        with self._changed:
            if self._events_waiting >= self._config.unsaved_max:
                self._drop_some()
            self._queue.append(event)
            self._events_waiting += 1
            self._changed.notify()

    def submit(self, work: Work[T]) -> Future[T]:
        """Queue work. Raises StoreError when the record cannot be written now, or too much work waits."""
        with self._changed:
            if self._is_stopping:
                raise StoreError("the record is closed")
            if self.state.is_degraded:
                raise StoreError(f"the record cannot be written now: {self.state.reason}")
            if self._work_waiting >= self._config.work_max:
                raise StoreError(f"{self._work_waiting} changes of the record are waiting already")
            job = _Job(work)
            self._queue.append(job)
            self._work_waiting += 1
            self._changed.notify()
        return job.future

    def together(self) -> AbstractContextManager[bool]:
        """Everything that is queued inside the `with` block is taken by the thread at once.

        It is one transaction, unless more than `group_max` items wait (the record is far behind).
        """
        return self._changed

    def statistics(self) -> dict[str, float]:
        totals = self._totals
        return {
            "is_degraded": float(self.state.is_degraded),
            "events_waiting": self._events_waiting,
            "events_saved": totals.events,
            "events_given_up": totals.given_up,
            "groups": totals.groups,
            "failures": totals.failures,
            "commit_ms_max": totals.commit_ms_max,
        }

    # The writer's thread.

    def _run(self) -> None:
        while True:
            group = self._next_group()
            if group is None:
                break
            self._busy_since_s = self._clock()
            try:
                self._commit(group)
            except Exception as error:
                self._on_failure(group, error)
            else:
                self._on_committed(group)
            self._busy_since_s = None
        self._drop_connection()

    def _next_group(self) -> list[LoggedEvent | _Job] | None:
        """The items that wait, oldest first; empty after heartbeat_s without any; None at the end."""
        with self._changed:
            if not self._queue and not self._is_stopping:
                self._changed.wait(self._config.heartbeat_s)
            if self._is_stopping and (not self._queue or self._clock() > self._stop_by_s):
                return None
            most = PROBE_MAX if self.state.is_degraded else self._config.group_max
            group = [self._queue.popleft() for _ in range(min(len(self._queue), most))]
            self._work_waiting -= sum(isinstance(item, _Job) for item in group)
        # Work whose caller has cancelled it is left out. After this point its caller cannot cancel it.
        return [
            item
            for item in group
            if isinstance(item, LoggedEvent) or item.future.set_running_or_notify_cancel()
        ]

    def _commit(self, group: list[LoggedEvent | _Job]) -> None:
        """Write the group in one transaction: neighbouring events together, work in its turn between them.

        Work keeps its place between the events, because it may read or change what earlier events wrote.
        """
        if self._connection is None:
            self._connection = self._engine.connect()
            hold(self._connection)  # PostgreSQL's lock belongs to a connection, so each new one takes it
        with self._connection.begin():
            events: list[LoggedEvent] = []
            for item in group:
                if isinstance(item, LoggedEvent):
                    events.append(item)
                    continue
                self._write_events(self._connection, events)
                events = []
                _run_job(self._connection, item)
            self._write_events(self._connection, events)
            if self._config.keep_events is not None:
                self._delete_over_limit(self._connection, group, self._config.keep_events)
            # In the same transaction, so that a heartbeat costs no commit of its own while events come.
            if self._clock() - self._alive_s >= self._config.heartbeat_s / 2:
                rows.note_alive(self._connection, int(time.time() * 1000))
                self._alive_s = self._clock()

    def _delete_over_limit(self, connection: Connection, group: list[LoggedEvent | _Job], keep: int) -> None:
        """Delete events over the limit of a record in memory, from time to time."""
        for item in group:
            if isinstance(item, LoggedEvent) and item.seq is not None and item.seq % DELETE_EVERY == 0:
                rows.forget_events(connection, item.session, item.seq - keep)

    def _write_events(self, connection: Connection, events: list[LoggedEvent]) -> None:
        if not events:
            return
        new, refused = rows.insert_events(connection, events, self._marks)
        self._totals.given_up += refused
        if self._after_segments is not None and (new.finals or new.revised):
            self._after_segments(connection, new)
        if self._after_events is not None:
            self._after_events(connection, events)

    def _on_committed(self, group: list[LoggedEvent | _Job]) -> None:
        events = [item for item in group if isinstance(item, LoggedEvent)]
        took_ms = (self._clock() - (self._busy_since_s or 0.0)) * 1000
        self._totals.events += len(events)
        self._totals.groups += bool(group)
        self._totals.commit_ms_max = max(self._totals.commit_ms_max, took_ms)
        with self._changed:
            self._events_waiting -= len(events)
            # Not before the queue is empty: then no event that was sent as not durable is still missing.
            is_recovered = self.state.is_degraded and not self._queue
        self._call(self._report_saved, events, is_recovered)
        for item in group:
            if isinstance(item, _Job):
                _set_outcome(item)

    def _on_failure(self, group: list[LoggedEvent | _Job], error: Exception) -> None:
        """Put the events back at the front, in their order; refuse the work; wait for `retry_s`."""
        self._drop_connection()
        self._totals.failures += 1
        reason = plain(error)
        if not isinstance(error, DBAPIError | OSError | ConfigError):
            logger.exception("the writer of the record failed")
        self._call(self._degrade, reason)
        refusal = StoreError(f"the record cannot be written now: {reason}")
        with self._changed:
            # `extendleft` reverses the order, so the group is reversed before: seq must not go back.
            self._queue.extendleft(item for item in reversed(group) if isinstance(item, LoggedEvent))
        for item in group:
            if isinstance(item, _Job):
                item.future.set_exception(refusal)
        self._refuse_work(refusal)
        with self._changed:
            # New events do not end this wait: each try opens a connection, and would fail like the last one.
            self._changed.wait_for(lambda: self._is_stopping, self._config.retry_s)

    def _refuse_work(self, refusal: StoreError) -> None:
        with self._changed:
            jobs = [item for item in self._queue if isinstance(item, _Job)]
            if jobs:
                self._queue = deque(item for item in self._queue if isinstance(item, LoggedEvent))
                self._work_waiting = 0
        for job in jobs:
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(refusal)

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        self._marks.clear()  # they may have values that the failed transaction did not commit
        self._alive_s = float("-inf")
        if connection is None:
            return
        try:
            connection.close()
        except (DBAPIError, OSError) as error:
            logger.debug("closing the record's connection: %s", plain(error))

    def _drop_some(self) -> None:
        """Drop events to free space: all without text, else the oldest. The caller holds `_changed`."""
        # One pass drops all of them, so that the next events find space without another pass over the queue.
        kept = deque(item for item in self._queue if isinstance(item, _Job) or item.kind not in WITHOUT_TEXT)
        if len(kept) == len(self._queue):
            oldest = next((item for item in kept if isinstance(item, LoggedEvent)), None)
            if oldest is None:
                return  # all events are in the transaction that is being tried
            kept.remove(oldest)
        gone = len(self._queue) - len(kept)
        self._queue = kept
        self._events_waiting -= gone
        self._totals.given_up += gone
        if self._clock() - self._logged_s > LOG_EVERY_S:
            self._logged_s = self._clock()
            logger.error(
                "%s events wait for the record (%s); %s were dropped so far and will be missing in it",
                self._config.unsaved_max,
                self.state.reason or "it is slow",
                self._totals.given_up,
            )

    def _call(self, callback: Callable[..., None], *arguments: Any) -> None:
        """Call in the event loop; does nothing when the loop has ended."""
        # The thread may outlive the loop: at a stop, `join` waits only `stop_s` for a commit that hangs.
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:
            logger.debug("the event loop is closed, so the result of a write is not reported")

    # The event loop's thread.

    def _report_saved(self, events: list[LoggedEvent], is_recovered: bool) -> None:
        if events:
            self._on_saved(events)
        if is_recovered and self.state.is_degraded:
            logger.warning("the record can be written again, and all waiting events are in it")
            self._set_state(WriterState())

    def _degrade(self, reason: str) -> None:
        if not self.state.is_degraded:
            logger.error(
                "the record cannot be written: %s. Transcription continues; events are marked as not durable "
                "and are written later",
                reason,
            )
        if self.state.reason != reason:
            self._set_state(WriterState(reason))

    def _set_state(self, state: WriterState) -> None:
        self.state = state
        self._on_state(state)

    async def _watch_for_stalls(self) -> None:
        while True:
            await asyncio.sleep(self._config.stall_s / 8)
            since_s = self._busy_since_s  # read once: the writer's thread may set it to None at any moment
            if since_s is not None and self._clock() - since_s > self._config.stall_s:
                self._degrade(f"the database has not responded for {self._clock() - since_s:.0f} s")


def _run_job(connection: Connection, job: _Job) -> None:
    """Run work in a savepoint.

    An error of the work goes to its caller; one of the database fails the group.
    """
    try:
        with connection.begin_nested():
            job.outcome = job.work(connection)
        job.error = None
    except OperationalError:  # the database failed, not the work: the whole group has to be tried again
        raise
    except Exception as error:
        job.error = error


def _set_outcome(job: _Job) -> None:
    if job.error is None:
        job.future.set_result(job.outcome)
    else:
        job.future.set_exception(job.error)
