from __future__ import annotations

import pytest

from host_stt.contract import Segment, Transcript, Word
from tests.webrtc_host.speech.helpers import S
from webrtc_host.speech.words import ALIKE, normalised, similarity, text_of, tokens_of, words_of


@pytest.mark.parametrize(
    ("written", "compared"),
    [("Seven,", "seven"), ("ＡＢＣ", "abc"), ("don't", "dont"), ("알파원.", "알파원"), ("—", "")],
)
def test_case_width_and_punctuation_do_not_count(written: str, compared: str) -> None:
    assert normalised(written) == compared


@pytest.mark.parametrize(
    ("a", "b"), [("seven", "saven"), ("seven", "sev"), ("seven", "ven"), ("two", "too"), ("알파원", "알바원")]
)
def test_misspelt_and_cut_off_words_are_alike(a: str, b: str) -> None:
    assert similarity(a, b) == similarity(b, a) >= ALIKE


@pytest.mark.parametrize(("a", "b"), [("seven", "gate"), ("north", "south"), ("", "gate"), ("two", "ten")])
def test_different_words_are_not_alike(a: str, b: str) -> None:
    assert similarity(a, b) < ALIKE


def test_text_without_word_times_is_spread_over_its_segment() -> None:
    segment = Segment("alpha one", 0, S, -0.2, 0.0, 1.0)
    words = words_of(Transcript("w", (segment,), "en", 1.0, -0.2, 0.0, 1.0))
    assert [(w.text, w.start_sample, w.end_sample) for w in words] == [("alpha", 0, 9600), ("one", 9600, S)]


def test_scripts_without_spaces_fall_into_characters_and_come_back_whole() -> None:
    assert tokens_of("ab 你好。 안녕 cd你") == [
        *[
            ("ab", True),
            ("你", True),
            ("好", False),
            ("。", False),
            ("안녕", True),
            ("cd", True),
            ("你", False),
        ]
    ]
    words = [Word(text, 0, 1, 1.0, space) for text, space in tokens_of("我们 go 去。")]
    assert text_of(words) == "我们 go 去。"
