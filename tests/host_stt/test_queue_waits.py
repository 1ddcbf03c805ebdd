"""The longest wait of the last minute."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from host_stt.queue_waits import WITHIN_S, QueueWaits


def test_a_wait_counts_while_it_goes_on_and_for_a_minute_after_its_end() -> None:
    waits = QueueWaits()
    assert waits.worst_s(0.0) == 0.0
    waits.arrived(1, 10.0)
    waits.arrived(2, 11.0)
    assert waits.worst_s(14.0) == 4.0
    waits.taken([1], 15.0)
    waits.taken([2, 3], 15.5)
    assert waits.worst_s(16.0) == 5.0
    assert waits.worst_s(15.0 + WITHIN_S) == 5.0
    assert waits.worst_s(15.4 + WITHIN_S) == 4.5
    assert waits.worst_s(16.0 + WITHIN_S) == 0.0


def test_a_window_that_is_not_decoded_does_not_count() -> None:
    waits = QueueWaits()
    waits.arrived(1, 0.0)
    waits.forget(1)
    waits.taken([1], 50.0)
    assert waits.worst_s(50.0) == 0.0


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 90)), max_size=40))
def test_it_is_the_longest_of_all_waits_of_the_minute(steps: list[tuple[int, int]]) -> None:
    waits, now, ended = QueueWaits(), 100, list[tuple[int, int]]()
    for number, (pause, waited) in enumerate(steps):
        now += pause
        waits.arrived(number, now - waited)
        waits.taken([number], now)
        ended.append((now, waited))
        lately = [seconds for at, seconds in ended if now - at <= WITHIN_S]
        assert waits.worst_s(now) == max(lately)
