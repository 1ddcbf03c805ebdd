"""The mis-hearings that a client names for its own audio, before the server's glossary."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from host_stt.contract import Word
from webrtc_host.events import Edit
from webrtc_host.glossary.correct import carried
from webrtc_host.glossary.entries import MisheardTerm
from webrtc_host.glossary.store import Glossary
from webrtc_host.speech.connection_terms import ConnectionTermsStage
from webrtc_host.speech.final_text import FinalText
from webrtc_host.speech.glossary_stage import GlossaryStage


def final(text: str, probability: float = 0.9) -> FinalText:
    words = tuple(Word(word, 100 * i, 100 * i + 90, probability) for i, word in enumerate(text.split()))
    return FinalText("C01", "u_1", 0, 1000, text, text, "en", -0.2, words, 0)


def test_a_mishearing_becomes_the_term_and_the_list_can_change() -> None:
    misheard: tuple[MisheardTerm, ...] = ()
    stage = ConnectionTermsStage(lambda: misheard)
    said = final("I like nokey today")
    assert stage(said) is said
    misheard = (MisheardTerm("gnocchi", ("nyohki", "nokey")),)
    after = stage(said)
    assert (after.text, after.raw) == ("I like gnocchi today", said.raw)
    assert [(edit.before, edit.kind, edit.start, edit.end) for edit in after.edits] == [
        ("nokey", "sounds_like", 7, 14)
    ]
    assert [word.text for word in after.words] == ["I", "like", "gnocchi", "today"]
    misheard = (MisheardTerm("Noki", ("nokey",)),)
    assert stage(said).text == "I like Noki today"


def test_a_common_word_that_the_engine_was_sure_of_stays() -> None:
    stage = ConnectionTermsStage(
        lambda: (MisheardTerm("Kiehl's", ("keels",)), MisheardTerm("Gait", ("gate",)))
    )
    assert stage(final("close the gate")).text == "close the gate"
    assert stage(final("close gate", probability=0.2)).text == "close Gait"


def test_the_glossary_comes_after_it_and_the_edits_keep_their_places() -> None:
    glossary = Glossary()
    glossary_stage = GlossaryStage(glossary)
    glossary.replace({"terms": [{"canonical": "Alpha-1"}, {"canonical": "Hyundai", "aliases": ["hai"]}]})
    stage = ConnectionTermsStage(
        lambda: (MisheardTerm("gnocchi", ("nokey",)), MisheardTerm("hai", ("high yay",)))
    )
    after = glossary_stage(stage(final("alpha one nokey and high yay")))
    assert after.text == "Alpha-1 gnocchi and Hyundai"
    assert [after.text[edit.start : edit.end] for edit in after.edits] == ["gnocchi", "Alpha-1", "Hyundai"]


places = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4), st.integers(1, 4)), max_size=5)


@settings(max_examples=60)
@given(places, places)
def test_edits_that_do_not_meet_keep_their_text(first: list[tuple[int, int, int]], second: list[Any]) -> None:
    text, earlier = changed("abcdefghijklmnopqrstuvwxyz" * 2, first)
    newest, later = changed(text, second)
    for edit in carried(earlier, later):
        assert newest[edit.start : edit.end] == edit.after
    if not later:
        assert carried(earlier, later) == earlier


def changed(text: str, plan: list[tuple[int, int, int]]) -> tuple[str, list[Edit]]:
    """The text with a change for each (distance to the change before, length, new length)."""
    at = 0
    edits: list[Edit] = []
    for gap, length, new in plan:
        start = at + gap
        if start + length > len(text):
            break
        after = str(len(edits)) * new
        edits.append(Edit(text[start : start + length], after, "t", "alias", 1.0, start, start + new))
        text = text[:start] + after + text[start + length :]
        at = start + new
    return text, edits
