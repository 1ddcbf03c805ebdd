"""Answers of a language model: reading them, whatever they are, and checking what they cite."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webrtc_host.summaries.checking import checked, is_supported
from webrtc_host.summaries.content import Content, Line, of_body, to_body
from webrtc_host.summaries.reading_answers import (
    SENTENCE_CHARS_MAX,
    SENTENCES_MAX,
    Draft,
    NoAnswer,
    read_draft,
    without_reasoning,
)

LINES = {
    "g_1": Line("g_1", "C01", "Tower", 1_000, 2_000, "Alpha-1 proceed to gate seven"),
    "g_2": Line("g_2", "C01", "Tower", 5_000, 6_000, "브라보 투 삼번 게이트로 이동합니다"),
    "g_3": Line("g_3", "C02", "C02", 9_000, 9_500, "fuel truck is late"),
}


def content_of(answer: object) -> Content:
    text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
    return checked(read_draft(text), LINES)


def test_a_sentence_with_a_citation_that_exists_is_kept() -> None:
    content = content_of(
        {
            "title": "Gates",
            "summary": [{"text": "Alpha-1 goes to gate seven.", "cites": ["g_1"]}],
            "topics": [{"title": "Fuel", "cites": ["g_3"]}, {"title": "Gates", "cites": ["g_1"]}],
        }
    )
    assert content.title == "Gates"
    assert [(one.text, one.cites, one.is_unsure) for one in content.summary] == [
        ("Alpha-1 goes to gate seven.", ("g_1",), False)
    ]
    assert [one.title for one in content.topics] == ["Gates", "Fuel"], (
        "topics are in the order of their lines"
    )
    assert content.dropped == 0


@pytest.mark.parametrize("cites", [[], ["g_99"], None, "nothing", [True], {"g_1": 1}, ["G_1"]])
def test_a_sentence_without_a_line_that_exists_is_dropped_and_counted(cites: object) -> None:
    content = content_of({"summary": [{"text": "Alpha-1 landed.", "cites": cites}]})
    assert content.summary == ()
    assert content.dropped == 1


def test_a_sentence_that_is_repeated_is_kept_once_with_all_its_lines() -> None:
    said = "Alpha-1 goes to gate seven."
    again = [
        {"text": said, "cites": ["g_99"]},
        {"text": "ALPHA-1 goes to gate seven", "cites": ["g_3", "g_1"]},
    ]
    content = content_of({"summary": [{"text": said, "cites": ["g_1"]}, *again, *again]})
    assert [(one.text, one.cites) for one in content.summary] == [(said, ("g_1", "g_3"))]
    assert content.dropped == 0


def test_a_wrong_citation_beside_a_right_one_is_removed() -> None:
    content = content_of({"summary": [{"text": "Alpha-1 goes.", "cites": ["g_1", "g_77", "g_1"]}]})
    assert content.summary[0].cites == ("g_1",)


def test_a_sentence_that_shares_no_word_with_its_lines_is_marked() -> None:
    content = content_of({"summary": [{"text": "The president resigned.", "cites": ["g_3"]}]})
    assert content.summary[0].is_unsure


@pytest.mark.parametrize(
    ("sentence", "cited", "is_fine"),
    [
        ("Alpha-1 proceeds", "alpha one proceeding now", True),
        ("게이트 변경", "삼번 게이트로 이동", True),
        ("연료 부족", "삼번 게이트로 이동", False),
        ("알파가 이동합니다", "Alpha is moving", True),  # another script: it cannot be compared
        ("gate 7", "gate seven and 7", True),
        ("It was the end", "We and you are here", True),  # only words that are in every text
    ],
)
def test_what_supports_a_sentence(sentence: str, cited: str, is_fine: bool) -> None:
    assert is_supported(sentence, cited) is is_fine


@pytest.mark.parametrize(
    "answer",
    [
        '<think>g_9 says {"summary": 1}</think>{"summary":[{"text":"Fuel is late","cites":["g_3"]}]}',
        'no opening tag </think>\n```json\n{"summary":[{"text":"Fuel is late","cites":["g_3"]}]}\n```\nDone!',
        'Here it is: {"summary":[{"text":"Fuel is late","cites":"g_3"}]}',
        '{"summary":["Fuel is late [g_3]"]}',
        '{"summary":[{"text":"Fuel is late (g_3).","cites":[]}]}',
        '{"summary":[{"text":"Fuel is late","cites":[3]}]}',
        "- Fuel is late [g_3]\n- and this line cites nothing",
    ],
)
def test_answers_are_read_in_the_forms_that_models_write(answer: str) -> None:
    (sentence,) = content_of(answer).summary
    assert sentence.cites == ("g_3",)
    assert sentence.text.startswith("Fuel is late")
    assert "g_" not in sentence.text


@pytest.mark.parametrize(
    "answer", ["", "<think>it never ends", "I cannot help with that.", "[]", "null", '{"a":1}']
)
def test_an_answer_with_nothing_usable_is_refused(answer: str) -> None:
    with pytest.raises(NoAnswer):
        read_draft(answer)


def test_reasoning_is_removed() -> None:
    assert without_reasoning("<think>a</think> b <THINKING>c</THINKING>d") == "d"
    assert without_reasoning("b <reasoning>never closed") == "b"


def test_unknown_fields_and_long_texts_have_no_effect() -> None:
    content = content_of(
        {
            "summary": [
                {"text": f"{number} " + "fuel " * 1000, "cites": ["g_3"], "tool": "rm"}
                for number in range(100)
            ],
            "delete_session": True,
            "title": "<script>alert(1)</script>\u202e\nnext",
        }
    )
    assert len(content.summary) == SENTENCES_MAX
    assert len(content.summary[0].text) == SENTENCE_CHARS_MAX
    assert content.title == "<script>alert(1)</script> next", (
        "plain text, on one line; a page shows it as text"
    )
    assert to_body(content, LINES).keys() == {"title", "summary", "decisions", "actions", "topics", "dropped"}


@pytest.mark.parametrize("answer", ["{" * 300_000, '{"a":' * 50_000, "<think>" * 100_000, "[g_1" * 100_000])
def test_a_hostile_answer_takes_no_long_time(answer: str) -> None:
    begin_s = time.process_time()
    with pytest.raises(NoAnswer):
        read_draft(answer)
    assert time.process_time() - begin_s < 2


def test_the_json_of_a_summary_gives_the_same_summary() -> None:
    content = content_of(
        {"summary": [{"text": "Alpha-1", "cites": ["g_1"]}], "topics": [{"title": "Gate", "cites": ["g_2"]}]}
    )
    assert of_body(json.loads(json.dumps(to_body(content, LINES)))) == content


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.sampled_from(["g_1", "g_9"]),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["text", "cites", "title", "summary", "topics"]), inner, max_size=4
            )
        ),
        max_leaves=20,
    )
)
@settings(max_examples=100, deadline=None)
def test_whatever_a_model_writes_cites_only_lines_that_it_read(value: object) -> None:
    try:
        draft = read_draft(json.dumps(value))
    except NoAnswer:
        draft = Draft()
    assert set(checked(draft, LINES).cites) <= LINES.keys()
