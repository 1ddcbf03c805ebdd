"""Which speech of an utterance has no words, where windows overlap."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from host_stt.contract import Unread, UnreadReason
from webrtc_host.speech.unread import UnreadSpeech, split_window

NO_WORDS, SHED = UnreadReason.NO_WORDS, UnreadReason.NOT_READ_AGAIN


def test_a_window_alone_is_split_at_its_holes() -> None:
    unread = (Unread(20, 30, NO_WORDS), Unread(60, 100, SHED))
    assert split_window(0, 100, unread) == [
        (0, 20, None),
        (20, 30, NO_WORDS),
        (30, 60, None),
        (60, 100, SHED),
    ]


def test_a_hole_at_the_end_of_a_window_is_filled_by_the_next_window() -> None:
    speech = UnreadSpeech()
    speech.read(0, 100, [Unread(60, 100, NO_WORDS)])
    speech.read(80, 200, [])
    assert speech.split(0, 150) == [(0, 60, None), (60, 80, NO_WORDS), (80, 150, None)]


def test_a_hole_in_both_windows_is_a_hole() -> None:
    speech = UnreadSpeech()
    speech.read(0, 100, [Unread(60, 100, NO_WORDS)])
    speech.read(80, 200, [Unread(80, 120, SHED)])
    assert speech.split(0, 200) == [(0, 60, None), (60, 100, NO_WORDS), (100, 120, SHED), (120, 200, None)]


def test_time_without_a_window_is_not_unread() -> None:
    assert UnreadSpeech().split(0, 10) == [(0, 10, None)]


def test_dropped_time_is_not_reported_any_more() -> None:
    speech = UnreadSpeech()
    speech.read(0, 100, [Unread(20, 100, NO_WORDS)])
    speech.forget(100)
    assert speech.split(0, 100) == [(0, 100, None)]


stretches = st.tuples(st.integers(0, 100), st.integers(0, 100)).map(lambda ab: (min(ab), max(ab) + 1))


@given(
    st.lists(st.tuples(stretches, st.lists(stretches, max_size=3)), max_size=4),
    stretches,
)
def test_a_sample_is_unread_when_all_windows_over_it_say_so(
    windows: list[tuple[tuple[int, int], list[tuple[int, int]]]], asked: tuple[int, int]
) -> None:
    speech = UnreadSpeech()
    for (start, end), holes in windows:
        speech.read(start, end, [Unread(a, b, NO_WORDS) for a, b in holes])
    split = speech.split(*asked)
    assert (split[0][0], split[-1][1]) == asked
    assert all(a[1] == b[0] and a[2] != b[2] for a, b in pairwise(split))
    for sample in range(*asked):
        over = [holes for (start, end), holes in windows if start <= sample < end]
        is_unread = bool(over) and all(any(a <= sample < b for a, b in holes) for holes in over)
        (reason,) = [reason for a, b, reason in split if a <= sample < b]
        assert (reason is NO_WORDS) is is_unread
