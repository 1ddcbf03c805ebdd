"""Timecodes as people read them."""

from __future__ import annotations

import pytest

from webrtc_host.transcript.timecode import timecode


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "00:00.000"),
        (61_234, "01:01.234"),
        (3_599_999, "59:59.999"),
        (3_600_000, "01:00:00.000"),
        (36_061_007, "10:01:01.007"),
        (360_000_000, "100:00:00.000"),
    ],
)
def test_minutes_until_one_hour_then_hours(ms: int, text: str) -> None:
    assert timecode(ms) == text


def test_a_time_before_the_session_is_refused() -> None:
    with pytest.raises(ValueError, match="-1 ms lies before"):
        timecode(-1)
