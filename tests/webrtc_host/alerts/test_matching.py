"""Terms are found with particles attached, with the spellings of the glossary, and only on their channels."""

from __future__ import annotations

from typing import Any

import pytest

from webrtc_host.alerts.matching import TextMatcher
from webrtc_host.alerts.rules import parse
from webrtc_host.glossary.entries import Entry, Snapshot

GLOSSARY = Snapshot((Entry("Alpha-1", "Alpha-1", "알파원", aliases=("알파원", "alfa one")),), 1)


def found(text: str, channel: str = "C01", *, is_interim: bool = False, **rule: Any) -> list[str]:
    body = {"name": "r", "when": "terms", **rule}
    matcher = TextMatcher(parse({"rules": [body]}), GLOSSARY)
    return [text[hit.start : hit.end] for hit in matcher.find(text, channel, is_interim=is_interim)]


@pytest.mark.parametrize(
    ("term", "text", "expected"),
    [
        ("화재", "화재가 발생했습니다", ["화재"]),
        ("화재", "지금 화재입니다", ["화재"]),
        ("화재", "화재에서는 대피하라", ["화재"]),
        ("화재", "화재보험을 들었다", []),
        ("구급차", "구급차를 보내라", ["구급차"]),
        ("살려주세요", "제발 살려주세요.", ["살려주세요"]),
        ("mayday", "MAYDAY, mayday", ["MAYDAY"]),
        ("mayday", "a maydays call", []),
        ("fire", "the firefighter", []),
        ("shots fired", "Shots fired at the gate", ["Shots fired"]),
        ("shots fired", "two shots. Fired up", []),
        ("Alpha-1", "알파원이 응답하지 않는다", ["알파원"]),
        ("Alpha-1", "alfa one, respond", ["alfa one"]),
        ("알파원", "Alpha 1 is down", ["Alpha 1"]),
        ("Alpha-1", "Alpha 2 is up", []),
        ("Bravo-7", "브라보 seven, bravo seven", ["bravo seven"]),
    ],
)
def test_a_term_is_found_as_it_is_said(term: str, text: str, expected: list[str]) -> None:
    assert found(text, terms=[term]) == expected


def test_a_rule_may_look_inside_of_words() -> None:
    assert found("대형화재경보", terms=["화재"], inside_words=True) == ["화재"]
    assert found("the firefighter", terms=["fire"], inside_words=True) == ["fire"]
    assert found("chief irene", terms=["fire"], inside_words=True) == []


def test_two_terms_with_one_spelling_do_not_hide_each_other() -> None:
    assert found("alpha 1 down", terms=["alpha 1", "ALPHA-1", "Alpha one"]) == ["alpha 1"]


def test_a_rule_is_for_its_channels_and_its_kind_of_text() -> None:
    assert found("mayday", "C02", terms=["mayday"], channels=["C01"]) == []
    assert found("mayday", "C01", terms=["mayday"], channels=["C01"]) == ["mayday"]
    assert found("mayday", terms=["mayday"], interims=False, is_interim=True) == []
    assert found("mayday", terms=["mayday"], enabled=False) == []


def test_a_pattern_finds_a_number_and_not_the_empty_text_before_it() -> None:
    assert found("gate 12 open", when="pattern", pattern=r"\d*") == ["12"]


def test_a_very_long_text_is_searched_at_its_end() -> None:
    text = "a " * 10_000 + "mayday"
    assert found(text, terms=["mayday"]) == ["mayday"]
