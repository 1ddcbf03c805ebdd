from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_stt_cli.loadtest.plan import FRAME_MS, GAP_MS, PAUSE_MS, Load, Part, script

CLIPS = [1500, 2200, 3010]


def speech_ms(part: Part) -> int:
    return sum(utterance.end_ms - utterance.start_ms for utterance in part.utterances)


def test_the_same_options_give_the_same_script_and_another_seed_another() -> None:
    assert script(Load(seed=3), CLIPS) == script(Load(seed=3), CLIPS)
    assert script(Load(seed=3), CLIPS) != script(Load(seed=4), CLIPS)


@given(st.floats(0.05, 1), st.integers(0, 99), st.floats(0, 1))
def test_utterances_are_in_order_apart_and_inside_the_run(talk: float, seed: int, overlap: float) -> None:
    load = Load(channels=3, seconds=120, talk=talk, seed=seed, overlap=overlap)
    for part in script(load, CLIPS):
        bounds = [(u.start_ms, u.end_ms) for u in part.utterances]
        assert all(end <= 120_000 for _, end in bounds)
        for (_, end), (start, _) in zip(bounds, bounds[1:], strict=False):
            assert start - end >= PAUSE_MS - FRAME_MS
        for u in part.utterances:
            assert u.start_ms == u.sayings[0].frame * FRAME_MS
            assert u.end_ms == u.sayings[-1].frame * FRAME_MS + CLIPS[u.sayings[-1].clip]
            for one, two in zip(u.sayings, u.sayings[1:], strict=False):
                gap = two.frame * FRAME_MS - one.frame * FRAME_MS - CLIPS[one.clip]
                assert GAP_MS <= gap < GAP_MS + FRAME_MS


@pytest.mark.parametrize("talk", [0.2, 0.5])
def test_a_channel_speaks_for_the_configured_share_of_time(talk: float) -> None:
    parts = script(Load(channels=8, seconds=600, talk=talk), CLIPS)
    share = sum(speech_ms(part) for part in parts) / 8 / 600_000
    assert share == pytest.approx(talk, rel=0.1)


def test_full_talk_leaves_only_the_pauses_that_end_utterances() -> None:
    parts = script(Load(channels=4, seconds=600, talk=1), CLIPS)
    assert sum(speech_ms(part) for part in parts) / 4 / 600_000 > 0.85


def test_with_full_overlap_all_speak_at_the_same_moments() -> None:
    first, *others = script(Load(channels=4, overlap=1), CLIPS)
    assert first.utterances and all(part == first for part in others)
    starts = {part.utterances[0].start_ms for part in script(Load(channels=8), CLIPS)}
    assert len(starts) > 4, "without it, each has its own"


def test_reconnects_are_spread_over_the_run() -> None:
    (part,) = script(Load(channels=1, seconds=100, reconnects=4), CLIPS)
    assert len(part.reconnect_ms) == 4
    assert list(part.reconnect_ms) == sorted(part.reconnect_ms)
    assert all(0 < ms < 100_000 for ms in part.reconnect_ms)


@pytest.mark.parametrize(
    "wrong", [{"channels": 0}, {"channels": 65}, {"talk": 0}, {"talk": 1.1}, {"loss": 0.9}, {"seconds": 0}]
)
def test_an_impossible_load_is_refused_with_the_name_of_the_option(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(ValueError, match=name):
        Load(**wrong)
