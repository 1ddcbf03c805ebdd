"""A job's audio comes in order, and no sample twice."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.webrtc_host.recovery.fed_channel import SECOND, sound
from webrtc_host.recovery.audio import JOIN_SAMPLES, Run, joined, pieces
from webrtc_host.recovery.known import Known, Range
from webrtc_host.recovery.plan import AROUND_SAMPLES, plan_of_gaps


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 10)), min_size=1, max_size=4),
)
def test_the_audio_of_gaps_comes_in_order_and_no_sample_twice(
    runs: list[tuple[int, int]], gaps: list[tuple[int, int]]
) -> None:
    sent = [Run(a * SECOND, sound(n)) for a, n in sorted(runs)]
    plan = plan_of_gaps(Known(), [Range(a * SECOND, (a + n) * SECOND) for a, n in sorted(gaps)])
    blocks = list(pieces(sent, plan.audio()))
    for before, after in zip(blocks, blocks[1:], strict=False):
        assert before.end_sample <= after.start_sample
    read = {s for b in blocks for s in range(b.start_sample // SECOND, b.end_sample // SECOND)}
    present = {s for a, n in runs for s in range(a, a + n)}
    around = AROUND_SAMPLES // SECOND
    near = {s for a, n in gaps for s in range(max(0, a - around), a + n + around)}
    assert read == present & near


def test_pieces_that_follow_each_other_are_one_run() -> None:
    one, two, three = sound(1), sound(0.5), sound(0.25)
    apart = 2 * SECOND + JOIN_SAMPLES + 1
    runs = joined([(0, one), (SECOND + JOIN_SAMPLES, two), (apart, three)])
    assert [(run.start_sample, len(run.samples)) for run in runs] == [(0, 24_000), (apart, 4000)]
    assert joined([]) == []
    assert np.array_equal(runs[1].samples, three)
