from __future__ import annotations

import queue
import threading
from collections.abc import Sequence

import pytest

from host_stt.contract import Answer, Priority, Transcript, Window, WindowError
from host_stt.engines.base import Between, Early, Engine, EngineError, nothing_between
from host_stt.engines.fake import FakeEngine, FakeFault, script_of
from host_stt.engines.term_finals import TermFinal
from host_stt.metrics import EngineMetrics
from host_stt.planner import PlannerConfig
from host_stt.pool import Pool
from host_stt.tickets import Group
from tests.support.windows import window

FINAL, INTERIM, BACKGROUND = Priority.FINAL, Priority.INTERIM, Priority.BACKGROUND


class Gate:
    """An engine that waits for the test before each decode, and tells what it is given."""

    model = "gate"
    languages = ("en",)
    can_translate = False

    def __init__(self) -> None:
        self.seen: queue.Queue[list[str]] = queue.Queue()
        self.go = threading.Semaphore(0)
        self.closed = False
        self._inner = FakeEngine(script_of("one two"))

    def decode(self, windows: Sequence[Window]) -> list[Answer]:
        self.seen.put([w.id for w in windows])
        self.go.acquire(timeout=10)
        return self._inner.decode(windows)

    def group(self, window: Window) -> Group:
        return self._inner.group(window)

    def shortened(self, window: Window) -> Window:
        return window

    def close(self) -> None:
        self.closed = True


class Inbox:
    """Collects answers as they are delivered."""

    def __init__(self) -> None:
        self._answers: queue.Queue[Answer] = queue.Queue()

    def __call__(self, answer: Answer) -> None:
        self._answers.put(answer)

    def next(self) -> Answer:
        return self._answers.get(timeout=10)

    def take(self, n: int) -> dict[str, Answer]:
        return {a.id: a for a in (self.next() for _ in range(n))}

    @property
    def is_empty(self) -> bool:
        return self._answers.empty()


def pool_of(engine: Engine, **settings: int) -> Pool:
    return Pool([engine], PlannerConfig(**settings))


def code_of(answer: Answer) -> str:
    return answer.code if isinstance(answer, WindowError) else "text"


def test_a_result_has_the_text_and_the_decoding_time() -> None:
    pool, inbox = pool_of(FakeEngine(script_of("one two"), decode_s=0.03)), Inbox()
    pool.submit(window("w1"), "a", inbox)
    answer = inbox.next()
    assert isinstance(answer, Transcript) and answer.text == "one two"
    assert answer.decode_ms >= 25 and answer.queue_ms >= 0
    assert pool.stop(1)


def test_finals_overtake_interims_and_a_newer_interim_replaces_the_older() -> None:
    engine, inbox = Gate(), Inbox()
    pool = pool_of(engine, batch_max=1)
    pool.submit(window("first"), "a", inbox)
    assert engine.seen.get(timeout=10) == ["first"]
    pool.submit(window("old", channel="C02", priority=INTERIM), "a", inbox)
    pool.submit(window("new", channel="C02", priority=INTERIM), "a", inbox)
    pool.submit(window("final", channel="C03"), "a", inbox)
    assert code_of(inbox.next()) == "shed"
    for _ in range(3):
        engine.go.release()
    assert [engine.seen.get(timeout=10) for _ in range(2)] == [["final"], ["new"]]
    assert set(inbox.take(3)) == {"first", "final", "new"}
    pool.stop(1)


def test_a_failing_window_fails_alone_and_the_rest_of_its_batch_is_decoded() -> None:
    class FailsOnOne(Gate):
        def decode(self, windows: Sequence[Window]) -> list[Answer]:
            answers = super().decode(windows)
            if any(w.id == "bad" for w in windows):
                raise EngineError("told to fail")
            return answers

    engine, inbox = FailsOnOne(), Inbox()
    pool = pool_of(engine, batch_max=4)
    pool.submit(window("alone"), "a", inbox)
    engine.seen.get(timeout=10)
    for name in ("b", "bad", "d", "e"):
        pool.submit(window(name), "a", inbox)
    for _ in range(20):
        engine.go.release()
    answers = inbox.take(5)
    failed = answers.pop("bad")
    assert isinstance(failed, WindowError) and failed.code == "engine_failed" and failed.is_retryable
    assert {code_of(answer) for answer in answers.values()} == {"text"}
    assert [engine.seen.get(timeout=10) for _ in range(5)] == [
        ["b", "bad", "d", "e"],
        ["b", "bad"],
        ["b"],
        ["bad"],
        ["d", "e"],
    ]
    pool.submit(window("after"), "a", inbox)
    assert code_of(inbox.next()) == "text"
    pool.stop(1)


