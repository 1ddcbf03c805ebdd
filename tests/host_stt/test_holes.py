"""Speech that no word covers is found, and a second reading fills it: nothing twice, nothing lost."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from host_stt.contract import SAMPLE_RATE, Word
from host_stt.holes import Hole, Range, fill, find_holes, is_unplaced, parts, voiced_ranges


def at(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE)


def word(text: str, start_s: float, end_s: float) -> Word:
    return Word(text, at(start_s), at(end_s), 0.9)


def evenly(text: str, start_s: float, each_s: float = 0.4) -> list[Word]:
    return [word(t, start_s + i * each_s, start_s + (i + 1) * each_s) for i, t in enumerate(text.split())]


def texts(words: list[Word]) -> str:
    return " ".join(w.text for w in words)


def spoken(*spans: tuple[float, float]) -> list[Range]:
    return [(at(a), at(b)) for a, b in spans]


def one_hole(words: list[Word], voiced: list[Range], length_s: float) -> Hole:
    (hole,) = find_holes(words, voiced, (0, at(length_s)))
    return hole


def test_a_sentence_without_words_between_two_sentences_is_a_hole() -> None:
    words = [*evenly("ten of clubs", 0.2), *evenly("seven of hearts", 8.0)]
    hole = one_hole(words, spoken((0.2, 1.4), (3.0, 5.5), (8.0, 9.2)), 10)
    assert (hole.start_sample, hole.end_sample) == (at(3.0), at(5.5))
    assert (hole.first, hole.after) == (3, 3)


def test_speech_without_words_at_the_windows_start_and_end_is_a_hole() -> None:
    words = evenly("seven of hearts", 8.0)
    voiced = spoken((0.5, 3.0), (8.0, 9.2), (11.0, 14.0))
    first, last = find_holes(words, voiced, (0, at(15)))
    assert (first.start_sample, first.end_sample) == (at(0.5), at(3.0))
    assert (last.start_sample, last.end_sample) == (at(11.0), at(14.0))


def test_a_result_without_words_is_one_hole() -> None:
    assert len(find_holes([], spoken((1, 3), (5, 8)), (0, at(10)))) == 1


def test_a_word_stretched_over_speech_does_not_cover_it() -> None:
    words = [*evenly("tango four eight november", 0.4), word("A", 5.0, 12.1), *evenly("thin stripe", 13.7)]
    assert is_unplaced(words[4])
    hole = one_hole(words, spoken((0.4, 2.0), (6.0, 11.9), (13.7, 14.5)), 15)
    assert (hole.first, hole.after) == (4, 5)


def test_short_speech_and_pauses_are_not_holes() -> None:
    words = [*evenly("go forward ten metres", 0.5), *evenly("over and out", 6.0)]
    assert not find_holes(words, spoken((0.5, 2.3), (3.4, 3.9), (6.0, 7.3)), (0, at(8)))


def test_digits_spoken_with_pauses_cover_the_speech_around_them() -> None:
    words = [word("H-M-6-0-2.", 2.1, 2.9), *evenly("your call cannot be completed", 6.0)]
    assert not find_holes(
        words, spoken((0.4, 0.9), (1.3, 1.7), (2.4, 3.7), (4.2, 4.5), (6.0, 8.0)), (0, at(9))
    )


def test_a_hole_reaches_from_word_to_word_because_the_detector_finds_weak_speech_late() -> None:
    words = [*evenly("ten of clubs", 0.2), *evenly("seven of hearts", 8.0)]
    hole = one_hole(words, spoken((0.2, 1.4), (4.0, 6.5), (8.0, 9.2)), 10)
    assert (hole.read_from, hole.read_to) == (at(1.4), at(7.0))


def test_words_of_the_second_decode_are_inserted_into_the_hole() -> None:
    words = [*evenly("ten of clubs", 0.2), *evenly("seven of hearts", 8.0)]
    hole = one_hole(words, spoken((0.2, 1.4), (3.0, 5.5), (8.0, 9.2)), 10)
    assert texts(fill(words, hole, evenly("four queen of clubs", 3.1))) == (
        "ten of clubs four queen of clubs seven of hearts"
    )


def test_a_word_at_the_edge_of_a_hole_is_not_written_twice() -> None:
    words = [*evenly("ten of clubs", 0.2), *evenly("seven of hearts", 5.0)]
    hole = one_hole(words, spoken((0.2, 4.8), (5.0, 6.2)), 7)
    second = [word("clubs,", 1.42, 1.6), *evenly("queen of spades", 2.0), word("seven", 4.5, 4.9)]
    assert texts(fill(words, hole, second)) == "ten of clubs queen of spades seven of hearts"


def test_a_word_is_not_matched_across_a_missing_word() -> None:
    words = [*evenly("report when", 0.2), *evenly("because the road", 4.0, 0.3)]
    hole = one_hole(words, spoken((0.2, 1.0), (1.6, 3.9), (4.0, 5.2)), 6)
    assert (
        texts(fill(words, hole, evenly("you are there", 2.7))) == "report when you are there because the road"
    )


def test_the_same_words_spoken_again_later_are_kept() -> None:
    words = [*evenly("ten of clubs", 0.2), *evenly("seven of hearts", 9.0)]
    hole = one_hole(words, spoken((0.2, 1.4), (4.0, 6.0), (9.0, 10.2)), 11)
    assert (
        texts(fill(words, hole, evenly("ten of clubs", 4.0))) == "ten of clubs ten of clubs seven of hearts"
    )


def test_a_stretched_word_goes_to_its_own_sentence() -> None:
    words = [word("modern.", 0.2, 0.8), word("And", 1.0, 6.5), *evenly("it is worth", 6.6)]
    hole = one_hole(words, spoken((0.2, 0.8), (1.5, 5.0), (6.3, 7.8)), 8)
    filled = fill(words, hole, evenly("four queen of clubs", 1.6))
    assert texts(filled) == "modern. four queen of clubs And it is worth"
    assert filled[5].start_sample >= filled[4].start_sample


def test_a_stretched_word_gets_the_time_of_the_second_decode() -> None:
    words = [word("modern.", 0.2, 0.8), word("Four", 1.0, 6.5), *evenly("it is worth", 6.6)]
    hole = one_hole(words, spoken((0.2, 0.8), (1.5, 5.0), (6.3, 7.8)), 8)
    filled = fill(words, hole, evenly("four queen of clubs", 1.6))
    assert texts(filled).lower() == "modern. four queen of clubs it is worth"
    assert filled[1].start_sample == at(1.6)


def test_an_empty_second_decode_changes_nothing() -> None:
    words = [*evenly("ten of clubs", 0.2), word("seven", 3.0, 8.0)]
    hole = one_hole(words, spoken((0.2, 1.4), (3.0, 8.0)), 10)
    assert fill(words, hole, []) == words


def test_voiced_ranges_begin_at_the_upper_and_end_at_the_lower_threshold() -> None:
    probabilities = np.array([0.1, 0.4, 0.6, 0.4, 0.2, 0.4, 0.4, 0.1, 0.9], np.float32)
    assert voiced_ranges(probabilities, 512, 1000) == [
        (1000 + 512, 1000 + 4 * 512),
        (1000 + 8 * 512, 1000 + 9 * 512),
    ]


def test_a_hole_is_cut_into_parts_at_its_pauses() -> None:
    voiced = spoken((0, 3), (4, 7), (8, 11), (12, 20))
    hole = one_hole([], voiced, 20)
    assert parts(hole, voiced, at(8)) == spoken((0, 7.5), (7.5, 11.5), (11.5, 20))


@st.composite
def row(draw: st.DrawFn, length_s: float = 20.0) -> list[Word]:
    """Words in order inside the window, some of them stretched."""
    words, end_s = [], 0.0
    for text in draw(
        st.lists(st.sampled_from(["alpha", "bravo.", "Six", "of", "A-1", "정문으로", "go"]), max_size=12)
    ):
        start_s = end_s + draw(st.floats(0, 2))
        end_s = start_s + draw(st.floats(0.05, 4))
        if end_s > length_s:
            break
        words.append(word(text, start_s, end_s))
    return words


@st.composite
def ranges(draw: st.DrawFn, length_s: float = 20.0) -> list[Range]:
    bounds = sorted(draw(st.sets(st.integers(0, at(length_s)), max_size=12)))
    return list(zip(bounds[::2], bounds[1::2], strict=False))


@given(row(), ranges())
def test_holes_are_speech_that_no_placed_word_covers(words: list[Word], voiced: list[Range]) -> None:
    holes = find_holes(words, voiced, (0, at(20)))
    assert all(a.end_sample <= b.start_sample and a.after <= b.first for a, b in pairwise(holes))
    for hole in holes:
        assert 0 <= hole.read_from <= hole.start_sample < hole.end_sample <= hole.read_to <= at(20)
        assert all(is_unplaced(w) for w in words[hole.first : hole.after])
        for w in [*words[: hole.first], *words[hole.after :]]:
            assert is_unplaced(w) or w.end_sample <= hole.start_sample or w.start_sample >= hole.end_sample
        bounds = parts(hole, voiced, at(5))
        assert bounds[0][0] == hole.read_from and bounds[-1][1] == hole.read_to
        assert all(a[1] == b[0] for a, b in pairwise(bounds))


@given(row(), ranges(), row())
def test_filling_removes_no_word_adds_words_only_in_the_hole_and_keeps_the_order(
    words: list[Word], voiced: list[Range], second: list[Word]
) -> None:
    for hole in find_holes(words, voiced, (0, at(20))):
        filled = fill(words, hole, second)
        assert filled[: hole.first] == words[: hole.first]
        assert filled[len(filled) - (len(words) - hole.after) :] == words[hole.after :]
        assert len(filled) >= len(words)
        assert len(filled) <= len(words) + len(second)
        starts = [w.start_sample for w in filled]
        assert starts == sorted(starts)
        assert all(w.start_sample <= w.end_sample for w in filled)
