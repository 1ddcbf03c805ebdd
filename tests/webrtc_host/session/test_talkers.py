"""Which radios were heard in a stretch of time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from webrtc_host.events import Talker
from webrtc_host.session.talkers import TALKERS_MAX, Talkers


def test_a_radio_sends_until_the_next_one_begins_or_the_call_ends() -> None:
    talkers = Talkers([Talker(1, 1000), Talker(2, 3000)])
    found = [talkers.between(*span) for span in ((0, 1000), (900, 1100), (2900, 3100))]
    assert [[one.id for one in some] for some in found] == [[], [1], [1, 2]]
    assert [one.id for one in talkers.between(3000, 9000)] == [2]
    talkers.end(5000)
    assert talkers.now is None
    assert talkers.between(5000, 9000) == ()
    talkers.begin(Talker(3, 8000))
    assert [one.id for one in talkers.between(4000, 9000)] == [2, 3]
    assert Talkers().between(0, 1000) == ()


@given(st.lists(st.integers(0, 100), max_size=12), st.integers(0, 100), st.integers(1, 100))
def test_every_moment_after_the_first_beginning_has_one_radio(
    starts: list[int], start_ms: int, length: int
) -> None:
    known = [Talker(number, at) for number, at in enumerate(sorted(starts))]
    found = Talkers(known).between(start_ms, start_ms + length)
    expected = {
        max((one for one in known if one.start_ms <= moment), key=lambda one: one.id).id
        for moment in range(start_ms, start_ms + length)
        if known and known[0].start_ms <= moment
    }
    assert {one.id for one in found} == expected


def test_only_the_newest_changes_are_kept() -> None:
    talkers = Talkers()
    for at in range(TALKERS_MAX + 10):
        talkers.begin(Talker(at, at))
    assert [one.id for one in talkers.between(0, 12)] == [10, 11]