def test_an_interim_that_became_too_old_during_a_long_decode_is_shed() -> None:
    engine, inbox, now = Gate(), Inbox(), [0.0]
    pool = Pool([engine], PlannerConfig(interim_age_ms_max=2000), clock=lambda: now[0])
    pool.submit(window("long"), "a", inbox)
    engine.seen.get(timeout=10)
    pool.submit(window("old", channel="C02", priority=INTERIM), "a", inbox)
    now[0] = 2.1
    engine.go.release()
    answers = inbox.take(2)
    assert (code_of(answers["long"]), code_of(answers["old"])) == ("text", "shed")
    assert engine.seen.empty()
    pool.stop(1)


class Doubts(Gate):
    """Believes the first window of a call at once; before it reads the others again it waits for the test."""

    def decode_early(
        self, windows: Sequence[Window], early: Early, between: Between = nothing_between
    ) -> list[Answer]:
        self.seen.put([w.id for w in windows])
        answers = self._inner.decode(windows)
        early(0, answers[0])
        self.go.acquire(timeout=10)
        self.read_again(windows)
        return answers

    def read_again(self, windows: Sequence[Window]) -> None: ...


def test_a_row_that_is_decoded_again_does_not_delay_the_other_results_of_its_call() -> None:
    engine, inbox = Doubts(), Inbox()
    pool = pool_of(engine)
    pool.submit(window("alone"), "a", inbox)
    engine.seen.get(timeout=10)
    for name in ("sure", "doubted"):
        pool.submit(window(name), "a", inbox)
    engine.go.release()
    assert inbox.next().id == "alone"
    assert engine.seen.get(timeout=10) == ["sure", "doubted"]
    assert inbox.next().id == "sure"
    assert inbox.is_empty
    engine.go.release()
    assert inbox.next().id == "doubted"
    assert pool.stop(1) and inbox.is_empty


def test_an_answer_given_early_is_not_given_again_when_the_call_fails_after_it() -> None:
    class FailsLate(Doubts):
        def read_again(self, windows: Sequence[Window]) -> None:
            if len(windows) > 1:
                raise EngineError("told to fail")

    engine, inbox = FailsLate(), Inbox()
    metrics = EngineMetrics()
    pool = Pool([engine], PlannerConfig(), observer=metrics)
    pool.submit(window("alone"), "a", inbox)
    engine.seen.get(timeout=10)
    for name in ("sure", "doubted"):
        pool.submit(window(name), "a", inbox)
    for _ in range(4):
        engine.go.release()
    assert [inbox.next().id for _ in range(3)] == ["alone", "sure", "doubted"]
    assert pool.stop(5) and inbox.is_empty
    text = metrics.exposition(pool.statistics()).decode()
    assert 'host_stt_engine_windows_total{outcome="text",priority="final"} 3.0' in text


class Stepwise(Gate):
    """Stops in the middle of each call: tells the test, waits for it, and lets others go between."""

    def __init__(self) -> None:
        super().__init__()
        self.ended: queue.Queue[list[str]] = queue.Queue()

    def decode_early(
        self, windows: Sequence[Window], early: Early, between: Between = nothing_between
    ) -> list[Answer]:
        self.seen.put([w.id for w in windows])
        self.go.acquire(timeout=10)
        between()
        self.ended.put([w.id for w in windows])
        return self._inner.decode(windows)


