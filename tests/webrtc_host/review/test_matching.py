"""The words of a new text and the lines of the old one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_stt.contract import Word
from webrtc_host.review.lines import Line
from webrtc_host.review.matching import changes, differs, divided, is_trusted
from webrtc_host.speech.words import text_of

STEP_MS = 400


def lines_of(*texts: str) -> list[Line]:
    """Lines whose words are STEP_MS long, one after the other."""
    lines, at = [], 0
    for number, text in enumerate(texts):
        end = at + STEP_MS * len(text.split())
        lines.append(Line(f"g_{number}", "u_1", at, end, text, text, "en", -0.4))
        at = end
    return lines


def words_of(text: str) -> list[Word]:
    return [
        Word(word, number * STEP_MS * 16, (number + 1) * STEP_MS * 16, 0.9)
        for number, word in enumerate(text.split())
    ]


def texts(lines: list[Line], new: str) -> list[str]:
    return [text_of(words) for words in divided(lines, words_of(new))]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (["In", "the house", "we met"], "In the house, we met.", ["In", "the house,", "we met."]),
        (["go forward 10", "meters"], "Go forward ten meters", ["Go forward ten", "meters"]),
        (["painful to", "myself and"], "and pans until I saw", ["and pans until", "I saw"]),
        (["alpha one", "over"], "alpha one two over", ["alpha one", "two over"]),
        (["one two three", "four"], "one four", ["one", "four"]),
        (["one", "two"], "", ["", ""]),
    ],
)
def test_each_new_word_gets_the_line_of_its_counterpart(
    old: list[str], new: str, expected: list[str]
) -> None:
    assert texts(lines_of(*old), new) == expected


@given(
    st.lists(st.lists(st.sampled_from("abcde"), min_size=1, max_size=6), min_size=1, max_size=5),
    st.lists(st.sampled_from("abcdef"), max_size=20),
)
def test_no_word_is_lost_doubled_or_moved(old: list[list[str]], new: list[str]) -> None:
    result = texts(lines_of(*(" ".join(one) for one in old)), " ".join(new))
    assert " ".join(" ".join(result).split()) == " ".join(new)


def test_a_text_of_another_length_is_not_trusted() -> None:
    lines = lines_of("one two three four five", "six seven eight nine ten")
    assert is_trusted(lines, words_of("a b c d e f g h i j"))
    assert not is_trusted(lines, words_of("a b c"))
    assert not is_trusted(lines, words_of("a " * 30))


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("Ask not, what", "ask not what", False),
        ("celebrating. the first", "celebrating the first", True),
        ("알파 원 도착", "알파원 도착", False),
        ("gate seven", "gate eleven", True),
    ],
)
def test_commas_and_capitals_alone_change_no_line(old: str, new: str, changed: bool) -> None:
    assert differs(old, words_of(new)) is changed


def spoken_at(text: str, start_ms: int, end_ms: int) -> list[Word]:
    """The words of a text, spread over its time."""
    tokens = text.split()
    step = (end_ms - start_ms) * 16 // len(tokens)
    return [
        Word(token, start_ms * 16 + number * step, start_ms * 16 + (number + 1) * step, 0.9)
        for number, token in enumerate(tokens)
    ]


def a_line(segment: str, start_ms: int, end_ms: int, text: str) -> Line:
    return Line(segment, "u_1", start_ms, end_ms, text, text, "en", -0.4)


DIGITS = [a_line("g_1", 0, 4000, "4 0 7 1 9 3 2 6"), a_line("g_2", 6000, 10_000, "7 9 2 4 0 6 1 8")]
"""Two calls that have digits in common."""


def test_words_stay_on_their_side_of_a_pause() -> None:
    words = [*spoken_at("4 0 7 1 9 3 2 6", 0, 4000), *spoken_at("7 9 2 4 0 6 1 9", 6000, 10_000)]
    ((line, new),) = changes(DIGITS, words)
    assert line.segment == "g_2" and text_of(new) == "7 9 2 4 0 6 1 9"


def test_words_in_one_token_over_a_pause_change_no_line() -> None:
    assert changes(DIGITS, spoken_at("4-0-7-1-9-3-2-6-7-9-2-4-0-6-1-8", 0, 10_000)) == []


def test_lines_without_a_pause_change_together_or_not_at_all() -> None:
    lines = [a_line("g_1", 0, 1000, "In"), a_line("g_2", 1000, 3000, "the house we met")]
    assert changes(lines, spoken_at("the house we meet", 1000, 3000)) == []
    changed = changes(lines, spoken_at("And the house we met", 0, 3000))
    assert [(line.segment, text_of(new)) for line, new in changed] == [("g_1", "And")]
