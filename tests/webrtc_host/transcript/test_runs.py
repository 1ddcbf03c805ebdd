"""Laying runs of coverage: against a model that knows every millisecond by itself."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from webrtc_host.transcript.runs import Run, apply_runs

runs = st.builds(
    lambda start, length, state, reason: Run(start, start + length, state, reason),
    st.integers(0, 40),
    st.integers(0, 20),
    st.sampled_from(["lost", "silence", "transcribed"]),
    st.sampled_from([None, "network"]),
)


@settings(deadline=None)  # a busy machine is no mistake
@given(st.lists(runs, max_size=30))
def test_the_last_state_of_a_millisecond_counts_and_equal_neighbours_are_joined(told: list[Run]) -> None:
    model: dict[int, tuple[str, str | None]] = {}
    found: list[Run] = []
    for run in told:
        model |= dict.fromkeys(range(run.from_ms, run.to_ms), (run.state, run.reason))
        found = apply_runs(found, [run])
    said = {ms: (run.state, run.reason) for run in found for ms in range(run.from_ms, run.to_ms)}
    assert said == model
    assert sum(run.to_ms - run.from_ms for run in found) == len(model)
    for before, after in zip(found, found[1:], strict=False):
        assert before.to_ms <= after.from_ms
        assert before.to_ms < after.from_ms or (before.state, before.reason) != (after.state, after.reason)
