from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_stt.alignment import Alignment, timed_words
from host_stt.contract import Word

EOT = 100


class Splitter:
    """Tokens are indices into a list of pieces, one piece one word token, as faster-whisper's
    Tokenizer gives them.
    """

    eot = EOT

    def __init__(self, pieces: list[str], language_code: str = "en") -> None:
        self._pieces = pieces
        self.language_code = language_code

    def split_to_word_tokens(self, tokens: list[int]) -> tuple[list[str], list[list[int]]]:
        return ["" if t == EOT else self._pieces[t] for t in tokens], [[t] for t in tokens]


def words_of(
    pieces: list[str],
    starts: list[int],
    language: str = "en",
    length_s: float = 4.0,
    start_sample: int = 0,
) -> tuple[Word, ...]:
    """The words of pieces whose tokens begin at the given encoder positions (20 ms each); the last is
    the end.
    """
    path = [(token, position) for token, position in enumerate(starts)]
    noise = np.random.default_rng(1).standard_normal(int(length_s * 16000)).astype(np.float32)
    alignment = Alignment(path, [0.9, 0.8, 0.7, 0.6, 0.5][: len(pieces)])
    return timed_words(
        list(range(len(pieces))), alignment, Splitter(pieces, language), noise * 0.1, start_sample
    )


def test_words_lie_where_their_tokens_begin() -> None:
    words = words_of([" alpha", " one"], [10, 50, 90], start_sample=16000)
    assert [(w.text, w.start_sample, w.end_sample) for w in words] == [
        ("alpha", 16000 + 3200, 16000 + 16000),
        ("one", 16000 + 16000, 16000 + 28800),
    ]
    assert [w.probability for w in words] == [0.9, 0.8]


@pytest.mark.parametrize(
    ("pieces", "language", "expected"),
    [
        ([" Alpha", "-1"], "en", ["Alpha-1"]),
        ([" gate", ",", " seven", "."], "en", ["gate,", "seven."]),
        ([" (", "yes", ")"], "en", ["(yes)"]),
        ([" 알파", "원", " 이동"], "ko", ["알파원", "이동"]),
        (["你", "好", "。"], "zh", ["你", "好。"]),
        (["“", "你", "”"], "zh", ["“你”"]),
    ],
)
def test_punctuation_and_word_pieces_are_joined_to_their_word(
    pieces: list[str], language: str, expected: list[str]
) -> None:
    words = words_of(pieces, [10 * (i + 1) for i in range(len(pieces) + 1)], language)
    assert [w.text for w in words] == expected


def test_only_scripts_without_spaces_give_words_without_one() -> None:
    assert [w.leading_space for w in words_of([" one", " two"], [1, 2, 3])] == [True, True]
    assert [w.leading_space for w in words_of(["你", "好"], [1, 2, 3], "zh")] == [False, False]


def test_punctuation_does_not_change_the_length_or_probability_of_a_word() -> None:
    (word,) = words_of([" gate", "."], [10, 50, 150])
    assert (word.end_sample, word.probability) == (50 * 320, 0.9)


def test_a_position_behind_the_window_is_clamped() -> None:
    words = words_of([" alpha", " one"], [10, 900, 1400], length_s=2)
    assert words[-1].end_sample == 32000


def test_no_words_come_from_no_tokens() -> None:
    assert words_of([], [1]) == ()


@given(st.lists(st.integers(0, 1500), min_size=4, max_size=4))
def test_words_are_in_order_and_inside_the_window_for_any_alignment(starts: list[int]) -> None:
    words = words_of([" one", " two", " three"], starts, start_sample=5)
    floor = 5
    for word in words:
        assert floor <= word.start_sample <= word.end_sample <= 5 + 64000
        floor = word.end_sample
