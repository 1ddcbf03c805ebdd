from __future__ import annotations

from typing import Any

import pytest

from host_stt_cli.loadtest.verdict import Answer, Limits, judge
from tests.cli.loadtest.reports import report

LIMITS = Limits()


def test_a_run_within_all_limits_is_a_yes_with_the_busiest_part() -> None:
    verdict = judge(report(), LIMITS)
    assert verdict.answer is Answer.YES and verdict.answer.exit_status == 0
    assert verdict.sentence == (
        "this machine handles 16 channels at 50 % talk: yes. "
        "The busiest part is the engine, decoding 62 % of the time."
    )


def test_what_a_sweep_held_tells_how_much_is_to_spare() -> None:
    assert "yes, with 43 % to spare" in judge(report(), LIMITS, largest=28).sentence
    assert "to spare" not in judge(report(), LIMITS, largest=16).sentence


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"measures__ttfs_ms": {"n": 160, "p50": 900.0, "p95": 2310.0}}, "p95 is 2310 ms, over 1500 ms"),
        ({"measures__ttfs_ms": {"n": 0}}, "no utterance got its final text"),
        ({"measures__missed": 5}, "5 of 160 utterances got no text"),
        ({"measures__windows_failed": 1}, "1 windows could not be transcribed"),
        ({"measures__finals_refused": 2}, "2 finals were refused"),
        ({"measures__coverage_s__shed": 3.0}, "3.0 s of audio were shed"),
        ({"measures__coverage_s__failed": 3.0}, "3.0 s of audio were failed"),
        ({"measures__coverage_s__lost": 3.0}, "lost, although the load test lost no packets"),
        ({"measures__coverage_s__unknown": 100.0}, "100 s of audio have no coverage event"),
        ({"measures__accuracy__rate": 0.09}, "WER is 5.0 points higher than without load"),
        (
            {"measures__growth__ttfs_ms_per_hour": {"n": 160, "slope": 60_000.0, "standard_error": 900.0}},
            "grew by 1000 ms over the run",
        ),
    ],
)
def test_each_exceeded_limit_is_a_no_that_names_it(changes: dict[str, Any], reason: str) -> None:
    verdict = judge(report(**changes), LIMITS)
    assert verdict.answer is Answer.NO and verdict.answer.exit_status == 1
    assert len(verdict.reasons) == 1 and reason in verdict.sentence
    assert "The limiting part is the engine" in verdict.sentence


def test_loss_on_the_way_is_no_fault_of_the_server() -> None:
    lossy = report(load__loss=0.05, measures__coverage_s__lost=20.0, measures__missed=4)
    assert judge(lossy, LIMITS).answer is Answer.YES


@pytest.mark.parametrize(
    ("figure", "slope", "reason"),
    [
        ("8082 rss_mb_per_hour", 90.0, "memory of 8082 grows by 90 MB an hour"),
        ("8081 threads_per_hour", 9.0, "8081, the engine, gains 9 threads an hour"),
        ("timecode_ms_per_hour", -70.0, "timecodes drift by -70 ms an hour"),
    ],
)
def test_only_a_soak_run_judges_slow_growth(figure: str, slope: float, reason: str) -> None:
    creeping = report(load__seconds=3600.0)
    creeping["measures"]["growth"][figure] = {"n": 3600, "slope": slope, "standard_error": 1.0}
    assert judge(creeping, LIMITS).answer is Answer.YES
    assert judge(creeping, Limits(is_soak=True)).reasons == (reason,)
    creeping["measures"]["growth"][figure]["standard_error"] = abs(slope)
    assert judge(creeping, Limits(is_soak=True)).answer is Answer.YES, "it may be chance"


def test_growth_that_may_be_chance_is_not_held_against_it() -> None:
    chance = {"n": 160, "slope": 60_000.0, "standard_error": 40_000.0}
    assert judge(report(measures__growth__ttfs_ms_per_hour=chance), LIMITS).answer is Answer.YES


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {"generator__late_ms": {"n": 9, "p50": 20.0, "p95": 132.0}},
            "the load test itself was late by 132 ms",
        ),
        ({"measures__utterances": 0}, "no utterance was sent as a whole"),
        ({"generator__broken": "a reconnect failed"}, "a reconnect failed"),
    ],
)
def test_a_run_that_measured_something_else_is_neither_yes_nor_no(changes: dict[str, Any], why: str) -> None:
    verdict = judge(report(**changes), LIMITS)
    assert verdict.answer is Answer.UNMEASURED and verdict.answer.exit_status == 2
    assert why in verdict.sentence


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"processes__8082__cpu_percent_mean": 95.0}, "8082, at 95 % of a core"),
        ({"machine__cpu_percent_mean": 97.0}, "the machine, with 97 % of its cores in use"),
        ({"measures__gpu": {"load_percent_mean": 99.0}}, "the GPU, 99 % busy"),
    ],
)
def test_the_busiest_part_is_the_one_nearest_to_its_end(changes: dict[str, Any], part: str) -> None:
    assert judge(report(**changes), LIMITS).limiting == part


def test_a_server_elsewhere_has_no_busiest_part_to_be_seen() -> None:
    far = report(processes={}, machine={"processor": "x", "cores": 2})
    del far["measures"]["engine_busy"]
    assert "not known" in judge(far, LIMITS).limiting


@pytest.mark.parametrize(
    ("accuracy", "alone"),
    [
        ({"kind": "WER", "rate": 1.5, "n": 16}, {"kind": "WER", "rate": 1.0, "n": 16}),
        ({"kind": "WER", "rate": 0.0625, "n": 16}, {"kind": "WER", "rate": 0.0, "n": 16}),
    ],
)
def test_words_that_the_model_cannot_read_or_too_few_of_them_are_not_judged(
    accuracy: dict[str, Any], alone: dict[str, Any]
) -> None:
    assert judge(report(measures__accuracy=accuracy, measures__alone=alone), LIMITS).answer is Answer.YES
