"""Pool: the threads that decode the batches of the planner. The only code that calls a model.

Has the threads, the lock around the planner, and the functions that receive results. It uses no sockets: a
result goes to the function that was passed with its window, called from a pool thread. Invariant: every
submitted window gets exactly one result, unless the process ends. If the engine fails because of one window,
only this window fails, not its batch.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from host_stt.contract import Answer, Priority, Transcript, Window, WindowError
from host_stt.engines.base import Between, EarlyEngine, Engine
from host_stt.engines.term_finals import CountsTermFinals, TermFinal
from host_stt.live_decodes import LiveDecodes, LiveFigures
from host_stt.load_levels import Load
from host_stt.planner import Planner, PlannerConfig, PlannerStatistics
from host_stt.queue_waits import QueueWaits
from host_stt.tickets import Batch, Refused, Ticket

logger = logging.getLogger(__name__)

Deliver = Callable[[Answer], None]
_FATAL_MARKS = ("CUDA", "cuBLAS", "CUBLAS", "cuDNN")
"""After a CUDA fault all later calls of the process fail too; only a new process helps."""
_MEMORY_MARKS = ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""The device has too little memory for this many rows; fewer rows may fit."""
_TICK_S = 0.1


class PoolObserver(Protocol):
    """Counts results and decodes. Called from pool threads."""

    def answered(self, priority: Priority, answer: Answer) -> None: ...

    def decoded(self, priority: Priority, windows: int, waited_s: Sequence[float], took_s: float) -> None: ...


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    queue: PlannerStatistics
    replicas: int
    busy_replicas: int
    longest_decode_s: float  # of the decodes in progress
    hang_clock_s: float  # the same, but a call with n > 4 windows may take n / 4 times as long
    oldest_wait_s: float
    worst_wait_s: float  # longest time in the queue in the last minute, without background windows
    live: LiveFigures
    term_finals: Mapping[TermFinal, int]  # since the start of these engines


