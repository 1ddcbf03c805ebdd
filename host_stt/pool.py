"""The only code that touches a model: threads that decode what the planner gives them.

Owns the threads, the lock around the planner and the answers' way back. Knows no sockets: an answer
goes to the function that came with its window, called from a pool thread. Invariant: every window
handed in gets exactly one answer, whatever the engine does, short of the process ending; a window that
the engine fails on fails alone, not with its batch.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from host_stt.contract import Answer, Priority, Transcript, Window, WindowError
from host_stt.engines.base import EarlyEngine, Engine
from host_stt.ladder import Load
from host_stt.planner import Batch, Planner, PlannerConfig, PlannerStatistics, Refused, Ticket

logger = logging.getLogger(__name__)

Deliver = Callable[[Answer], None]
_FATAL_MARKS = ("CUDA", "cuBLAS", "CUBLAS", "cuDNN")
"""A CUDA fault spoils the process's context: every later call fails too, and only a new process helps."""
_MEMORY_MARKS = ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""Too many rows for the device's memory: fewer will do."""
_TICK_S = 0.1


class PoolObserver(Protocol):
    """Who counts. Called from pool threads."""

    def answered(self, priority: Priority, answer: Answer) -> None: ...

    def decoded(self, priority: Priority, windows: int, waited_s: Sequence[float], took_s: float) -> None: ...


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    queue: PlannerStatistics
    replicas: int
    busy_replicas: int
    longest_decode_s: float  # of the decodes under way
    hang_clock_s: float  # the same, where a call of more than four windows is given as much for each four
    oldest_wait_s: float


