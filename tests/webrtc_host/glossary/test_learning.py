"""What a correction teaches, and which words could be terms."""

from __future__ import annotations

import pytest

from webrtc_host.glossary.learning import Offer, offers_of_correction, unknown_words
from webrtc_host.glossary.schema import parse

ENTRIES = parse(
    {
        "terms": [{"canonical": "Alpha-1", "aliases": ["알파원"]}, {"canonical": "Gate 7"}],
        "patterns": [{"base": {"Blue": ["블루"]}, "number": "1-9"}],
    }
).entries()
COMMON = frozenset("the to at is go moving this over copy 이동 도착 여기는".split())


@pytest.mark.parametrize(
    ("old", "new", "offers"),
    [
        ("this is alpaca one, over", "this is Alpha-1, over", [Offer("alpaca one", "Alpha-1")]),
        ("여기는 알바원 이동", "여기는 알파원 이동", [Offer("알바원", "Alpha-1")]),
        ("불루투 도착", "블루투 도착", [Offer("불루투", "Blue-2")]),
        ("alpha one moving", "Alpha-1 moving", [Offer("alpha one", "Alpha-1")]),
        ("blue two moving", "Blue-2 moving", []),  # the pattern has this spelling
        ("move to gate heaven.", "move to Gate 7.", [Offer("gate heaven", "Gate 7")]),
        ("call kowalsky now", "call Kowalski now", [Offer("Kowalski", None)]),
        ("go their now", "go there now", []),
        ("the same line", "the same line", []),
        ("a b c d e f g h i", "Alpha-1", []),
    ],
)
def test_a_correction_offers_aliases_of_terms_and_new_names(old: str, new: str, offers: list[Offer]) -> None:
    assert offers_of_correction(old, new, ENTRIES) == offers


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The convoy is at Kowalski now", ["Kowalski"]),
        ("Moving to KX-7, copy", ["KX-7"]),
        ("Zebra. Moving", []),  # at the start of a sentence every word has a capital letter
        ("go to the gate at 1200", []),
        ("여기는 오성관 이동", ["오성관"]),
        ("call Kim and Kim", ["Kim"]),
        ("", []),
    ],
)
def test_unknown_words_are_names_codes_and_hangul_that_no_dictionary_has(text: str, words: list[str]) -> None:
    assert list(unknown_words(text, COMMON.__contains__)) == words
