from __future__ import annotations

import math
from pathlib import Path

import pytest
from faster_whisper import available_models

from host_stt.model_cost import AvailableModel, ModelCost
from host_stt.model_order import ACCURACY, OTHER_NAMES, is_english_only, is_more_accurate

COST = ModelCost(final_s=0.4, interim_s=0.3, speech_s=6.0)


def test_one_channel_waits_for_its_own_window_alone() -> None:
    assert COST.p95_s(1) == 0.4


def test_a_load_of_five_percent_or_less_adds_only_the_call_that_is_running() -> None:
    assert COST.p95_s(2) == pytest.approx(0.4 + 0.3)  # load 0.5 * 0.4 / 6 = 0.033


def test_more_channels_add_the_wait_of_the_queue() -> None:
    load = 15 * 0.5 * 0.4 / 6  # of 16 channels
    wait_s = 0.4 / (2 * (1 - load)) * math.log(load / 0.05)
    assert COST.p95_s(16) == pytest.approx(0.4 + 0.3 + wait_s)


def test_the_search_of_unsure_finals_counts_in_full_for_the_text_and_in_part_for_the_load() -> None:
    searching = ModelCost(final_s=0.4, interim_s=0.3, speech_s=6.0, searched_s=0.6)
    assert searching.p95_s(1) == 0.6
    mean_s = 0.4 + 0.3 * 0.2
    load = 15 * 0.5 * mean_s / 6
    wait_s = mean_s / (2 * (1 - load)) * math.log(load / 0.05)
    assert searching.p95_s(16) == pytest.approx(0.6 + 0.3 + wait_s)
    assert ModelCost(0.9, 0.1, 6.0).keeps_limit(1) and not ModelCost(0.9, 0.1, 6.0, 1.1).keeps_limit(1)


def test_glossary_terms_make_each_final_longer_and_leave_interims_as_they_are() -> None:
    measured = ModelCost(final_s=0.4, interim_s=0.3, speech_s=6.0, searched_s=0.6, termed_s=0.9)
    with_terms = measured.with_terms()
    assert with_terms.final_s == pytest.approx(0.9) and with_terms.searched_s == pytest.approx(1.1)
    assert with_terms.interim_s == 0.3
    assert measured.keeps_limit(1) and not with_terms.keeps_limit(1)
    assert "of 6.0 s with glossary terms takes 0.90 s" in with_terms.sentence(1)
    assert "glossary" not in measured.sentence(1)


def test_terms_that_the_engine_does_not_use_cost_nothing() -> None:
    assert COST.with_terms() == COST
    assert ModelCost(0.4, 0.3, 6.0, termed_s=0.9).with_terms().searched_s == 0, "no search stays no search"


def test_the_estimate_grows_with_the_channels_until_the_engine_falls_behind() -> None:
    estimates = [COST.p95_s(channels) for channels in range(1, 31)]
    known = [one for one in estimates if one is not None]
    assert known == sorted(known) and len(known) == 30
    assert COST.p95_s(31) is None  # load 1
    assert not COST.keeps_limit(31)


def test_the_limit_is_one_second() -> None:
    assert ModelCost(1.0, 9.0, 6.0).keeps_limit(1)
    assert not ModelCost(1.01, 0.1, 6.0).keeps_limit(1)


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, math.inf])
def test_a_cost_is_a_time_above_zero(seconds: float) -> None:
    with pytest.raises(ValueError, match="a time above 0"):
        ModelCost(seconds, 1.0, 6.0)


def test_a_model_shows_its_figures_and_whether_it_is_fast_enough() -> None:
    model = AvailableModel("base", Path("/m/base"), COST, is_chosen=True)
    assert model.body(1) == {
        "name": "base",
        "is_chosen": True,
        "final_ms": 400,
        "final_p95_ms": 400,
        "keeps_limit": True,
        "note": "",
    }
    assert model.sentence(4) == (
        "a window of 6.0 s takes 0.40 s; final text of 4 channels within 0.85 s at p95 (estimate)"
    )
    assert "would fall behind (estimate); over the limit of 1 s" in model.sentence(40)


def test_a_model_without_a_cost_says_so() -> None:
    model = AvailableModel("mine", Path("/m/mine"), note="its accuracy is not known")
    assert model.body(4)["final_ms"] is None and model.body(4)["keeps_limit"] is None
    assert model.sentence(4) == "not measured; its accuracy is not known"


def test_every_name_of_the_order_is_one_of_faster_whisper_and_none_is_missing() -> None:
    others = [name for names in OTHER_NAMES.values() for name in names]
    assert sorted([*ACCURACY, *others]) == sorted(available_models())


def test_larger_models_come_first_and_english_ones_are_known() -> None:
    assert is_more_accurate("large-v3-turbo", "small") and not is_more_accurate("base", "small")
    assert [name for name in ACCURACY if not is_english_only(name)] == [
        "large-v3",
        "large-v2",
        "large-v3-turbo",
        "large-v1",
        "medium",
        "small",
        "base",
        "tiny",
    ]