def test_finals_that_arrive_during_a_call_of_a_file_are_decoded_between_its_steps() -> None:
    engine, inbox = Stepwise(), Inbox()
    metrics = EngineMetrics()
    pool = Pool([engine], PlannerConfig(), observer=metrics)
    pool.submit(window("file", channel="C01", priority=BACKGROUND), "a", inbox)
    assert engine.seen.get(timeout=10) == ["file"]
    pool.submit(window("interim", channel="C02", priority=INTERIM), "a", inbox)
    for name in ("f1", "f2"):
        pool.submit(window(name, channel=name), "a", inbox)
    for _ in range(4):
        engine.go.release()
    assert set(inbox.take(4)) == {"file", "interim", "f1", "f2"}
    assert [engine.ended.get(timeout=10) for _ in range(3)] == [["f1", "f2"], ["file"], ["interim"]]
    assert pool.stop(5)
    statistics = pool.statistics()
    assert statistics.busy_replicas == 0
    text = metrics.exposition(statistics).decode()
    assert 'host_stt_engine_windows_total{outcome="text",priority="final"} 2.0' in text
    assert 'host_stt_engine_windows_total{outcome="text",priority="background"} 1.0' in text


def test_the_time_of_finals_between_counts_as_wait_of_the_file_and_not_as_its_decode() -> None:
    now = [0.0]

    class Takes(Stepwise):
        """Each call takes a second: half of it before others go between."""

        def decode_early(
            self, windows: Sequence[Window], early: Early, between: Between = nothing_between
        ) -> list[Answer]:
            now[0] += 0.5
            answers = super().decode_early(windows, early, between)
            now[0] += 0.5
            return answers

    engine, inbox = Takes(), Inbox()
    pool = Pool([engine], PlannerConfig(), clock=lambda: now[0])
    pool.submit(window("file", priority=BACKGROUND), "a", inbox)
    engine.seen.get(timeout=10)
    pool.submit(window("final", channel="C02"), "a", inbox)
    engine.go.release()
    assert engine.seen.get(timeout=10) == ["final"]
    assert pool.statistics().busy_replicas == 1
    assert pool.statistics().longest_decode_s == pytest.approx(0.5), "of the final"
    engine.go.release()
    answers = inbox.take(2)
    assert all(isinstance(answer, Transcript) for answer in answers.values())
    figures = {name: (a.queue_ms, a.decode_ms) for name, a in answers.items() if isinstance(a, Transcript)}
    assert figures == {"final": (0, 1000), "file": (1000, 1000)}
    pool.stop(1)


def test_a_final_that_fails_between_fails_alone() -> None:
    class FailsOnFinals(Stepwise):
        def decode_early(
            self, windows: Sequence[Window], early: Early, between: Between = nothing_between
        ) -> list[Answer]:
            if windows[0].priority is FINAL:
                raise EngineError("told to fail")
            return super().decode_early(windows, early, between)

    engine, inbox = FailsOnFinals(), Inbox()
    pool = pool_of(engine)
    pool.submit(window("file", priority=BACKGROUND), "a", inbox)
    engine.seen.get(timeout=10)
    pool.submit(window("final", channel="C02"), "a", inbox)
    engine.go.release()
    answers = inbox.take(2)
    assert (code_of(answers["final"]), code_of(answers["file"])) == ("engine_failed", "text")
    pool.stop(1)


def test_out_of_memory_halves_the_batches_and_decoding_continues() -> None:
    class Small(Gate):
        def decode(self, windows: Sequence[Window]) -> list[Answer]:
            answers = super().decode(windows)
            if len(windows) > 2:
                raise RuntimeError("CUDA failed with error out of memory")
            return answers

    reported: queue.Queue[str] = queue.Queue()
    engine, inbox = Small(), Inbox()
    pool = Pool([engine], PlannerConfig(batch_max=4), on_fatal=reported.put)
    pool.submit(window("alone"), "a", inbox)
    engine.seen.get(timeout=10)
    for n in range(8):
        pool.submit(window(f"w{n}"), "a", inbox)
    for _ in range(20):
        engine.go.release()
    assert {code_of(answer) for answer in inbox.take(9).values()} == {"text"}
    sizes = [len(engine.seen.get(timeout=10)) for _ in range(5)]
    assert sizes == [4, 2, 2, 2, 2]
    assert reported.empty()
    pool.stop(1)


