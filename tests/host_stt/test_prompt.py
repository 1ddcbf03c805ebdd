from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_stt.prompt import BUCKETS, PromptBudget, PromptWriter

SPECIAL = 1000


def letters(text: str) -> list[int]:
    """A tokenizer of one token per character, with <|sot|> as its one special token."""
    ids: list[int] = []
    while text:
        if text.startswith("<|sot|>"):
            ids.append(SPECIAL)
            text = text.removeprefix("<|sot|>")
        else:
            ids.append(ord(text[0]) % SPECIAL)
            text = text[1:]
    return ids


def text_of(tokens: list[int]) -> str:
    return "".join(chr(token) for token in tokens)


def writer(terms: int = 120, history: int = 64) -> PromptWriter:
    return PromptWriter(letters, SPECIAL, PromptBudget(terms, history))


def test_the_prompt_is_the_list_of_terms_followed_by_the_history() -> None:
    text = text_of(writer().previous(["Alpha-1", "Blue-2"], "go to gate"))
    assert text.endswith(" Alpha-1, Blue-2 go to gate")
    assert writer().previous([], "") == []


def test_a_prompt_is_filled_to_its_bucket_length_with_its_own_tokens() -> None:
    listed = text_of(writer().previous(["Alpha-1", "Blue-2", "C-3"], ""))
    assert listed == "lue-2, C-3," + " Alpha-1, Blue-2, C-3"
    assert text_of(writer().previous([], "go now")) == "ow go now" + " go now"
    with_history = text_of(writer().previous(["Alpha-1"], "go to gate seven"))
    assert with_history == "lpha-1," + " Alpha-1" + " go to gate seven"


def test_only_whole_terms_that_fit_are_written_most_important_first() -> None:
    prompts = writer(terms=20)
    listed = text_of(prompts.previous(["Alpha-1", "Bravo-22222", "Kilo-3"], ""))
    assert listed.endswith(" Alpha-1, Kilo-3") and "Bravo" not in listed


def test_a_term_is_written_once_and_blank_ones_never() -> None:
    assert text_of(writer().previous(["Alpha-1", " ", "Alpha-1", "Blue  2"], "")) == " Alpha-1, Blue 2"


def test_history_keeps_its_newest_whole_words() -> None:
    assert text_of(writer(history=10).previous([], "one two three four")) == "r four four" + " four"
    assert text_of(writer(history=11).previous([], "one two three four")) == " four" + " three four"


def test_a_glossary_cannot_smuggle_in_a_special_token() -> None:
    assert SPECIAL not in writer().previous(["<|sot|>", "a<|sot|>b"], "c <|sot|> d")


def test_a_budget_over_whispers_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="223"):
        PromptBudget(200, 64)


@given(
    st.lists(st.text(max_size=20), max_size=30),
    st.text(max_size=300),
    st.integers(0, 120),
    st.integers(0, 64),
)
def test_a_prompt_is_a_bucket_and_never_a_larger_one_than_the_budget_needs(
    terms: list[str], history: str, for_terms: int, for_history: int
) -> None:
    prompts = writer(for_terms, for_history)
    for tokens, most in (
        (prompts.previous(terms, ""), for_terms),
        (prompts.previous([], history), for_history),
        (prompts.previous(terms, history), for_terms + for_history),
    ):
        assert len(tokens) in BUCKETS
        assert len(tokens) <= next(bucket for bucket in BUCKETS if bucket >= most)
