"""Terms of the decode with the glossary, and their places in the plain text."""

from __future__ import annotations

import pytest

from host_stt.engines.term_proposals import (
    Range,
    key_of,
    keys_of_terms,
    likeness,
    opening,
    other_names,
    other_numbers,
    proposals,
    replaced,
    terms_in,
    terms_of_other_names,
)

TERMS = ("Alpha-1", "Medic-9", "Blue-3", "알파원", "북문 초소")


def found(text: str) -> list[str]:
    words = text.split()
    return [" ".join(words[one.first : one.end]) for one in terms_in(words, keys_of_terms(TERMS))]


def first_places(plain: str, prompted: str) -> list[tuple[str, str]]:
    """(words of the plain text, term) of each proposal, with the likeliest range."""
    words = plain.split()
    proposed = proposals(words, prompted.split(), keys_of_terms(TERMS))
    return [(" ".join(words[p.ranges[0].first : p.ranges[0].end]), " ".join(p.words)) for p in proposed]


def test_a_spelling_does_not_matter() -> None:
    assert key_of("Alpha-1,") == key_of("alpha one") == key_of("ALPHA 1") == "alpha1"


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("This is Medic niner, over.", ["Medic niner,"]),
        ("Alpha 1, Alpha 12.", ["Alpha 1,"]),
        ("Blue three", ["Blue three"]),
        ("알파 1 나와라", ["알파 1"]),
        ("알파원은 북문 초소에 있다", ["알파원은", "북문 초소에"]),
        ("the medic is nine", []),
    ],
)
def test_terms_are_found_in_every_spelling(text: str, terms: list[str]) -> None:
    assert found(text) == terms


def test_a_misheard_term_is_proposed_in_place_of_the_words_that_were_heard() -> None:
    assert first_places("Medicine, what is your location?", "Medic 9, What is your location?") == [
        ("Medicine,", "Medic 9,")
    ]


def test_the_words_that_are_most_like_the_term_are_tried_too() -> None:
    keys = keys_of_terms(("Sierra-4",))
    plain = "The air force is thrust back left on foot".split()
    (proposal,) = proposals(plain, "Sierra 4, the Foxtrot left on foot".split(), keys)
    assert Range(0, 3) in proposal.ranges


def test_several_terms_that_the_plain_text_left_out_are_also_proposed_together() -> None:
    prompted = "Alpha 1, This is Medic 9, we are on scene".split()
    together = proposals("we are on scene".split(), prompted, keys_of_terms(TERMS))[-1]
    assert (" ".join(together.words), together.ranges) == ("Alpha 1, This is Medic 9,", (Range(0, 0),))


def test_a_term_that_the_plain_text_has_is_not_proposed() -> None:
    assert first_places("Alpha one, go ahead.", "Alpha 1, Go ahead.") == []


def test_a_term_that_is_there_once_is_proposed_where_it_is_missing() -> None:
    plain = "Alpha 1, stand by. All far one, go ahead."
    assert first_places(plain, "Alpha 1, stand by. Alpha 1, go ahead.") == [("All far one,", "Alpha 1,")]


def test_a_term_that_the_plain_text_has_elsewhere_is_not_written_twice() -> None:
    plain = "go ahead to the gate and wait there, Alpha 1"
    assert first_places(plain, "Alpha 1, go ahead to the gate") == []


def test_a_list_of_terms_is_not_speech() -> None:
    listed = "Alpha 1, Medic 9, Blue 3, Alpha 1, Medic 9, Blue 3"
    assert proposals("we have smoke".split(), listed.split(), keys_of_terms(TERMS)) == []


def test_a_term_in_a_loop_is_one_term() -> None:
    looped = "Medic 9, " + "Blue 3, " * 20
    proposed = proposals("we are out of five".split(), looped.split(), keys_of_terms(TERMS))
    assert {" ".join(one.words) for one in proposed} == {"Medic 9,", "Blue 3,"}


def test_marks_behind_the_words_stay_where_they_are() -> None:
    assert replaced(["Medicine,", "go"], Range(0, 1), ["Medic", "9."]) == ["Medic", "9,", "go"]
    assert replaced(["go", "ahead"], Range(0, 0), ["Medic", "9"]) == ["Medic", "9,", "go", "ahead"]


def test_likeness_compares_numbers_as_words_and_hangul_as_jamo() -> None:
    assert likeness(["Medicine,"], ["Medic", "9"]) > 0.9
    assert likeness(["알바원"], ["알파", "1"]) > 0.8
    assert likeness(["then", "the", "command"], ["Medic", "9"]) < 0.4


def test_other_numbers_have_one_other_digit_at_the_end() -> None:
    assert other_numbers(("Blue", "3,"))[:3] == [("Blue", "1,"), ("Blue", "2,"), ("Blue", "4,")]
    assert len(other_numbers(("Engine-21",))) == 8
    assert other_numbers(("Engine-21",))[0] == ("Engine-22",)
    assert other_numbers(("북문", "초소")) == []


def test_other_names_have_the_number_of_the_term() -> None:
    assert other_names(("Blue", "3,"), TERMS) == [("Alpha", "3"), ("Medic", "3")]
    assert other_names(("알파원",), TERMS) == [("북문", "초소")]
    assert other_names(("Blue-3",), ("Blue-3", "Blue-4")) == []


@pytest.mark.parametrize(
    ("plain", "prompted", "term", "lengths"),
    [
        ("Altar one, go ahead", "Alpha 1, go ahead", "Alpha 1,", [1, 2, 3]),
        ("Altar", "Alpha 1", "Alpha 1", [1]),
        ("Altar one, go ahead", ", Alpha 1, go ahead", "Alpha 1,", [1, 2, 3]),
    ],
)
def test_the_call_sign_at_the_beginning_may_replace_the_first_words(
    plain: str, prompted: str, term: str, lengths: list[int]
) -> None:
    begins = opening(plain.split(), prompted.split(), keys_of_terms(TERMS))
    assert begins is not None
    assert " ".join(begins.words) == term
    assert begins.ranges == tuple(Range(0, length) for length in lengths)


@pytest.mark.parametrize(
    ("plain", "prompted"),
    [
        ("go ahead", "go ahead"),
        ("go ahead altar", "Go ahead, Alpha 1"),  # not at the beginning
        ("go ahead Alpha one", "Alpha 1, go ahead"),  # the plain text has it
        ("bug mun", "북문 초소"),  # no number
        ("", ""),
    ],
)
def test_no_call_sign_at_the_beginning(plain: str, prompted: str) -> None:
    assert opening(plain.split(), prompted.split(), keys_of_terms(TERMS)) is None


def test_the_terms_with_another_name() -> None:
    terms = ("Alpha-1", "Alpha-2", "Medic-9", "Seoul")
    assert terms_of_other_names(("Alpha", "1,"), terms) == [("Medic", "9"), ("Seoul",)]


def test_a_loop_with_other_words_in_it_adds_nothing() -> None:
    plain = "and echo 7 seconds long came back to the cave."
    loop = " ".join(["Echo 7, long came back to the cave."] * 4)
    assert proposals(plain.split(), loop.split(), keys_of_terms(["Echo-7", "Eagle-2"])) == []


def test_a_term_with_another_word_of_the_plain_text_inside_takes_its_place() -> None:
    plain = "Tell Alpha at 1 to wait."
    assert first_places(plain, "Tell Alpha 1 to wait.") == [("Alpha at 1", "Alpha 1")]
