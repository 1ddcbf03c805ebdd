"""Ranges with values, against a dictionary that knows every moment by itself."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from host_stt_common.ranges import RangeMap

changes = st.lists(
    st.tuples(st.integers(0, 40), st.integers(-3, 20), st.sampled_from(["a", "b", None])), max_size=40
)


def made(told: list[tuple[int, int, str | None]]) -> tuple[RangeMap[str], dict[int, str]]:
    """The map after these changes (start, length, value; None removes), and the truth."""
    ranges, truth = RangeMap[str](), dict[int, str]()
    for start, length, value in told:
        if value is None:
            ranges.remove(start, start + length)
        else:
            ranges.put(start, start + length, value)
        for at in range(start, start + length):
            if value is None:
                truth.pop(at, None)
            else:
                truth[at] = value
    return ranges, truth


@settings(deadline=None)  # a busy machine is no mistake
@given(changes)
def test_the_last_value_of_a_position_counts_and_equal_neighbours_are_joined(
    told: list[tuple[int, int, str | None]],
) -> None:
    ranges, truth = made(told)
    found = list(ranges)
    assert {at: value for start, end, value in found for at in range(start, end)} == truth
    assert sum(end - start for start, end, _ in found) == len(truth)
    for (_, end, value), (start, _, other) in zip(found, found[1:], strict=False):
        assert end < start or (end == start and value != other)
    assert len(ranges) == len(found)


@settings(deadline=None)  # a busy machine is no mistake
@given(changes, st.integers(-5, 70), st.integers(-5, 70))
def test_removed_parts_become_gaps(told: list[tuple[int, int, str | None]], start: int, end: int) -> None:
    ranges, truth = made(told)
    parts, gaps = list(ranges.between(start, end)), ranges.gaps(start, end)
    wanted = set(range(start, end))
    assert {at: v for low, high, v in parts for at in range(low, high)} == {
        at: value for at, value in truth.items() if at in wanted
    }
    assert {at for low, high in gaps for at in range(low, high)} == wanted - set(truth)
    assert all(low < high for low, high, _ in parts) and all(low < high for low, high in gaps)
    assert gaps == sorted(gaps)
    around = ranges.at(start)
    assert (None if around is None else around[2]) == truth.get(start)
    assert around is None or (around in list(ranges) and around[0] <= start < around[1])


def test_an_empty_range_changes_nothing() -> None:
    ranges, _ = made([(0, 10, "a")])
    assert list(ranges.between(5, 5)) == list(ranges.between(6, 4)) == []
    assert ranges.gaps(15, 12) == []
    ranges.put(5, 5, "b")
    ranges.remove(6, 4)
    assert list(ranges) == [(0, 10, "a")]


@settings(deadline=None)  # a busy machine is no mistake
@given(changes, st.integers(0, 10))
def test_the_earliest_ranges_are_dropped(told: list[tuple[int, int, str | None]], count: int) -> None:
    ranges, _ = made(told)
    before = list(ranges)
    ranges.remove_first(count)
    assert list(ranges) == before[count:]
