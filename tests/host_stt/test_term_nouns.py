"""Names of call signs that are common nouns: "an eagle to the north"."""

from __future__ import annotations

import pytest

from host_stt.engines.heard import Heard, HeardWord
from host_stt.engines.term_nouns import is_noun
from host_stt.engines.term_proposals import Range


def noun(plain: str, replaced: str, term: str, heard: str) -> bool:
    """replaced: the words of the plain text in whose place the term would stand."""
    words, said = plain.split(), replaced.split()
    first = next(n for n in range(len(words)) if words[n : n + len(said)] == said)
    found = Heard(tuple(HeardWord(word, (-0.1,)) for word in heard.split()))
    return is_noun(words, Range(first, first + len(said)), term.split(), found)


@pytest.mark.parametrize(
    ("plain", "replaced", "term", "heard"),
    [
        ("We saw an eagle to the north.", "eagle to", "Eagle 2", "We saw Eagle 2 north."),
        ("He was a victor, a few crowds.", "victor, a few", "Victor 2,", "He was a Victor 2, Crow"),
        ("A ladder free of rest is here.", "A ladder free", "Ladder 3,", "Ladder 3, Red is here"),
        ("You lost the gold won by him.", "the gold won", "Gold 1", "You lost Gold 1 by him."),
        ("I see Air Force fire can move.", "I see Air Force", "Sierra 4,", "A Sierra 4, Fire can move"),
        ("We find Ego to the north.", "Ego to", "Eagle 2", "We find Eagle 2 the north."),
        ("We find equal to the north.", "equal to the", "Eagle 2", "We find Eagle 2, North."),
        ("We fixed our engine sick of it.", "engine sick", "Engine 6", "We fixed Engine 6 of it."),
    ],
)
def test_a_determiner_or_the_words_around_make_a_noun(
    plain: str, replaced: str, term: str, heard: str
) -> None:
    assert noun(plain, replaced, term, heard)


@pytest.mark.parametrize(
    ("plain", "replaced", "term", "heard"),
    [
        ("Go thick, hold your position.", "Go thick,", "Gold 6,", "Gold 6, hold your position."),
        ("The area requesting backup.", "The area", "Sierra 4,", "Sierra 4, requesting backup."),
        ("Eagle to the north gate is clear.", "Eagle to", "Eagle 2", "Eagle 2, the north gate is clear."),
        ("then rescue you to the harbor.", "rescue you to", "Rescue 2", "Send Rescue 2 the harbor."),
        ("Tell he will do to come here.", "he will do to", "Eagle 2,", "Tell Eagle 2, come here."),
        ("Unit 6 to the gate, angle four.", "angle four.", "Tango 4.", "Unit 6 to the gate, Tango 4."),
    ],
)
def test_a_call_sign_without_one_stays_a_name(plain: str, replaced: str, term: str, heard: str) -> None:
    assert not noun(plain, replaced, term, heard)
