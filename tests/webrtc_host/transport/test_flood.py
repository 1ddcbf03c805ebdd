"""A packet rate above that of speech is refused, and a sender that continues is cut off."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from host_stt.contract import SAMPLE_RATE
from webrtc_host.transport.flood import FloodConfig, PacketBudget

SMALL = FloodConfig(packets_per_s=100, burst_packets=50, refused_max=20)


def test_speech_and_packets_delayed_by_a_stall_are_not_refused() -> None:
    budget = PacketBudget()
    assert all(budget.take(n * SAMPLE_RATE // 400) for n in range(10_000))
    assert all(budget.take(40 * SAMPLE_RATE) for _ in range(2_000))
    assert budget.refused == 0


def test_a_flood_is_refused_and_then_cut_off() -> None:
    budget = PacketBudget(SMALL)
    assert [budget.take(0) for _ in range(60)] == [True] * 50 + [False] * 10
    assert not budget.is_exhausted
    assert not any(budget.take(0) for _ in range(11))
    assert budget.is_exhausted


@given(st.lists(st.integers(0, SAMPLE_RATE), min_size=1, max_size=300))
def test_no_more_than_burst_and_rate_are_allowed(gaps: list[int]) -> None:
    budget, now, allowed = PacketBudget(SMALL), 0, 0
    for gap in gaps:
        now += gap
        allowed += budget.take(now)
    assert allowed <= SMALL.burst_packets + now * SMALL.packets_per_s / SAMPLE_RATE
    assert allowed + budget.refused == len(gaps)
