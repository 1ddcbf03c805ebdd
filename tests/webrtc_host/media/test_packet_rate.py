from __future__ import annotations

from webrtc_host.media.packet_rate import BASE_PER_S, BURST_S, LINE_PER_S, PacketRate, rate_of_lines


def allowed(rate: PacketRate, count: int, now_s: float) -> int:
    return sum(rate.allows(now_s) for _ in range(count))


def test_a_burst_passes_until_the_bucket_is_empty() -> None:
    assert allowed(PacketRate(10, 25, 0.0), 40, 0.0) == 25


def test_it_fills_again_at_its_rate_and_never_beyond_its_size() -> None:
    rate = PacketRate(10, 25, 0.0)
    allowed(rate, 40, 0.0)
    assert allowed(rate, 40, 1.5) == 15
    assert allowed(rate, 40, 1000.0) == 25


def test_sixteen_lines_of_20_ms_packets_never_run_dry_not_even_after_a_stall_of_five_seconds() -> None:
    rate = rate_of_lines(16, 0.0)
    for second in range(100):
        assert allowed(rate, 16 * 50 + 50, float(second)) == 850
    assert allowed(rate, 5 * 850, 105.0) == 5 * 850


def test_a_flood_from_one_line_is_over_within_a_second() -> None:
    rate = rate_of_lines(1, 0.0)
    passed = sum(allowed(rate, 100, step / 1000) for step in range(1000))
    assert passed <= (BASE_PER_S + LINE_PER_S) * (BURST_S + 1)
