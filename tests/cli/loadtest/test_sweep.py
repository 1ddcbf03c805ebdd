from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from host_stt_cli.loadtest.sweep import FINE, judged, largest
from host_stt_cli.loadtest.verdict import Limits, Verdict, judge
from tests.cli.loadtest.reports import report


@given(st.integers(0, 64), st.integers(1, 64), st.integers(1, 64))
async def test_the_limit_is_found_to_a_tenth_without_repeating_a_run(
    edge: int, first: int, most: int
) -> None:
    tried: list[int] = []

    async def holds(channels: int) -> bool:
        tried.append(channels)
        return channels <= edge

    found = await largest(holds, first, most)
    true = min(edge, most)
    assert found <= true and true - found < max(1, found // FINE)
    assert len(tried) == len(set(tried)) and all(1 <= n <= most for n in tried)
    assert len(tried) <= 12


async def test_from_sixteen_on_the_edge_takes_seven_runs_at_most() -> None:
    for edge in range(16, 65):
        tried: list[int] = []

        async def holds(channels: int, edge: int = edge, tried: list[int] = tried) -> bool:
            tried.append(channels)
            return channels <= edge

        await largest(holds, 16, 64)
        assert len(tried) <= 7, f"{edge}: {tried}"


def step(channels: int, p95: float) -> tuple[dict[str, Any], Verdict]:
    found = report(load__channels=channels, measures__ttfs_ms__p95=p95)
    return found, judge(found, Limits())


def test_the_verdict_names_what_is_to_spare_and_what_gives_way_beyond() -> None:
    over = step(32, 1900.0)
    over[0]["machine"]["cpu_percent_mean"] = 99.0
    runs = [step(16, 900.0), (over[0], judge(over[0], Limits())), step(24, 1400.0)]
    found, verdict = judged(runs, 16, 64, 24, Limits())
    assert found["load"]["channels"] == 16
    assert "16 channels at 50 % talk: yes, with 33 % to spare" in verdict.sentence
    assert (
        "The largest number that worked is 24 channels; at 32: time to final text p95 is 1900 ms"
        in verdict.sentence
    )
    assert verdict.limiting == "the machine, with 99 % of its cores in use"
    assert [one["channels"] for one in found["sweep"]["runs"]] == [16, 24, 32]


def test_a_sweep_whose_channels_do_not_hold_is_a_no_that_names_what_does() -> None:
    found, verdict = judged([step(16, 1900.0), step(8, 900.0)], 16, 64, 8, Limits())
    assert verdict.answer.exit_status == 1 and found["load"]["channels"] == 16
    assert "16 channels at 50 % talk: no" in verdict.sentence
    assert "The largest number that worked is 8 channels" in verdict.sentence


def test_a_sweep_that_all_of_them_hold_says_that_no_more_were_asked_for() -> None:
    _, verdict = judged([step(16, 900.0), step(20, 900.0)], 16, 20, 20, Limits())
    assert (
        "The largest number that worked is 20 channels; no larger number was requested." in verdict.sentence
    )
