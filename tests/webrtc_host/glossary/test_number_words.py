"""Numbers in a text: every way to say them, and what is no number of a name."""

from __future__ import annotations

import pytest

from webrtc_host.glossary.normalise import Gap, key_of, tokens_of
from webrtc_host.glossary.number_words import NumberStyle, Rest, readings_at


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[("7", "7"), ("07", "7"), ("seven", "7"), ("niner", "9"), ("fower", "4"), ("fife", "5")],
        *[
            ("twenty one", "21"),
            ("twenty-one", "21"),
            ("two one", "21"),
            ("one oh one", "101"),
            ("2 1", "21"),
        ],
        *[("one hundred and five", "105"), ("twelve", "12"), ("two hundred", "200")],
        *[
            ("칠", "7"),
            ("일곱", "7"),
            ("세븐", "7"),
            ("십이", "12"),
            ("일이", "12"),
            ("하나둘", "12"),
            ("원투", "12"),
        ],
        *[
            ("열둘", "12"),
            ("트웰브", "12"),
            ("사십오", "45"),
            ("둘 하나", "21"),
            ("트웬티원", "21"),
            ("공칠", "7"),
        ],
        *[("백일", "101"), ("하나 둘 삼", "123"), ("여섯 칠", "67"), ("아홉", "9"), ("７", "7")],
    ],
)
def test_a_number_has_its_value_in_every_form(text: str, value: str) -> None:
    tokens = tokens_of(text)
    longest = readings_at(tokens, 0)[0]
    assert (longest.value, longest.token, longest.used) == (
        value,
        len(tokens) - 1,
        len(tokens[len(tokens) - 1].key),
    )
    assert longest.rest is Rest.FREE


@pytest.mark.parametrize("text", ["이상", "사고", "오빠", "원산지", "일대", "두 명", "point", "oh", "첫째"])
def test_a_word_that_begins_like_a_number_is_none(text: str) -> None:
    assert readings_at(tokens_of(text), 0) == []


@pytest.mark.parametrize(
    "text",
    [
        "7:30",
        "1.5 percent",
        "1,500",
        "8th street",
        "3pm",
        "2번",
        "3개",
        "12시",
        "five minutes",
        "9 dollars",
        "7%",
    ],
)
def test_a_quantity_is_marked(text: str) -> None:
    assert {reading.rest for reading in readings_at(tokens_of(text), 0)} == {Rest.UNIT}


def test_a_shorter_reading_knows_that_more_digits_follow() -> None:
    longest, shorter = readings_at(tokens_of("two one proceed"), 0)
    assert (longest.value, longest.rest) == ("21", Rest.FREE)
    assert (shorter.value, shorter.rest) == ("2", Rest.MORE)


def test_a_number_in_another_style_is_another_number() -> None:
    """Engine 7, two patients: without the comma the model writes a figure and a word."""
    readings = {reading.value: reading.rest for reading in readings_at(tokens_of("7 two patients"), 0)}
    assert readings["7"] is Rest.FREE


def test_a_particle_does_not_belong_to_the_number() -> None:
    """알파일이 is 1 with a particle, or 12."""
    found = [(reading.value, reading.used) for reading in readings_at(tokens_of("알파일이"), 0, 2)]
    assert found == [("12", 4), ("1", 3)]


def test_homophones_are_marked_as_such() -> None:
    (reading,) = readings_at(tokens_of("for, over"), 0)
    assert (reading.value, reading.style) == ("4", NumberStyle.HOMOPHONE)


def test_tokens_have_the_places_of_the_text_even_when_the_text_is_decomposed() -> None:
    text = "A\u0308lpha-１, \u110b\u1161\u11af\u1111\u1161원."
    tokens = tokens_of(text)
    assert [token.key for token in tokens.items] == ["alpha", "1", "알파원"]
    assert text[tokens[2].start : tokens[2].offset_at(2)] == "\u110b\u1161\u11af\u1111\u1161"
    assert tokens.gaps == (Gap.SPACE, Gap.COMMA, Gap.STOP)
    assert key_of("Alpha-1") == key_of("ALPHA 1") == "alpha1"
