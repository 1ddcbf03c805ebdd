from __future__ import annotations

import pytest

from host_stt.contract import Word
from webrtc_host.speech.spelled import without_said
from webrtc_host.speech.words import text_of

S = 16_000


def words(text: str, start_s: float, end_s: float) -> list[Word]:
    """The words of a text, each a second long at most, up to `end_s`."""
    texts = text.split()
    step = (end_s - start_s) / len(texts)
    return [
        Word(one, round((start_s + n * step) * S), round((start_s + (n + 1) * step) * S), 0.9)
        for n, one in enumerate(texts)
    ]


@pytest.mark.parametrize(
    ("said", "heard", "left"),
    [
        ("Eight, six.", "8-6-1-5-3-904", "1-5-3-904"),
        ("B.", "B-A-249-0 please", "A-249-0 please"),
        ("H", "H-M-6-0-2.", "M-6-0-2."),
        ("hm602", "hm602", ""),
        ("check Alpha", "Alpha-1 copy", "1 copy"),
        ("Niner", "9-4", "4"),
    ],
)
def test_letters_and_figures_that_are_final_are_not_written_again(said: str, heard: str, left: str) -> None:
    found = words(heard, 0.5, 3.0)
    assert text_of(without_said(found, found, words(said, 0.4, 1.2), 0)) == left


@pytest.mark.parametrize(
    ("said", "heard"),
    [("Eight, six.", "9-6-1"), ("well", "well-known"), ("B.", "Bravo"), ("six", "one"), ("go", "go")],
)
def test_other_words_stay(said: str, heard: str) -> None:
    found = words(heard, 0.5, 3.0)
    assert text_of(without_said(found, found, words(said, 0.4, 1.2), 0)) == heard


@pytest.mark.parametrize(
    ("window_s", "left"), [(0.2, "A-249-0"), (1.3, "B-A-249-0")], ids=["the window has it", "it does not"]
)
def test_the_first_word_of_a_result_stands_for_the_final_words_in_its_window(
    window_s: float, left: str
) -> None:
    """The alignment may begin a spelled word late."""
    found = words("B-A-249-0", 2.2, 3.1)
    assert text_of(without_said(found, found, words("B.", 0.5, 0.9), round(window_s * S))) == left


def test_what_is_said_again_after_other_words_stays() -> None:
    found = words("then 8-6-1", 1.3, 3.0)
    assert without_said(found[1:], found, words("8-6", 0.4, 1.2), 0) == found[1:]


def test_the_rest_begins_where_the_final_words_end() -> None:
    found = words("8-6-1", 0.5, 3.0)
    (rest,) = without_said(found, found, words("8 6", 0.4, 1.2), 0)
    assert (rest.start_sample, rest.end_sample) == (round(1.2 * S), 3 * S)
    assert without_said([], found, words("8", 0.4, 1.2), 0) == []
    assert without_said(found, found, [], 0) == found