class Pool:
    """Decodes windows on the given engines, with `workers` threads for each.

    workers: 1, or 2 if an engine accepts two calls at once; the second one only decodes finals, so that no
    final waits for other windows. on_fatal: called with a sentence when an engine can no longer work in this
    process.
    """

    def __init__(
        self,
        engines: Sequence[Engine],
        config: PlannerConfig,
        *,
        workers: int = 1,
        observer: PoolObserver | None = None,
        on_fatal: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engines = list(engines)
        self._planner = Planner(config)
        self._observer = observer
        self._on_fatal = on_fatal
        self._clock = clock
        self._changed = threading.Condition()
        self._deliver: dict[int, Deliver] = {}  # by ticket number; in the queue or being decoded
        self._arrived: dict[int, float] = {}
        self._waits = QueueWaits()
        self._live = LiveDecodes()
        # by worker: (start of the decode, number of windows)
        self._busy_since: dict[int, tuple[float, int]] = {}
        self._ticked_s = clock()
        self._next_number = 0
        self._is_stopping = False
        self._is_closed = False
        self._threads = [
            # Daemon threads, because a decode that hangs must not stop the process from ending.
            threading.Thread(target=self._work, args=(i,), name=f"engine-{i}", daemon=True)
            for i in range(len(self._engines) * workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, window: Window, source: str, deliver: Deliver) -> None:
        """Queue a window. `deliver` gets its result from a pool thread, or from this thread if it is
        refused.
        """
        engine = self._engines[0]
        if self._planner.load >= Load.SHORT_INTERIMS and not window.priority.is_final:
            window = engine.shortened(window)
        group = engine.group(window)
        with self._changed:
            now = self._clock()
            ticket = Ticket(self._next_number, source, window, group, now)
            self._next_number += 1
            self._deliver[ticket.number] = deliver
            self._arrived[ticket.number] = now
            if window.priority is not Priority.BACKGROUND:  # a recording may wait as long as it takes
                self._waits.arrived(ticket.number, now)
            is_stopping = self._is_stopping
            refused = [] if is_stopping else self._planner.feed(ticket)
            # Wake all workers. With `notify`, an interim could wake only the worker that takes no interims.
            self._changed.notify_all()
        if is_stopping:
            self._answer(ticket, _stopping(ticket))
        # Results are delivered outside the lock: `deliver` is foreign code and may take a lock of its own.
        self._refuse(refused)

    def drop_source(self, source: str) -> None:
        """Remove the waiting windows of a source that has disconnected.

        Windows that are being decoded still get their results; `deliver` must ignore them.
        """
        with self._changed:
            for ticket in self._planner.drop_source(source):
                self._deliver.pop(ticket.number, None)
                self._arrived.pop(ticket.number, None)
                self._waits.forget(ticket.number)
            self._changed.notify_all()

    def stop(self, grace_s: float) -> bool:
        """Stop: accept nothing new, finish waiting windows within the grace time, then end the threads.

        Windows that are left get an error. Returns True if all windows were finished.
        """
        deadline = self._clock() + grace_s
        with self._changed:
            self._is_stopping = True
            while self._deliver and (left := deadline - self._clock()) > 0:
                self._changed.wait(left)
            unanswered = self._planner.flush()
            is_done = not self._deliver
            self._is_closed = True
            self._changed.notify_all()
        for ticket in unanswered:
            self._answer(ticket, _stopping(ticket))
        for thread in self._threads:
            # Without success a thread may hang inside the model, so do not wait for it.
            thread.join(timeout=0 if not is_done else 5)
        if not any(thread.is_alive() for thread in self._threads):
            # An engine is only closed when no thread can still be inside it.
            for engine in self._engines:
                engine.close()
        return is_done

    def statistics(self) -> PoolStatistics:
        with self._changed:
            now = self._clock()
            under_way = [(now - since, windows) for since, windows in self._busy_since.values()]
            return PoolStatistics(
                queue=self._planner.statistics(),
                replicas=len(self._engines),
                busy_replicas=len(self._busy_since),
                longest_decode_s=max((took for took, _ in under_way), default=0.0),
                hang_clock_s=max((took / max(1, n / 4) for took, n in under_way), default=0.0),
                oldest_wait_s=max((now - arrived for arrived in self._arrived.values()), default=0.0),
                worst_wait_s=self._waits.worst_s(now),
                live=self._live.figures(now),
                term_finals=self._term_finals(),
            )

    def _term_finals(self) -> Mapping[TermFinal, int]:
        total: Counter[TermFinal] = Counter()
        for engine in self._engines:
            if isinstance(engine, CountsTermFinals):
                total.update(engine.term_finals())
        return total

    def _work(self, worker: int) -> None:
        engine = self._engines[worker % len(self._engines)]
        is_for_finals = worker >= len(self._engines)
        while True:
            with self._changed:
                # first, because an interim may have become too old during a long decode
                refused = self._tick()
                batch = self._planner.take(self._clock(), is_for_finals=is_for_finals)
                if batch:
                    began = self._clock()
                    self._busy_since[worker] = (began, len(batch.tickets))
                    self._waits.taken((ticket.number for ticket in batch.tickets), began)
                elif self._is_closed:
                    return
                elif not refused:
                    self._changed.wait(None if self._planner.is_calm else _TICK_S)
                    # Waiting windows need ticks, even if no window arrives; an idle planner does not.
            self._refuse(refused)
            if batch:
                self._decode(worker, engine, batch)

    def _tick(self) -> list[Refused]:
        now = self._clock()
        if now - self._ticked_s < _TICK_S:
            return []
        self._ticked_s = now
        return self._planner.on_tick(now)

    def _decode(self, worker: int, engine: Engine, batch: Batch) -> None:
        """Decode a batch. Live finals that arrive meanwhile go between its steps."""
        self._decode_batch(engine, batch, partial(self._finals_between, worker, engine))
        with self._changed:
            self._busy_since.pop(worker, None)
            self._changed.notify_all()

    def _finals_between(self, worker: int, engine: Engine) -> float:
        """Decode one batch of the live finals that wait, inside another call. Returns the seconds it took.

        One batch only, so that the call around it goes on too.
        """
        with self._changed:
            began = self._clock()
            batch = self._planner.take(began, is_for_finals=True)
            if batch is None:
                return 0.0
            around, windows = self._busy_since[worker]
            self._busy_since[worker] = (began, len(batch.tickets))
            self._waits.taken((ticket.number for ticket in batch.tickets), began)
        self._decode_batch(engine, batch, lambda: 0.0)
        with self._changed:
            took_s = self._clock() - began
            self._busy_since[worker] = (around + took_s, windows)
        return took_s

    def _decode_batch(self, engine: Engine, batch: Batch, between: Callable[[], float]) -> None:
        """Decode a batch and deliver its results. between: decodes others; returns the seconds it took."""
        began, others_s = self._clock(), 0.0
        waited = [began - ticket.arrived_s for ticket in batch.tickets]
        sent: set[int] = set()

        def early(ticket: Ticket, answer: Answer) -> None:
            if ticket.number not in sent:
                sent.add(ticket.number)
                took_s = self._clock() - began - others_s
                self._answer(ticket, _timed(answer, began - ticket.arrived_s + others_s, took_s))

        def pause() -> None:
            nonlocal others_s
            others_s += between()

        answers = self._decode_tickets(engine, batch.tickets, early, pause)
        # Without the time of the others: the size of the next batches follows from it.
        took_s = self._clock() - began - others_s
        with self._changed:
            self._planner.record_time(batch, took_s)
            self._live.decoded(batch.group.priority, waited, took_s, self._clock())
        if self._observer:
            self._observer.decoded(batch.group.priority, len(batch.tickets), waited, took_s)
        for ticket, answer, waited_s in zip(batch.tickets, answers, waited, strict=True):
            if ticket.number not in sent:
                self._answer(ticket, _timed(answer, waited_s + others_s, took_s))

    def _decode_tickets(
        self,
        engine: Engine,
        tickets: Sequence[Ticket],
        early: Callable[[Ticket, Answer], None],
        between: Between,
    ) -> list[Answer]:
        """One result per ticket. If a call fails, each half is decoded again, down to the row at fault.

        early: receives results that are ready while other rows are decoded again. between: see `EarlyEngine`.
        """
        windows = [ticket.window for ticket in tickets]
        try:
            if isinstance(engine, EarlyEngine):
                answers = engine.decode_early(
                    windows, lambda row, answer: early(tickets[row], answer), between
                )
            else:
                answers = engine.decode(windows)
            if len(answers) != len(tickets):
                raise RuntimeError(f"the engine returned {len(answers)} results for {len(tickets)} windows")
            return answers
        except Exception as error:  # an engine may raise anything; it becomes the windows' results
            if any(mark in str(error) for mark in _MEMORY_MARKS):
                self._out_of_memory(len(tickets))
            elif self._on_fatal and any(mark in str(error) for mark in _FATAL_MARKS):
                self._on_fatal(f"the GPU failed: {error}")
                return [_failed(ticket, error) for ticket in tickets]
            if len(tickets) == 1:
                logger.exception("the engine failed on a window")
                return [_failed(tickets[0], error)]
            logger.warning(
                "the engine failed on a batch of %d windows: %s", len(tickets), type(error).__name__
            )
        half = len(tickets) // 2
        return self._decode_tickets(engine, tickets[:half], early, between) + self._decode_tickets(
            engine, tickets[half:], early, between
        )

    def _out_of_memory(self, rows: int) -> None:
        with self._changed:
            batch_max = self._planner.halve_batches()
        logger.warning("out of memory with %d windows; from now on a batch has at most %d", rows, batch_max)

    def _refuse(self, refused: Sequence[Refused]) -> None:
        for one in refused:
            self._answer(one.ticket, one.answer)

    def _answer(self, ticket: Ticket, answer: Answer) -> None:
        with self._changed:
            deliver = self._deliver.get(ticket.number)
        if self._observer and not ticket.window.is_second_decode:
            # A second decode is part of its first window's result, so it does not count as a window of its
            # own.
            self._observer.answered(ticket.window.priority, answer)
        if deliver:
            try:
                deliver(answer)
            except Exception:  # foreign code too; this thread must go on
                logger.exception("a result could not be delivered")
        with self._changed:
            self._deliver.pop(ticket.number, None)
            # Removed only now: `stop` waits until no ticket is left, that is, until all results are
            # delivered.
            self._arrived.pop(ticket.number, None)
            self._waits.forget(ticket.number)
            self._changed.notify_all()


def _timed(answer: Answer, waited_s: float, took_s: float) -> Answer:
    if not isinstance(answer, Transcript):
        return answer
    return replace(answer, queue_ms=round(waited_s * 1000), decode_ms=round(took_s * 1000))


def _failed(ticket: Ticket, error: Exception) -> WindowError:
    text = "the engine failed on this window; its log has the details. It may be sent again"
    return WindowError(ticket.window.id, "engine_failed", text, is_retryable=True)


def _stopping(ticket: Ticket) -> WindowError:
    text = "the engine is stopping; send the window again when it has restarted"
    return WindowError(ticket.window.id, "engine_stopping", text, is_retryable=True)
