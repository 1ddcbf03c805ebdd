"""Sentences that resemble terms and stay as they are, character by character."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.mishearings.phrases import ENGLISH_TRAPS, KOREAN_TRAPS
from tests.webrtc_host.glossary.helpers import NAMES, said, usual
from webrtc_host.glossary.correct import correct


@pytest.mark.parametrize("text", ENGLISH_TRAPS)
def test_english_traps(text: str) -> None:
    assert said(text).text == text
    assert said(text, p=0.9).text == text


@pytest.mark.parametrize("text", KOREAN_TRAPS)
def test_korean_traps(text: str) -> None:
    assert said(text, "ko").text == text
    assert said(text, "ko", p=0.9).text == text


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Charlie, three patients are here."),
        ("en", "Alpha. One patient."),
        ("en", "Bravo to base, over."),
        ("en", "Who is Echo for?"),
        ("en", "Alpha 10, over."),
        ("en", "Alpha one two, over."),
        ("en", "The tower two minutes ago."),
        ("en", "Red 7:30 and blue 1,500."),
        ("en", "The letter 2 is missing"),
        ("en", "The latter two questions are difficult."),
        ("en", "Alphabetical order. Bluetooth 5 works."),
        ("en", "Kim Minjin called."),
        ("en", "Alpha version one."),
        ("ko", "알파 1번 출구"),
        ("ko", "알파 십, 응답"),
        ("ko", "김민주 씨와 김민정 씨"),
        ("ko", "타워 사이에 엔진이 있습니다."),
        ("ko", "알파원산지를 보고 블루투스를 켰다."),
        ("ko", "엔진 이 상태로는 안 됩니다."),
        ("ko", "레드 셋 주세요."),
        ("ko", "알파. 하나 둘 셋"),
    ],
)
def test_other_traps(language: str, text: str) -> None:
    assert said(text, language).text == text


@pytest.mark.parametrize("name", NAMES)
def test_no_term_becomes_another_one(name: str) -> None:
    for number in range(1, 10):
        for language, text in (("en", f"{name}-{number}"), ("ko", f"{NAMES[name]} {number}")):
            edits = said(text, language, p=0.1).edits
            assert {edit.term for edit in edits} <= {f"{name}-{number}"}


@pytest.mark.parametrize("text", ["Alpha-1", "Alpha-2", "알파원", "Blue-2"])
def test_a_term_of_another_channel_is_not_rewritten_either(text: str) -> None:
    index = usual()
    others = frozenset(
        t for t, entry in enumerate(index.entries) if entry.canonical not in ("Alpha-1", "Blue-2")
    )
    assert correct(f"{text}, over", (), index, others - {0}, "en").text.startswith(("Alpha", "알파", "Blue"))


PIECES = st.sampled_from(
    "Alpha one two 1 2 7:30 , . ! 알파 원 원이 둘 블루투스 블루 투 "
    "the red Tengo 5 Goal \u00e9t\u00e9 \U0001f692 \u1100\u1161 - ' K.P. "
    "용산력에서 minutes to for 서울 Youngson Station 사 이 \t \n".split(" ")
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(PIECES, st.sampled_from(["", " ", "  ", "-", ", ", ". "])), max_size=12), st.booleans()
)
def test_text_outside_of_the_edits_is_unchanged(parts: list[tuple[str, str]], is_korean: bool) -> None:
    text = "".join(piece + gap for piece, gap in parts)
    found = said(text, "ko" if is_korean else "en", p=0.3)
    undone = found.text
    for edit in reversed(found.edits):
        assert edit.start is not None and edit.end is not None
        assert undone[edit.start : edit.end] == edit.after
        undone = undone[: edit.start] + edit.before + undone[edit.end :]
    assert undone == text


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_no_text_is_too_strange(text: str) -> None:
    found = said(text)
    assert (found.text == text) is (found.edits == ())


@settings(max_examples=100, deadline=None)
@given(st.lists(PIECES.filter(str.strip), max_size=12))
def test_a_corrected_text_is_corrected_once(parts: list[str]) -> None:
    once = said(" ".join(parts)).text
    assert said(once).text == once