class Pool:
    """Decodes windows on the given engines, `workers` threads each.

    workers: 1, or 2 where an engine takes two calls at once (CUDA streams): the second is kept for finals.
    on_fatal: called with a sentence when an engine can no longer work in this process.
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
        self._busy_since: dict[int, tuple[float, int]] = {}  # by worker: when, with how many windows
        self._ticked_s = clock()
        self._next_number = 0
        self._is_stopping = False
        self._is_closed = False
        self._threads = [
            # Daemons: a hung decode must not keep the process from ending.
            threading.Thread(target=self._work, args=(i,), name=f"engine-{i}", daemon=True)
            for i in range(len(self._engines) * workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, window: Window, source: str, deliver: Deliver) -> None:
        """Queue a window. `deliver` gets its answer: from a pool thread, or at once from this one when
        it is refused.
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
            is_stopping = self._is_stopping
            refused = [] if is_stopping else self._planner.feed(ticket)
            # All of them: a worker kept for finals that is woken by an interim sleeps on.
            self._changed.notify_all()
        if is_stopping:
            self._answer(ticket, _stopping(ticket))
        self._refuse(refused)

    def forget(self, source: str) -> None:
        """A source is gone: drop what it has waiting. Windows already being decoded are answered to
        nobody's harm.
        """
        with self._changed:
            for ticket in self._planner.forget(source):
                self._deliver.pop(ticket.number, None)
                self._arrived.pop(ticket.number, None)
            self._changed.notify_all()

    def stop(self, grace_s: float) -> bool:
        """Take nothing new, finish what waits within the grace, answer the rest, end the threads. True
        if all was done.
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
            thread.join(timeout=0 if not is_done else 5)
        if not any(thread.is_alive() for thread in self._threads):
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
            )

    def _work(self, worker: int) -> None:
        engine = self._engines[worker % len(self._engines)]
        is_for_finals = worker >= len(self._engines)
        while True:
            with self._changed:
                refused = self._tick()  # first: during a long decode an interim may have grown too old
                batch = self._planner.take(self._clock(), is_for_finals=is_for_finals)
                if batch:
                    self._busy_since[worker] = (self._clock(), len(batch.tickets))
                elif self._is_closed:
                    return
                elif not refused:
                    self._changed.wait(None if self._planner.is_calm else _TICK_S)
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
        began = self._clock()
        waited = [began - ticket.arrived_s for ticket in batch.tickets]
        told: set[int] = set()

        def early(ticket: Ticket, answer: Answer) -> None:
            if ticket.number not in told:
                told.add(ticket.number)
                self._answer(ticket, _timed(answer, began - ticket.arrived_s, self._clock() - began))

        answers = self._read(engine, batch.tickets, early)
        took_s = self._clock() - began
        with self._changed:
            self._planner.ended(batch, took_s)
        if self._observer:
            self._observer.decoded(batch.group.priority, len(batch.tickets), waited, took_s)
        for ticket, answer, waited_s in zip(batch.tickets, answers, waited, strict=True):
            if ticket.number not in told:
                self._answer(ticket, _timed(answer, waited_s, took_s))
        with self._changed:
            self._busy_since.pop(worker, None)
            self._changed.notify_all()

    def _read(
        self, engine: Engine, tickets: Sequence[Ticket], early: Callable[[Ticket, Answer], None]
    ) -> list[Answer]:
        """One answer per ticket. Of a call that fails the halves are read again, down to the row at fault.

        early: takes the answers that stand while other rows are read again.
        """
        windows = [ticket.window for ticket in tickets]
        try:
            if isinstance(engine, EarlyEngine):
                answers = engine.decode_early(windows, lambda row, answer: early(tickets[row], answer))
            else:
                answers = engine.decode(windows)
            if len(answers) != len(tickets):
                raise RuntimeError(f"{len(tickets)} windows went in and {len(answers)} answers came out")
            return answers
        except Exception as error:  # the engine is the outside: whatever it throws becomes answers
            if any(mark in str(error) for mark in _MEMORY_MARKS):
                self._out_of_memory(len(tickets))
            elif self._on_fatal and any(mark in str(error) for mark in _FATAL_MARKS):
                self._on_fatal(f"the GPU failed: {error}")
                return [_failed(ticket, error) for ticket in tickets]
            if len(tickets) == 1:
                logger.exception("the engine failed on a window")
                return [_failed(tickets[0], error)]
            logger.warning("the engine failed on %d windows together: %s", len(tickets), type(error).__name__)
        half = len(tickets) // 2
        return self._read(engine, tickets[:half], early) + self._read(engine, tickets[half:], early)

    def _out_of_memory(self, rows: int) -> None:
        with self._changed:
            batch_max = self._planner.halve_batches()
        logger.warning("out of memory on %d windows; batches hold %d at most from now on", rows, batch_max)

    def _refuse(self, refused: Sequence[Refused]) -> None:
        for one in refused:
            self._answer(one.ticket, one.answer)

    def _answer(self, ticket: Ticket, answer: Answer) -> None:
        with self._changed:
            deliver = self._deliver.get(ticket.number)
        if self._observer and not ticket.window.is_second_reading:
            self._observer.answered(ticket.window.priority, answer)
        if deliver:
            try:
                deliver(answer)
            except Exception:  # the way back is the outside too; the thread must live on
                logger.exception("an answer could not be delivered")
        with self._changed:
            self._deliver.pop(ticket.number, None)
            self._arrived.pop(ticket.number, None)
            self._changed.notify_all()


def _timed(answer: Answer, waited_s: float, took_s: float) -> Answer:
    if not isinstance(answer, Transcript):
        return answer
    return replace(answer, queue_ms=round(waited_s * 1000), decode_ms=round(took_s * 1000))


def _failed(ticket: Ticket, error: Exception) -> WindowError:
    text = "the engine failed on this window; its log has the details, and the window may be sent again"
    return WindowError(ticket.window.id, "engine_failed", text, is_retryable=True)


def _stopping(ticket: Ticket) -> WindowError:
    text = "the engine is stopping; send the window again when it is back"
    return WindowError(ticket.window.id, "engine_stopping", text, is_retryable=True)