def test_a_second_worker_is_kept_for_finals() -> None:
    engine, inbox = Gate(), Inbox()
    pool = Pool([engine], PlannerConfig(), workers=2)
    for name in ("i1", "i2"):
        pool.submit(window(name, channel=name, priority=INTERIM), "a", inbox)
    assert len(engine.seen.get(timeout=10)) >= 1
    pool.submit(window("f1"), "a", inbox)
    assert engine.seen.get(timeout=10) == ["f1"]
    for _ in range(4):
        engine.go.release()
    assert {code_of(answer) for answer in inbox.take(3).values()} == {"text"}
    pool.stop(1)


def test_missing_results_of_an_engine_are_a_failure() -> None:
    class Loses(FakeEngine):
        def decode(self, windows: Sequence[Window]) -> list[Answer]:
            return []

    pool, inbox = pool_of(Loses()), Inbox()
    pool.submit(window("w1"), "a", inbox)
    assert code_of(inbox.next()) == "engine_failed"
    pool.stop(1)


def test_a_gpu_fault_is_answered_and_reported_as_fatal() -> None:
    class Faulty(FakeEngine):
        def decode(self, windows: Sequence[Window]) -> list[Answer]:
            raise RuntimeError("CUDA failed with error an illegal memory access was encountered")

    reported: queue.Queue[str] = queue.Queue()
    inbox = Inbox()
    pool = Pool([Faulty()], PlannerConfig(), on_fatal=reported.put)
    pool.submit(window("w1"), "a", inbox)
    assert code_of(inbox.next()) == "engine_failed"
    assert "illegal memory access" in reported.get(timeout=10)
    pool.stop(1)


def test_a_receiver_that_fails_does_not_stop_the_pool() -> None:
    pool, inbox = pool_of(FakeEngine(script_of("one"))), Inbox()

    def broken(answer: Answer) -> None:
        raise ConnectionResetError("gone")

    pool.submit(window("w1"), "a", broken)
    pool.submit(window("w2"), "a", inbox)
    assert code_of(inbox.next()) == "text"
    pool.stop(1)


def test_stopping_decodes_waiting_windows_and_closes_the_engine() -> None:
    engine, inbox = Gate(), Inbox()
    pool = pool_of(engine)
    for i in range(5):
        pool.submit(window(f"w{i}"), "a", inbox)
    for _ in range(5):
        engine.go.release()
    assert pool.stop(10)
    assert [code_of(a) for a in inbox.take(5).values()] == ["text"] * 5
    assert engine.closed
    pool.submit(window("late"), "a", inbox)
    assert code_of(inbox.next()) == "engine_stopping"


def test_a_stop_that_cannot_wait_answers_what_is_left_as_retryable() -> None:
    engine, inbox = Gate(), Inbox()
    pool = pool_of(engine)
    pool.submit(window("stuck"), "a", inbox)
    engine.seen.get(timeout=10)
    pool.submit(window("waiting"), "a", inbox)
    assert not pool.stop(0.05)
    answer = inbox.next()
    assert (answer.id, code_of(answer)) == ("waiting", "engine_stopping")
    engine.go.release()
    assert inbox.next().id == "stuck"


def test_windows_of_a_disconnected_source_are_not_decoded() -> None:
    engine, inbox, other = Gate(), Inbox(), Inbox()
    pool = pool_of(engine)
    pool.submit(window("first"), "b", other)
    engine.seen.get(timeout=10)
    pool.submit(window("gone"), "a", inbox)
    pool.submit(window("stays"), "b", other)
    pool.drop_source("a")
    engine.go.release()
    engine.go.release()
    assert engine.seen.get(timeout=10) == ["stays"]
    assert set(other.take(2)) == {"first", "stays"} and inbox.is_empty
    pool.stop(1)


