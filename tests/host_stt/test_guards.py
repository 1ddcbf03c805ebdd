from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_stt.guards import (
    RULES,
    DecodeResult,
    Verdict,
    is_laughter,
    is_quiet,
    is_rejected,
    is_too_fast,
    judge,
    loop_length,
    says_twice,
    without_loop,
)


def result(
    text: str = "alpha one proceed to gate seven",
    avg_logprob: float = -0.1,
    no_speech_prob: float = 0.01,
    is_capped: bool = False,
) -> DecodeResult:
    return DecodeResult(text, (), avg_logprob, no_speech_prob, is_capped)


def test_a_confident_result_is_kept() -> None:
    assert judge(result()) is None


@pytest.mark.parametrize(
    ("doubtful", "name", "verdict"),
    [
        (result(text=""), "no letters", Verdict.NO_SPEECH),
        (result(text="... ... -"), "no letters", Verdict.NO_SPEECH),
        (result(no_speech_prob=0.7, avg_logprob=-1.2), "doubtful speech", Verdict.NO_SPEECH),
        (result(no_speech_prob=0.99, avg_logprob=-0.5), "no speech", Verdict.NO_SPEECH),
        (result("I'm", avg_logprob=-2.2, no_speech_prob=0.58), "doubtful words", Verdict.NO_SPEECH),
        (result("Haha!", avg_logprob=-1.4, no_speech_prob=0.56), "laughter", Verdict.NO_SPEECH),
        (result("아하", avg_logprob=-0.85, no_speech_prob=0.53), "laughter", Verdict.NO_SPEECH),
        (result(is_capped=True), "token cap", Verdict.RETRY),
        (result(text="thank you very much " * 20), "compresses", Verdict.RETRY),
        (result(text="go to gate go to gate go to gate"), "repeats", Verdict.RETRY),
        (result(text="เอาถ้าว่า" + "ดู" * 7), "repeats syllables", Verdict.RETRY),
        (result(text="I'll put on some Mububububububububububububub"), "repeats syllables", Verdict.RETRY),
    ],
)
def test_each_rule_catches_its_case(doubtful: DecodeResult, name: str, verdict: Verdict) -> None:
    rule = judge(doubtful)
    assert rule is not None and (rule.name, rule.verdict) == (name, verdict)
    assert is_rejected(doubtful) is (verdict is Verdict.RETRY)


def test_a_sentence_that_comes_twice_is_rejected_and_one_that_comes_once_is_not() -> None:
    assert is_rejected(result(text="Proceed to gate seven. Proceed to gate seven."))
    assert not is_rejected(result(text="Proceed to gate seven."))


def test_every_rule_has_a_case_above() -> None:
    assert [rule.name for rule in RULES] == [
        "no letters",
        "doubtful speech",
        "no speech",
        "doubtful words",
        "laughter",
        "token cap",
        "compresses",
        "repeats",
        "repeats syllables",
    ]


def test_confident_words_are_kept_when_only_the_speech_probability_is_low() -> None:
    assert judge(result(no_speech_prob=0.99, avg_logprob=-0.1)) is None
    assert judge(result(no_speech_prob=0.1, avg_logprob=-1.5)) is None


@pytest.mark.parametrize(
    "text",
    [
        "no no no no no",
        "하하하하하",
        "call 88888888 at once",
        "hahaha yes",
        "네 네 네 알겠습니다",
        "banana bandana",
    ],
)
def test_usual_repetitions_of_people_are_not_loops_of_syllables(text: str) -> None:
    rule = judge(result(text=text))
    assert rule is None or rule.name != "repeats syllables"


def test_digits_spoken_three_times_are_not_a_loop() -> None:
    assert judge(result(text="speed two two two")) is None
    assert loop_length("two two two two two".split()) == 1


def test_a_loop_is_reduced_to_one_copy() -> None:
    assert list(without_loop("go to gate to gate to gate to gate".split())) == "go to gate".split()
    assert list(without_loop("a b".split())) == ["a", "b"]


@given(st.lists(st.integers(0, 3), max_size=20), st.lists(st.integers(4, 9), min_size=2, max_size=5))
def test_any_repeated_end_is_found(begin: list[int], group: list[int]) -> None:
    said = begin + group * 3
    assert loop_length(said) > 0
    assert len(without_loop(said)) < len(said)
    assert list(said[: len(begin)]) == list(without_loop(said)[: len(begin)])


@pytest.mark.parametrize(("level", "expected"), [(0.0, True), (1e-5, True), (1e-3, False), (0.1, False)])
def test_quiet_audio_is_recognised(level: float, expected: bool) -> None:
    noise = np.random.default_rng(1).standard_normal(16000).astype(np.float32) * np.float32(level)
    assert is_quiet(noise) is expected
    assert is_quiet(noise[:100]) is expected


def test_one_loud_moment_is_not_quiet() -> None:
    samples = np.zeros(160_000, np.float32)
    samples[80_000:80_800] = 0.1
    assert not is_quiet(samples)


def test_confident_laughter_is_kept() -> None:
    assert judge(result("Haha!", avg_logprob=-0.3, no_speech_prob=0.5)) is None
    assert judge(result("Haha!", avg_logprob=-0.9, no_speech_prob=0.05)) is None


@pytest.mark.parametrize("text", ["hi", "he", "hello", "아", "hahaha funny", "호랑이", "7"])
def test_words_are_not_taken_for_laughter(text: str) -> None:
    assert not is_laughter(text)


@pytest.mark.parametrize(
    ("text", "is_doubted"),
    [
        ("Stand by for orders. Stand by for orders.", True),
        ("안녕하세요 안녕하세요", True),
        ("Affirmative, affirmative.", True),
        ("Mayday, mayday.", False),
        ("Negative, negative.", False),
        ("Stand by for orders. Stand by for an order.", False),
        ("Stand by for orders.", False),
        ("", False),
    ],
)
def test_a_long_text_that_comes_twice_is_doubted(text: str, is_doubted: bool) -> None:
    assert says_twice(text) == is_doubted


def test_nobody_says_more_than_twenty_letters_in_a_second() -> None:
    assert is_too_fast("Stand by for orders. Stand by for orders.", 1.5)
    assert not is_too_fast("Stand by for orders. Stand by for orders.", 1.7)
    assert is_too_fast("안녕하세요 안녕하세요", 1.0) and not is_too_fast("안녕하세요 안녕하세요", 1.2)
