"""Which proposed terms are written: the rule with given scores, and base with speech of espeak-ng."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from host_stt.config import Device, EngineConfig
from host_stt.contract import Priority, Transcript
from host_stt.engines.configured import load_whisper
from host_stt.engines.heard import Heard, HeardWord
from host_stt.engines.term_check import LOSS_MAX, checked_text
from host_stt.engines.term_finals import TermFinal
from host_stt.engines.whisper import WhisperEngine
from host_stt.models import ResolvedModel
from host_stt.terms_use import TermsUse, settled_use
from tests.support.speech import padded, say
from tests.support.windows import window

TERMS = ("Medic-9", "Tango-4", "Gold-1", "Delta-8", "Victor-8")
PLAIN = "Medicine, what is your location?"
PROMPTED = "Medic 9, What is your location?"


SURE, UNSURE = -0.1, -1.6


@dataclass(frozen=True)
class FixedScores:
    """The log probability of a text is minus the loss of the first key in it, else minus `other`."""

    losses: dict[str, float]
    plain: str
    other: float = 20.0

    def for_audio(self, texts: Sequence[str]) -> list[float]:
        return [0.0 if text == self.plain else -self._loss(text) for text in texts]

    def without_audio(self, texts: Sequence[str]) -> list[float]:
        return [0.0] * len(texts)

    def _loss(self, text: str) -> float:
        return next((loss for key, loss in self.losses.items() if key in text), self.other)


def checked(
    plain: str,
    prompted: str,
    losses: dict[str, float],
    logprob: float = SURE,
    logprobs: dict[str, float] | None = None,
) -> str:
    """losses: for texts that contain the key. logprob: of each prompted word; logprobs: of some words."""
    words = (HeardWord(text, ((logprobs or {}).get(text, logprob),)) for text in prompted.split())
    return checked_text(plain, Heard(tuple(words)), TERMS, FixedScores(losses, plain))


def test_a_term_that_the_model_was_sure_of_is_written() -> None:
    assert checked(PLAIN, PROMPTED, {"Medic 9, what is": 3.0}) == "Medic 9, what is your location?"


def test_the_other_words_of_the_prompted_text_are_not_used() -> None:
    prompted = "Medic 9, Mississippi your location-2."
    assert checked(PLAIN, prompted, {"Medic 9, what is": 0.0}) == "Medic 9, what is your location?"


def test_a_term_that_the_model_was_not_sure_of_is_not_written() -> None:
    assert checked(PLAIN, PROMPTED, {"Medic 9, what is": 3.0}, logprob=UNSURE) == PLAIN


def test_the_other_words_need_not_be_sure() -> None:
    sure = {"Medic": SURE, "9,": SURE}
    losses = {"Medic 9, what is": 3.0}
    assert checked(PLAIN, PROMPTED, losses, UNSURE, sure).startswith("Medic 9")
    assert checked(PLAIN, PROMPTED, losses, SURE, dict.fromkeys(sure, UNSURE)) == PLAIN


def test_a_number_that_fits_worse_than_another_one_speaks_against_a_term() -> None:
    losses = {"Medic 9, what is": 8.0}
    nearly = -0.5
    assert checked(PLAIN, PROMPTED, losses, nearly).startswith("Medic 9")
    assert checked(PLAIN, PROMPTED, {**losses, "Medic 5": 6.0}, nearly) == PLAIN


def test_another_name_of_the_list_that_fits_better_speaks_against_a_term() -> None:
    losses = {"Medic 9, what is": 8.0, "Medic 5, what is": 8.0}
    assert checked(PLAIN, PROMPTED, losses).startswith("Medic 9")
    assert checked(PLAIN, PROMPTED, {**losses, "Victor": 4.0}) == PLAIN


def test_a_term_that_is_sure_enough_is_not_compared_with_other_names() -> None:
    losses = {"Medic 9, what is": 8.0, "Victor 9, what is": 0.0}
    assert checked(PLAIN, PROMPTED, losses).startswith("Medic 9")


def test_a_term_that_costs_very_much_evidence_is_not_written() -> None:
    assert checked(PLAIN, PROMPTED, {"Medic": LOSS_MAX + 1}) == PLAIN


def test_the_name_of_another_call_sign_is_not_replaced() -> None:
    assert checked("Delta 4, over", "Medic 9, over", {"Medic 9": 0.0}) == "Delta 4, over"
    assert checked("Pelta 4, over", "Delta 8, over", {"Delta 8, over": 0.0}) == "Delta 8, over"


def test_of_the_places_of_a_term_the_one_with_the_most_evidence_is_used() -> None:
    losses = {"Tango 4, radio": 1.0, "Tango 4 track": 4.0}
    text = checked("Hango 4, radio track.", "Tango 4, Radio Track", losses)
    assert text == "Tango 4, radio track."


def test_terms_that_the_plain_text_left_out_are_written_together() -> None:
    plain, prompted = "We are returning.", "Gold 1, This is Medic 9, We are returning"
    losses = {"Gold 1, This is Medic 9, We": 3.0, "Medic 9, We": 5.0}
    assert checked(plain, prompted, losses) == "Gold 1, This is Medic 9, We are returning."
    gold = {"Gold": UNSURE, "1,": UNSURE}
    assert checked(plain, prompted, losses, logprobs=gold) == "Medic 9, We are returning."
    assert checked(plain, prompted, losses, UNSURE) == plain


def test_one_place_gets_the_term_that_is_surer() -> None:
    losses = {"Delta 8, over": 2.0, "Victor 8, over": 2.0}
    logprobs = {"Victor": -0.4}
    assert checked("Delto 8, over", "Delta 8, Victor 8, over", losses, logprobs=logprobs) == "Delta 8, over"


def test_a_term_without_a_number_needs_only_to_be_sure() -> None:
    words = (HeardWord("Seoul", (SURE,)), HeardWord("is", (SURE,)), HeardWord("far", (SURE,)))
    scores = FixedScores({"Seoul": 3.0}, "soul is far")
    assert checked_text("soul is far", Heard(words), ("Seoul", "Medic-9"), scores) == "Seoul is far"


# Within the text Medic 5 fits better, because of the words behind it; alone Medic 9 does.
OPENING = {"Medic 9, what is": 8.0, "Medic 5, what is": 4.0, "Medic 9": 10.0}


def test_a_call_sign_at_the_beginning_is_also_compared_alone() -> None:
    assert checked(PLAIN, PROMPTED, OPENING, -0.5) == "Medic 9, what is your location?"
    assert checked(PLAIN, f", {PROMPTED}", OPENING, -0.5) == "Medic 9, what is your location?"


@pytest.mark.parametrize("better", ["Medic 5", "Tango 4"])
def test_another_call_sign_that_fits_better_alone_speaks_against_it(better: str) -> None:
    assert checked(PLAIN, PROMPTED, {**OPENING, better: 9.0}, -0.5) == PLAIN


def test_a_call_sign_at_the_beginning_needs_some_sureness() -> None:
    assert checked(PLAIN, PROMPTED, OPENING, -2.0) == PLAIN


def test_a_later_call_sign_is_not_compared_alone() -> None:
    assert checked(f"radio {PLAIN}", f"Radio {PROMPTED}", OPENING, -0.5) == f"radio {PLAIN}"


def test_a_call_sign_at_the_beginning_is_used_though_the_rest_is_a_list_of_terms() -> None:
    prompted = "Medic 9, Tango 4, Gold 1, Delta 8, Victor 8"
    assert checked(PLAIN, prompted, OPENING) == "Medic 9, what is your location?"


def test_a_term_without_a_number_is_not_compared_alone() -> None:
    words = (HeardWord("Seoul", (-0.5,)), HeardWord("is", (SURE,)), HeardWord("far", (SURE,)))
    scores = FixedScores({"Seoul": 3.0}, "soul is far")
    assert checked_text("soul is far", Heard(words), ("Seoul", "Medic-9"), scores) == "soul is far"


def test_a_common_noun_stays() -> None:
    losses = {"Medic 9": 3.0}
    assert checked("Medicine, go on", "Medic 9, go on", losses) == "Medic 9, go on"
    plain = "He is a medicine man"
    assert checked(plain, "He is a Medic 9 man", losses) == plain


def test_auto_checks_terms_except_with_the_starter_model() -> None:
    assert settled_use(TermsUse.AUTO, is_starter=False) is TermsUse.CHECKED
    assert settled_use(TermsUse.AUTO, is_starter=True) is TermsUse.PROMPT
    assert settled_use(TermsUse.OFF, is_starter=True) is TermsUse.OFF


# --- with the real model --------------------------------------------------------------------------------

CLEAR = "The road is open again."
MANY = tuple(
    f"{name}-{number}"
    for name in ("Medic", "Tango", "Gold", "Delta", "Victor", "Ladder", "Sierra", "Eagle")
    for number in (1, 2, 4, 8, 9)
)


@pytest.fixture(scope="module")
def base(base_model: Path) -> WhisperEngine:
    """Loaded as the server loads it."""
    config = EngineConfig(model=str(base_model), device=Device.CPU)
    return load_whisper(config, ResolvedModel(base_model, "base", "test"))


@pytest.mark.model
@pytest.mark.timeout(300)
def test_base_hears_a_call_sign_of_forty_and_invents_none(base: WhisperEngine) -> None:
    said = (
        "Medic nine, what is your location, over.",
        "We need more stretchers at the car park behind the hospital.",
        "The water in the tower is one meter deep.",
    )
    plain = [
        window(f"w{n}", samples=padded(say(text, "en"), 0.4, 0.4), language="en")
        for n, text in enumerate(said)
    ]
    without = base.decode(plain)
    having = base.decode([replace(w, terms=MANY) for w in plain])
    texts = [answer.text for answer in having if isinstance(answer, Transcript)]
    assert texts[0].startswith("Medic 9")
    assert texts[1:] == [answer.text for answer in without[1:] if isinstance(answer, Transcript)]
    first = having[0]
    assert isinstance(first, Transcript)
    assert [word.text for word in first.words[:2]] == ["Medic", "9,"]
    assert 0 < first.words[0].end_sample <= first.words[1].end_sample


@pytest.mark.model
@pytest.mark.timeout(300)
def test_a_sure_text_of_base_is_not_decoded_again(base: WhisperEngine) -> None:
    asked = [
        window(f"w{n}", samples=padded(say(text, "en"), 0.4, 0.4), language="en", terms=MANY)
        for n, text in enumerate((CLEAR, "Medic nine, what is your location, over."))
    ]
    before = base.term_finals()
    base.decode(asked)
    after = base.term_finals()
    assert {one: after[one] - before[one] for one in TermFinal} == {TermFinal.SURE: 1, TermFinal.CHECKED: 1}
    every = base.checking_all_finals()
    assert every is not None
    every.decode(asked[:1])
    assert every.term_finals() == {TermFinal.SURE: 0, TermFinal.CHECKED: 1}, "for the measurement"


@pytest.mark.model
@pytest.mark.timeout(300)
def test_an_interim_of_base_has_no_terms_in_its_prompt(base: WhisperEngine) -> None:
    w = window(samples=padded(say("go ahead", "en"), 0.4, 0.4), language="en", priority=Priority.INTERIM)
    assert base.group(replace(w, terms=MANY)).prompt_tokens == 0
