from __future__ import annotations

import pytest

from host_stt.contract import Word
from tests.webrtc_host.speech.helpers import S, texts
from webrtc_host.speech.joining import Overlap, join, without_repeated_tail

OVERLAP = Overlap(10 * S, 12 * S)


def said(*words: tuple[str, float], length_s: float = 0.3, probability: float = 0.9) -> list[Word]:
    return [Word(text, int(at * S), int((at + length_s) * S), probability) for text, at in words]


def test_both_windows_agree() -> None:
    left = said(("one", 9.9), ("two", 10.4), ("three", 10.9), ("four", 11.4))
    right = said(("two", 10.4), ("three", 10.9), ("four", 11.4), ("five", 11.9))
    assert texts(join(left, right, OVERLAP)) == "one two three four five"


def test_final_words_are_not_said_again_even_when_the_next_window_hears_their_end() -> None:
    left = said(("seven", 9.8), ("and", 10.4))
    right = said(("ven", 10.0), ("and", 10.4), ("hold", 10.9))
    assert texts(join(left, right, OVERLAP, fixed=1)) == "and hold"
    assert texts(join(left, right, OVERLAP, fixed=2)) == "hold"
    assert texts(join(said(("gate", 9.5)), right, OVERLAP, fixed=1)) == "ven and hold"


def test_where_no_word_reads_alike_the_sides_change_in_the_middle() -> None:
    left = said(("one", 9.9), ("gate", 10.4), ("xylo", 11.7))
    right = said(("mm", 10.0), ("four", 11.3), ("five", 11.9))
    assert texts(join(left, right, OVERLAP)) == "one gate four five"


def test_a_silent_overlap_loses_neither_side() -> None:
    assert texts(join(said(("one", 9.0)), said(("two", 12.5)), OVERLAP)) == "one two"
    assert texts(join(said(("one", 9.0)), [], OVERLAP)) == "one"
    assert texts(join([], said(("two", 12.5)), OVERLAP)) == "two"


def test_a_word_dropped_by_the_side_that_counts_is_taken_from_the_other() -> None:
    left = said(("one", 10.1), ("three", 11.0), ("four", 11.6))
    right = said(("one", 10.1), ("two", 10.55), ("three", 11.0), ("four", 11.6))
    assert texts(join(left, right, OVERLAP)) == "one two three four"
    doubtful = [*right[:1], *said(("two", 10.55), probability=0.1), *right[2:]]
    assert texts(join(left, doubtful, OVERLAP)) == "one three four"


def test_a_tail_said_twice_before_the_cut_is_said_once() -> None:
    left = said(("one", 9.9), ("two", 10.4), ("three", 10.9), ("two", 11.3), ("three", 11.6))
    right = said(("two", 10.4), ("three", 10.9), ("four", 11.4), ("five", 11.9))
    assert texts(join(left, right, OVERLAP)) == "one two three four five"


def test_a_word_spoken_twice_and_heard_twice_stays_twice() -> None:
    left = said(("one", 9.9), ("five", 10.4), ("five", 10.9))
    right = said(("five", 10.4), ("five", 10.9), ("six", 11.4))
    assert texts(join(left, right, OVERLAP)) == "one five five six"


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_tail_repeated_in_no_time_is_dropped(n: int) -> None:
    words = said(("alpha", 1.0), ("bravo", 1.5), ("charlie", 2.0), ("delta", 2.5))
    copy = [Word(w.text, int(2.8 * S), int(2.85 * S), 0.5) for w in words[-n:]]
    assert without_repeated_tail([*words, *copy], int(2.85 * S)) == words


def test_a_sentence_written_twice_in_the_time_of_one_is_dropped_once() -> None:
    words = said(*((f"w{n}", 1.0 + 0.4 * n) for n in range(10)))
    copy = [Word(w.text, int(4.9 * S), int(5.0 * S), 0.5) for w in words]
    assert without_repeated_tail([*words, *copy], int(5.0 * S)) == words


@pytest.mark.parametrize(
    ("text", "length_s", "is_kept"),
    [
        ("안녕하세요", 0.24, False),
        ("안녕하세요", 0.5, True),
        ("mayday", 0.25, True),
        ("affirmative", 0.25, False),
    ],
)
def test_a_word_written_twice_stays_only_if_its_letters_can_be_said_twice_in_the_time(
    text: str, length_s: float, is_kept: bool
) -> None:
    words = said((text, 1.0), (text, 1.0 + length_s), length_s=length_s)
    assert len(without_repeated_tail(words, 3 * S)) == 1 + is_kept


def test_a_sentence_spoken_twice_stays() -> None:
    words = said(*((f"w{n % 6}", 1.0 + 0.4 * n) for n in range(12)))
    assert without_repeated_tail(words, int(5.9 * S)) == words


def test_a_tail_spoken_twice_stays() -> None:
    words = said(("say", 1.0), ("again", 1.5), ("say", 2.0), ("again", 2.5))
    assert without_repeated_tail(words, int(2.8 * S)) == words


def spans(*words: tuple[str, float, float]) -> list[Word]:
    """Each with its start and end in seconds."""
    return [Word(text, int(start * S), int(end * S), 0.8) for text, start, end in words]


def test_a_copy_that_is_much_shorter_than_its_first_is_dropped() -> None:
    """What base wrote for "H" and for "six", with its times."""
    words = spans(("H", 1.35, 1.7), ("H", 1.7, 1.78))
    assert without_repeated_tail(words, int(2.18 * S)) == words[:1]
    words = spans(("six", 3.01, 3.79), ("six", 3.79, 3.89))
    assert without_repeated_tail(words, int(4.16 * S)) == words[:1]


def test_a_copy_that_is_half_as_long_stays() -> None:
    words = spans(("H", 1.35, 1.7), ("H", 1.8, 2.0))
    assert without_repeated_tail(words, int(2.3 * S)) == words


def test_a_spelled_word_takes_the_time_of_its_letters_and_figures() -> None:
    words = spans(("call", 0.8, 1.0), ("hm602", 1.0, 1.7), ("hm602", 1.7, 2.2))
    assert without_repeated_tail(words, int(2.3 * S)) == words[:2]
    slowly = spans(("call", 0.8, 1.0), ("hm602", 1.0, 2.6), ("hm602", 2.6, 4.2))
    assert without_repeated_tail(slowly, int(4.3 * S)) == slowly
