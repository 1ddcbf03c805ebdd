"""When a plain text is so sure that the glossary terms need no check."""

from __future__ import annotations

import math

import pytest

from host_stt.contract import Word
from host_stt.engines.term_doubt import SURE_MIN, is_sure

TERMS = ("Medic-6", "Tango-5", "Blue-1", "임원 회의", "도서관")


def words(text: str, **probabilities: float) -> list[Word]:
    """Words of 0.1 s with a probability of 0.95, or the given one."""
    return [
        Word(one, n * 1600, (n + 1) * 1600, probabilities.get(one.strip(".,"), 0.95))
        for n, one in enumerate(text.split())
    ]


def test_text_without_a_doubtful_word_is_sure() -> None:
    assert is_sure(words("Proceed to the north gate."), TERMS)


def test_one_doubtful_word_is_a_doubt() -> None:
    assert not is_sure(words("Proceed to the north gate.", north=SURE_MIN - 0.01), TERMS)


def test_a_doubtful_word_of_a_term_that_the_text_has_is_none() -> None:
    assert is_sure(words("Blue 1, proceed to the gate.", Blue=0.2), TERMS)
    assert not is_sure(words("Blue 7, proceed to the gate.", Blue=0.2), TERMS)


@pytest.mark.parametrize(("heard", "doubtful"), [("Metixix,", "Metixix"), ("Hango 5,", "Hango")])
def test_words_that_are_like_a_term_must_be_surer(heard: str, doubtful: str) -> None:
    text = f"{heard} copy that over."
    assert not is_sure(words(text, **{doubtful: 0.7}), TERMS)
    assert is_sure(words(text, **{doubtful: 0.9}), TERMS)


@pytest.mark.parametrize("text", ["어제 이몬 회의에서 정했습니다", "그런 동서관이 좋습니다"])
def test_korean_words_are_like_a_term_with_and_without_a_particle(text: str) -> None:
    assert not is_sure(words(text, 이몬=0.6, 동서관이=0.6), TERMS)
    assert is_sure(words("어제 점심에 이렇게 정했습니다", 점심에=0.6), TERMS)


def test_text_without_words_is_never_sure() -> None:
    assert not is_sure([], TERMS)


def test_no_text_is_sure_where_every_final_is_to_be_checked() -> None:
    assert not is_sure(words("Proceed to the north gate."), TERMS, math.inf)
