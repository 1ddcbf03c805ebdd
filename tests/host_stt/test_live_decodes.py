"""Waits of the last minute and sums since the start, of live windows only."""

from __future__ import annotations

from host_stt.contract import Priority
from host_stt.live_decodes import LiveDecodes, LiveFigures
from host_stt.queue_waits import WITHIN_S


def test_without_windows_there_are_no_quantiles() -> None:
    assert LiveDecodes().figures(0.0) == LiveFigures(0, None, None, 0, 0, 0.0)


def test_the_waits_are_those_of_the_last_minute_and_the_sums_stay() -> None:
    decodes = LiveDecodes()
    decodes.decoded(Priority.FINAL, [9.0], 0.5, at_s=10.0)
    for number in range(1, 101):
        decodes.decoded(Priority.INTERIM, [number / 100], 0.25, at_s=20.0)
    assert decodes.figures(20.0) == LiveFigures(101, 0.51, 0.96, 1, 100, 25.5)
    assert decodes.figures(10.5 + WITHIN_S) == LiveFigures(100, 0.5, 0.95, 1, 100, 25.5)
    assert decodes.figures(20.5 + WITHIN_S) == LiveFigures(0, None, None, 1, 100, 25.5)


def test_a_recording_does_not_count() -> None:
    decodes = LiveDecodes()
    decodes.decoded(Priority.BACKGROUND, [50.0, 60.0], 7.0, at_s=1.0)
    assert decodes.figures(1.0) == LiveFigures(0, None, None, 0, 0, 0.0)


def test_each_window_of_a_call_waits_and_the_call_takes_its_time_once() -> None:
    decodes = LiveDecodes()
    decodes.decoded(Priority.FINAL, [1.0, 3.0], 2.0, at_s=1.0)
    assert decodes.figures(1.0) == LiveFigures(2, 1.0, 3.0, 2, 0, 2.0)
