"""Ranges are equal to a plain set of samples after any additions and removals."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from webrtc_host.media.ranges import RangeSet

pairs = st.tuples(st.integers(0, 40), st.integers(0, 40)).map(sorted)


@given(st.lists(st.tuples(st.booleans(), pairs), max_size=20), pairs)
def test_ranges_hold_the_samples_that_were_added_and_not_removed(
    changes: list[tuple[bool, list[int]]], asked: list[int]
) -> None:
    ranges, truth = RangeSet(), set[int]()
    for is_added, (start, end) in changes:
        if is_added:
            ranges.add(start, end)
            truth |= set(range(start, end))
        else:
            ranges.remove(start, end)
            truth -= set(range(start, end))
    assert {sample for start, end in ranges for sample in range(start, end)} == truth
    listed = list(ranges)
    assert all(a[0] < a[1] < b[0] for a, b in zip(listed, listed[1:], strict=False))
    start, end = asked
    taken = sorted(truth & set(range(start, end)))
    found = ranges.overlap(start, end)
    assert (found is None) == (not taken)
    if found is not None:
        assert found[0] == taken[0]
        assert set(range(*found)) <= truth


def test_the_end_of_the_range_around_a_sample() -> None:
    ranges = RangeSet()
    ranges.add(10, 20)
    ranges.add(20, 30)
    assert len(ranges) == 1
    assert (ranges.end_around(10), ranges.end_around(29)) == (30, 30)
    assert (ranges.end_around(9), ranges.end_around(30)) == (9, 30)


@given(st.lists(pairs, max_size=12), pairs)
def test_gaps_are_the_samples_outside_all_ranges(added: list[list[int]], asked: list[int]) -> None:
    ranges, truth = RangeSet(), set[int]()
    for start, end in added:
        ranges.add(start, end)
        truth |= set(range(start, end))
    found = ranges.gaps(*asked)
    assert {sample for gap in found for sample in range(*gap)} == set(range(*asked)) - truth
    assert all(a[0] < a[1] < b[0] for a, b in zip(found, found[1:], strict=False))


def test_the_oldest_ranges_are_dropped_first() -> None:
    ranges = RangeSet()
    for start in (0, 20, 40):
        ranges.add(start, start + 10)
    assert ranges.forget_oldest(3) is None
    assert ranges.forget_oldest(2) == 20
    assert list(ranges) == [(20, 30), (40, 50)]
