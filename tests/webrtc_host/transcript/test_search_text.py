"""Which words find which texts, before any database."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webrtc_host.transcript.search_text import SEPARATOR, Phrase, normal, parts, phrases, tokens


def holds(text: str, question: str) -> bool:
    """As both databases answer: every phrase stands in the text's tokens, its last token perhaps begun."""
    row = tokens(text)
    return all(any(_stands_at(row[at:], one) for at in range(len(row))) for one in phrases(question))


def _stands_at(row: list[str], one: Phrase) -> bool:
    if len(row) < len(one.tokens):
        return False
    *first, last = one.tokens
    heard = row[len(first)]
    return row[: len(first)] == first and (heard.startswith(last) if one.is_open else heard == last)


def marked(text: str, question: str) -> str:
    return "".join(f"[{part.text}]" if part.is_hit else part.text for part in parts(text, question))


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("알파원 일번 게이트로 이동", "알파"),
        ("알파원 일번 게이트로 이동", "알파원"),
        ("알파원 일번 게이트로 이동", "게이트"),
        ("알파원 일번 게이트로 이동", "이동 알파원"),
        ("알파 원 나와라", "알파원"),
        ("알파원 나와라", "알파 원"),
        ("알파원이 간다", "원"),
        ("간다 알파원", "원"),
        ("Alpha-1 proceed to gate seven", "alpha-1"),
        ("Alpha-1 proceed to gate seven", "ALPHA 1"),
        ("Alpha-1 proceed to gate seven", "proc"),
        ("알파1 응답", "알파1"),
        ("알파 1 응답", "알파1"),
        ("Ｇａｔｅ ７", "gate 7"),
        ("STRASSE 5", "straße"),
    ],
)
def test_found(text: str, question: str) -> None:
    assert holds(text, question)


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("알파원 일번", "파알"),
        ("브라보 투", "알파"),
        ("proceed to gate seven", "ceed"),
        ("proceed to gate seven", "gate eight"),
        ("gate, seven alpha", "alpha-seven"),
    ],
)
def test_not_found(text: str, question: str) -> None:
    assert not holds(text, question)


@pytest.mark.parametrize("question", ["", "  ", '"', "* - ^ : ( ) { }", "'; --", "%_"])
def test_a_query_without_letters_has_no_phrases(question: str) -> None:
    assert phrases(question) == []
    assert marked("text", question) == "text"


def test_syntax_is_treated_as_words() -> None:
    asked = phrases("alpha OR NEAR(bravo) tokens:x")
    assert [one.tokens for one in asked] == [("alpha",), ("or",), ("near", "bravo"), ("tokens", "x")]


def test_hits_are_marked_as_they_were_written() -> None:
    assert marked("Alpha-1 and alpha one", "ALPHA") == "[Alpha]-1 and [alpha] one"
    assert marked("알파 원 나와라, 알파원", "알파원") == "[알파 원] 나와라, [알파원]"
    assert marked("the other", "he") == "the other"
    assert marked("알파1", "1") == "알파[1]"
    assert marked("Alpha-1, go", "alpha 1") == "[Alpha]-[1], go"


def test_long_queries_are_truncated() -> None:
    assert len(phrases("word " * 100)) == 16
    assert sum(len(one.tokens) for one in phrases("가나다라마바사아자차" * 50)) == 64


spoken = st.text(alphabet="알파원일번게이트ABcd12 -.,'\"*", max_size=30)


@given(spoken)
def test_every_text_is_found_by_its_own_words(text: str) -> None:
    assert holds(text, text)


@given(st.text(max_size=60), st.text(max_size=20))
def test_tokens_are_letters_and_digits_and_parts_are_the_text(text: str, question: str) -> None:
    assert all(token.isalnum() or token == SEPARATOR for token in tokens(text))
    assert "".join(part.text for part in parts(text, question)) == text
    assert normal(normal(text)) == normal(text)