def test_a_hanging_decode_is_visible_in_the_statistics() -> None:
    engine = FakeEngine(fault=FakeFault.HANG)
    now = [0.0]
    pool = Pool([engine], PlannerConfig(), clock=lambda: now[0])
    inbox = Inbox()
    pool.submit(window("w1"), "a", inbox)
    _until(lambda: pool.statistics().busy_replicas == 1)
    now[0] = 100.0
    assert pool.statistics().longest_decode_s == 100.0 == pool.statistics().oldest_wait_s
    engine.close()
    assert code_of(inbox.next()) == "engine_failed"
    pool.stop(1)


def test_the_worst_wait_is_that_of_live_windows() -> None:
    engine, now = Gate(), [0.0]
    pool = Pool([engine], PlannerConfig(), clock=lambda: now[0])
    inbox = Inbox()
    pool.submit(window("first"), "a", inbox)
    engine.seen.get(timeout=10)
    pool.submit(window("later", priority=Priority.BACKGROUND), "a", inbox)
    now[0] = 2.0
    assert pool.statistics().worst_wait_s == 0.0
    pool.submit(window("second"), "a", inbox)
    now[0] = 5.0
    assert pool.statistics().worst_wait_s == 3.0
    for _ in range(3):
        engine.go.release()
    inbox.take(3)
    statistics = pool.statistics()
    assert statistics.worst_wait_s == 3.0
    live = statistics.live
    assert (live.waits, live.finals + live.interims, live.p50_s, live.p95_s) == (2, 2, 0.0, 3.0)
    assert live.decoding_s == 5.0, "the first call, on this clock"
    pool.stop(1)


def test_a_long_batch_is_given_longer_before_it_counts_as_hung() -> None:
    engine, now = Gate(), [0.0]
    pool = Pool([engine], PlannerConfig(batch_max=8), clock=lambda: now[0])
    inbox = Inbox()
    pool.submit(window("first"), "a", inbox)
    engine.seen.get(timeout=10)
    for n in range(8):
        pool.submit(window(f"w{n}"), "a", inbox)
    engine.go.release()
    assert len(engine.seen.get(timeout=10)) == 8
    now[0] = 100.0
    assert (pool.statistics().longest_decode_s, pool.statistics().hang_clock_s) == (100.0, 50.0)
    engine.go.release()
    inbox.take(9)
    pool.stop(1)


@pytest.mark.parametrize("batch_max", [1, 4])
def test_many_windows_from_many_threads_are_each_answered_once(batch_max: int) -> None:
    engines = [FakeEngine(script_of("one")), FakeEngine(script_of("one"))]
    metrics = EngineMetrics()
    pool = Pool(engines, PlannerConfig(batch_max=batch_max, queue_finals=1000), observer=metrics)
    inbox = Inbox()

    def send(source: int) -> None:
        for i in range(50):
            pool.submit(window(f"s{source}-{i}"), f"s{source}", inbox)

    threads = [threading.Thread(target=send, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    answers = inbox.take(200)
    assert len(answers) == 200 and {code_of(a) for a in answers.values()} == {"text"}
    for thread in threads:
        thread.join()
    assert pool.stop(5) and inbox.is_empty
    text = metrics.exposition(pool.statistics()).decode()
    assert 'host_stt_engine_windows_total{outcome="text",priority="final"} 200.0' in text


def _until(holds: object) -> None:
    assert callable(holds)
    for _ in range(1000):
        if holds():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it never came to hold")


class ChecksTerms(Gate):
    """An engine that counts its finals with terms."""

    def term_finals(self) -> dict[TermFinal, int]:
        return {TermFinal.CHECKED: 3, TermFinal.SURE: 5}


def test_the_metrics_count_finals_with_terms_and_those_without_a_second_decode() -> None:
    metrics = EngineMetrics()
    pool = Pool([ChecksTerms(), ChecksTerms()], PlannerConfig())
    try:
        text = metrics.exposition(pool.statistics()).decode()
    finally:
        pool.stop(1)
    assert 'host_stt_engine_term_finals{outcome="checked"} 6.0' in text
    assert 'host_stt_engine_term_finals{outcome="sure"} 10.0' in text
