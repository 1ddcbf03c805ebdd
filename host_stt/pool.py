"""The only code that touches a model: one thread per replica, which decodes what the planner gives it.

Owns the threads, the lock around the planner and the answers' way back. Knows no sockets: an answer
goes to the function that came with its window, called from a pool thread. Invariant: every window
handed in gets exactly one answer, whatever the engine does, short of the process ending.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from host_stt.contract import Answer, Priority, Transcript, Window, WindowError
from host_stt.engines.base import Engine
from host_stt.planner import Planner, PlannerConfig, PlannerStatistics, Refused, Ticket

logger = logging.getLogger(__name__)

Deliver = Callable[[Answer], None]
_FATAL_MARKS = ("CUDA", "cuBLAS", "CUBLAS", "cuDNN")
"""A CUDA fault spoils the process's context: every later call fails too, and only a new process helps."""


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
    oldest_wait_s: float


class Pool:
    """Decodes windows on the given engines, one thread each.

    on_fatal: called once with a sentence when an engine can no longer work in this process.
    """

    def __init__(
        self,
        engines: Sequence[Engine],
        config: PlannerConfig,
        *,
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
        self._busy_since: dict[int, float] = {}  # by replica
        self._next_number = 0
        self._is_stopping = False
        self._is_closed = False
        self._threads = [
            # Daemons: a hung decode must not keep the process from ending.
            threading.Thread(target=self._work, args=(i,), name=f"engine-{i}", daemon=True)
            for i in range(len(self._engines))
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, window: Window, source: str, deliver: Deliver) -> None:
        """Queue a window. `deliver` gets its answer: from a pool thread, or at once from this one when
        it is refused.
        """
        with self._changed:
            now = self._clock()
            ticket = Ticket(self._next_number, source, window, now)
            self._next_number += 1
            self._deliver[ticket.number] = deliver
            self._arrived[ticket.number] = now
            if self._is_stopping:
                refused = [_stopping(ticket)]
            else:
                refused = self._planner.feed(ticket, now)
                self._changed.notify()
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
        self._refuse([_stopping(ticket) for ticket in unanswered])
        for thread in self._threads:
            thread.join(timeout=0 if not is_done else 5)
        if not any(thread.is_alive() for thread in self._threads):
            for engine in self._engines:
                engine.close()
        return is_done

    def statistics(self) -> PoolStatistics:
        with self._changed:
            now = self._clock()
            return PoolStatistics(
                queue=self._planner.statistics(),
                replicas=len(self._engines),
                busy_replicas=len(self._busy_since),
                longest_decode_s=max((now - since for since in self._busy_since.values()), default=0.0),
                oldest_wait_s=max((now - arrived for arrived in self._arrived.values()), default=0.0),
            )

    def _work(self, replica: int) -> None:
        while True:
            with self._changed:
                while self._planner.is_empty and not self._is_closed:
                    self._changed.wait()
                if self._is_closed:
                    return
                batch = self._planner.take(self._clock())
                if batch.tickets:
                    self._busy_since[replica] = self._clock()
            self._refuse(batch.refused)
            if batch.tickets:
                self._decode(replica, batch.tickets)

    def _decode(self, replica: int, tickets: Sequence[Ticket]) -> None:
        began = self._clock()
        engine = self._engines[replica]
        try:
            answers = engine.decode([ticket.window for ticket in tickets])
            if len(answers) != len(tickets):
                raise RuntimeError(f"{len(tickets)} windows went in and {len(answers)} answers came out")
        except Exception as error:  # the engine is the outside: whatever it throws becomes answers
            logger.exception("the engine failed on %d windows", len(tickets))
            answers = [_failed(ticket, error) for ticket in tickets]
            if self._on_fatal and any(mark in str(error) for mark in _FATAL_MARKS):
                self._on_fatal(f"the GPU failed: {error}")
        took_s = self._clock() - began
        waited = [began - ticket.arrived_s for ticket in tickets]
        if self._observer:
            self._observer.decoded(tickets[0].window.priority, len(tickets), waited, took_s)
        for ticket, answer, waited_s in zip(tickets, answers, waited, strict=True):
            self._answer(ticket, _timed(answer, waited_s, took_s))
        with self._changed:
            self._busy_since.pop(replica, None)
            self._changed.notify_all()

    def _refuse(self, refused: Sequence[Refused]) -> None:
        for one in refused:
            self._answer(one.ticket, one.answer)

    def _answer(self, ticket: Ticket, answer: Answer) -> None:
        with self._changed:
            deliver = self._deliver.get(ticket.number)
        if self._observer:
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
    text = f"the engine failed on this window ({type(error).__name__}); it may be sent again"
    return WindowError(ticket.window.id, "engine_failed", text, is_retryable=True)


def _stopping(ticket: Ticket) -> Refused:
    text = "the engine is stopping; send the window again when it is back"
    return Refused(ticket, WindowError(ticket.window.id, "engine_stopping", text, is_retryable=True))
