from __future__ import annotations

from host_stt_common.rates import Bucket
from webrtc_host.transport.packet_rate import BASE_PER_S, BURST_S, LINE_PER_S, rate_of_lines


def allowed(rate: Bucket, count: int, now_s: float) -> int:
    return sum(rate.take(1, now_s) for _ in range(count))


def test_sixteen_tracks_stay_below_the_limit_even_after_a_stall_of_five_seconds() -> None:
    rate = rate_of_lines(16)
    for second in range(100):
        assert allowed(rate, 16 * 50 + 50, float(second)) == 850
    assert allowed(rate, 5 * 850, 105.0) == 5 * 850


def test_a_flood_from_one_track_exceeds_the_limit_within_a_second() -> None:
    rate = rate_of_lines(1)
    passed = sum(allowed(rate, 100, step / 1000) for step in range(1000))
    assert passed <= (BASE_PER_S + LINE_PER_S) * (BURST_S + 1)
