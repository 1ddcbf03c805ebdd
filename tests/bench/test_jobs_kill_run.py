"""How the kill test of jobs compares the text of a job with that of an undisturbed run."""

from __future__ import annotations

import pytest

from bench.jobs_kill_run import Line, Verdict, compared

REFERENCE: list[Line] = [(0, "alpha"), (5000, "bravo"), (9000, "alpha")]


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (REFERENCE, Verdict(0, 0, 0, 0)),
        ([(120, "alpha"), (5000, "bravo"), (9000, "alpha")], Verdict(0, 0, 0, 0)),
        ([(0, "alpha"), (9000, "alpha")], Verdict(1, 0, 0, 0)),
        ([*REFERENCE, (5010, "bravo")], Verdict(0, 1, 0, 0)),
        ([(0, "alpha"), (5000, "bravo two"), (9000, "alpha")], Verdict(0, 0, 1, 0)),
        ([(0, "alpha"), (6000, "bravo"), (9000, "alpha")], Verdict(0, 0, 0, 1)),
        ([], Verdict(3, 0, 0, 0)),
    ],
)
def test_each_difference_is_counted_as_what_it_is(found: list[Line], verdict: Verdict) -> None:
    assert compared(REFERENCE, found) == verdict
