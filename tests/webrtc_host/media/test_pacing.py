"""How long a source that is faster than real time has to wait."""

from __future__ import annotations

from host_stt.contract import SAMPLE_RATE
from webrtc_host.media.pacing import Pace, PaceConfig

FRAME = SAMPLE_RATE // 10
CONFIG = PaceConfig()


def passed(pace: Pace, start: int, now: int) -> int:
    """The number of samples that may pass at this moment, from `start` on."""
    at = start
    while not pace.wait_samples(at + FRAME, now):
        pace.pass_on(FRAME)
        at += FRAME
    return at - start


def test_a_source_in_real_time_never_waits() -> None:
    pace = Pace(CONFIG, 0)
    for end in range(FRAME, 100 * FRAME, FRAME):
        assert pace.wait_samples(end, end) == 0
        pace.pass_on(FRAME)


def test_a_file_gets_no_further_ahead_than_the_lead() -> None:
    pace = Pace(CONFIG, 0)
    at = 0
    for now in range(0, 20 * SAMPLE_RATE, 800):
        at += passed(pace, at, now)
        assert at - now <= CONFIG.lead_samples + now // 1000
    assert at >= 20 * SAMPLE_RATE - FRAME, "and no slower than real time"


def test_the_wait_is_exactly_what_is_missing() -> None:
    pace = Pace(CONFIG, 0)
    end = 2 * SAMPLE_RATE
    wait = pace.wait_samples(end, 0)
    assert wait == end - CONFIG.lead_samples
    assert pace.wait_samples(end, wait) == 0


def test_a_fast_clock_is_not_slowed() -> None:
    """500 parts per million: ahead by 1.8 s after an hour."""
    pace = Pace(CONFIG, 0)
    for second in range(0, 3600, 10):
        now = second * SAMPLE_RATE
        assert pace.wait_samples(now + now // 2000, now) == 0


def test_delayed_audio_passes_at_eight_times_real_time() -> None:
    pace = Pace(CONFIG, 0)
    now = 60 * SAMPLE_RATE
    at = passed(pace, 0, now)
    assert CONFIG.burst_samples <= at <= CONFIG.burst_samples + 2 * FRAME
    later = now + SAMPLE_RATE
    assert abs(passed(pace, at, later) - 2 * SAMPLE_RATE) <= 2 * FRAME, "no more than the burst is saved up"
    ticks = range(later, later + SAMPLE_RATE, 160)
    again = sum(passed(pace, at, tick) for tick in ticks)
    assert abs(again - 8 * SAMPLE_RATE) <= SAMPLE_RATE // 5


def test_a_clock_that_goes_back_allows_no_audio() -> None:
    pace = Pace(CONFIG, 1000)
    assert passed(pace, -SAMPLE_RATE * 10, 1000) > 0
    assert pace.wait_samples(-SAMPLE_RATE * 5, 0) > 0
