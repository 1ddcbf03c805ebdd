"""Rates of frames and messages, at a time that is set by hand."""

from __future__ import annotations

import pytest

from host_stt_common.rates import Bucket, FrameRates, watcher_messages


def run(rates: FrameRates, sockets: int, frames_per_s: float, seconds: float, caller: str = "a") -> float:
    """The longest wait when so many sockets of one address bring frames at that rate."""
    longest = 0.0
    with_contexts = [rates.socket(caller) for _ in range(sockets)]
    opened = [context.__enter__() for context in with_contexts]
    for number in range(int(frames_per_s * seconds)):
        longest = max(longest, *(one.wait_s(number / frames_per_s) for one in opened))
    for context in with_contexts:
        context.__exit__(None, None, None)
    return longest


@pytest.mark.parametrize(("sockets", "frames_per_s"), [(16, 50), (64, 50), (64, 100), (16, 400), (1, 400)])
def test_a_gateway_is_never_slowed(sockets: int, frames_per_s: float) -> None:
    assert run(FrameRates(), sockets, frames_per_s, 10) == 0


def test_one_socket_of_tiny_frames_is_slowed() -> None:
    assert run(FrameRates(), 1, 16_000, 1) == pytest.approx((16_000 - 1600 - 800) / 800, rel=0.01)


def test_all_sockets_of_an_address_share_one_rate() -> None:
    rates = FrameRates()
    assert run(rates, 64, 500, 2) > 2
    assert len(rates) == 0, "nothing is remembered of who has left"
    assert run(rates, 16, 50, 1, caller="b") == 0


def test_a_watcher_may_send_twenty_messages_in_ten_seconds() -> None:
    bucket = watcher_messages()
    assert [bucket.take(1, 0.0) for _ in range(22)] == [True] * 20 + [False] * 2
    assert bucket.take(1, 0.5)
    bucket = watcher_messages()
    assert all(bucket.take(1, number * 0.5) for number in range(200))


def test_a_bucket_fills_up_to_its_burst_only() -> None:
    bucket = Bucket(10, 20)
    assert bucket.spend(20, 0) == 0
    assert bucket.spend(10, 1000) == 0
    assert bucket.spend(10, 1000) == 0
    assert bucket.spend(10, 1000) == 1.0


def test_a_burst_is_taken_until_the_bucket_is_empty_and_then_at_the_rate() -> None:
    bucket = Bucket(10, 25)
    assert sum(bucket.take(1, 0.0) for _ in range(40)) == 25
    assert sum(bucket.take(1, 1.5) for _ in range(40)) == 15
    assert sum(bucket.take(1, 1000.0) for _ in range(40)) == 25


def test_a_query_of_the_waiting_time_takes_no_tokens() -> None:
    bucket = Bucket(2, 3)
    assert [bucket.wait_s(3, 0), bucket.wait_s(4, 0)] == [0, 0.5]
    assert bucket.spend(5, 0) == 1.0
    assert [bucket.wait_s(0, 0), bucket.wait_s(1, 0)] == [1.0, 1.5]


def test_a_bucket_of_whole_numbers_counts_without_rounding() -> None:
    bucket = Bucket(3, 16_000)
    assert bucket.take(16_000, 7)
    assert not bucket.take(16_000, 7 + 5333)
    assert bucket.take(15_999, 7 + 5333)


def test_a_clock_that_goes_back_changes_nothing() -> None:
    bucket = Bucket(1, 5)
    assert bucket.take(5, 100.0)
    assert bucket.wait_s(1, 50.0) == bucket.wait_s(1, 100.0) == 1.0


def test_a_socket_that_is_slowed_without_a_pause_is_a_flood() -> None:
    with FrameRates().socket("a") as rate:
        for number in range(61_000):
            rate.wait_s(number / 1000)
        assert not rate.is_flood, "slowed since its burst was used up"
        for number in range(61_000, 80_000):
            rate.wait_s(number / 1000)
        assert rate.is_flood
