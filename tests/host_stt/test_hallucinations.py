"""Phantom phrases are dropped where there is next to no sound, and kept where somebody says them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from host_stt.contract import EndReason, Float32Array, Priority, Segment, Word
from host_stt.engines.rows import Decoded, Plan, Row, transcript_of
from host_stt.guards import DecodeResult
from host_stt.hallucinations import LIST, is_hallucination
from tests.support.windows import window

S = 16_000
START = 5 * S


def noise(dbfs: float, seconds: float = 2.0) -> Float32Array:
    rms = np.float32(10 ** (dbfs / 20))
    return np.random.default_rng(3).standard_normal(round(seconds * S)).astype(np.float32) * rms


def segment(
    text: str,
    no_speech_prob: float = 0.1,
    first_s: float = 0.0,
    last_s: float = 2.0,
    avg_logprob: float = -0.3,
) -> Segment:
    start, end = (START + round(at_s * S) for at_s in (first_s, last_s))
    return Segment(text, start, end, avg_logprob, no_speech_prob, 1.0)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Thank you.", "en"),
        ("thanks for watching!", "en"),
        (" You", "en"),
        ("Please subscribe to my channel.", "en"),
        ("시청해주셔서 감사합니다!", "ko"),
        ("MBC 뉴스 이덕영입니다.", "ko"),
    ],
)
def test_a_listed_phrase_over_faint_audio_is_a_hallucination(text: str, language: str) -> None:
    assert is_hallucination(segment(text), language, noise(-60), START)


@pytest.mark.parametrize("text", ["Thank you.", "bye bye", "okay"])
def test_a_listed_phrase_that_was_spoken_loudly_is_kept(text: str) -> None:
    assert not is_hallucination(segment(text), "en", noise(-25), START)


def test_low_confidence_of_the_model_is_enough() -> None:
    assert is_hallucination(segment("Thank you.", no_speech_prob=0.8), "en", noise(-25), START)


@pytest.mark.parametrize("text", ["Thank you, Alpha-1.", "alpha one proceed to gate seven", ""])
def test_other_words_are_never_hallucinations(text: str) -> None:
    assert not is_hallucination(segment(text, no_speech_prob=0.99), "en", noise(-70), START)


def test_a_listed_phrase_is_a_hallucination_in_its_own_language_only() -> None:
    assert not is_hallucination(segment("Thank you."), "ko", noise(-60), START)
    assert not is_hallucination(segment("Thank you."), "de", noise(-60), START), "a language without a list"


@pytest.mark.parametrize(
    ("text", "language", "no_speech_prob", "avg_logprob"),
    [
        ("Yeah.", "en", 0.53, -1.06),  # a throat being cleared
        ("Uh, hmm.", "en", 0.5, -1.2),
        ("응", "ko", 0.53, -1.06),
        ("Thank you very much.", "en", 0.54, -1.24),  # a cough
        ("Let's do it!", "en", 0.31, -0.89),  # a sneeze
        ("Let's do!", "en", 0.23, -0.55),
    ],
)
def test_text_for_a_cough_or_a_sneeze_is_a_hallucination_at_low_confidence(
    text: str, language: str, no_speech_prob: float, avg_logprob: float
) -> None:
    loud = noise(-25)
    doubted = segment(text, no_speech_prob, avg_logprob=avg_logprob)
    assert is_hallucination(doubted, language, loud, START)
    assert not is_hallucination(segment(text, 0.1, avg_logprob=avg_logprob), language, loud, START)
    assert not is_hallucination(segment(text, no_speech_prob, avg_logprob=-0.3), language, loud, START)


@pytest.mark.parametrize("text", ["Yeah.", "Let's do it!"])
def test_a_faint_yeah_is_kept(text: str) -> None:
    assert not is_hallucination(segment(text), "en", noise(-60), START)


def test_a_phrase_much_quieter_than_the_speech_of_its_window_is_a_hallucination() -> None:
    samples = np.concatenate([noise(-18), noise(-46)])
    said, phantom = segment("thank you", last_s=2.0), segment("thank you", first_s=2.1, last_s=3.5)
    assert is_hallucination(phantom, "en", samples, START)
    assert not is_hallucination(said, "en", samples, START)


def decoded(text: str, words: tuple[Word, ...], samples: Float32Array) -> Decoded:
    w = window(samples=samples, start_sample=START, priority=Priority.FINAL, language="en")
    result = DecodeResult(text, (1,) * 8, -0.3, 0.05, False)
    return Decoded(Row(0, w, samples, (), 1000, Plan(1)), result, "en", 1.0, words)


def test_only_the_hallucination_is_removed_from_a_transcript() -> None:
    samples = np.concatenate([noise(-18), noise(-55, 3.0)])
    said = Word("proceed", START, START + S, 0.9)
    thank, you = (
        Word("Thank", START + 3 * S, START + 4 * S, 0.5),
        Word("you.", START + 4 * S, START + 5 * S, 0.5),
    )
    answer = transcript_of(decoded("proceed Thank you.", (said, thank, you), samples), "m")
    assert (answer.text, answer.end_reason) == ("proceed", EndReason.COMPLETE)


def test_a_transcript_with_only_a_hallucination_becomes_no_speech() -> None:
    answer = transcript_of(decoded("Thank you.", (), noise(-60)), "m")
    assert (answer.text, answer.segments, answer.end_reason) == ("", (), EndReason.NO_SPEECH)


def test_the_list_names_its_sources_and_has_no_phrase_twice() -> None:
    listed = json.loads(LIST.read_text(encoding="utf-8"))
    assert len(listed["sources"]) >= 3 and set(listed["phrases"]) == {"en", "ko"}
    for phrases in listed["phrases"].values():
        assert len(phrases) == len(set(phrases)) >= 15
    for language, phrases in listed["phrases"].items():
        others = [*listed["sounds"].get(language, ()), *listed["sneezes"].get(language, ())]
        assert len(others) == len(set(others)) and not set(others) & set(phrases)
