"""A guessed language and a prompt are doubted when the text is: what is tried then, and which text wins."""

from __future__ import annotations

from dataclasses import replace

import pytest

from host_stt.contract import AUTO, Priority, Task
from host_stt.engines.guesses import (
    OTHERS_MAX,
    best_language,
    confirms,
    is_disturbed_by_prompt,
    is_doubtful_guess,
    is_echo,
    other_languages,
)
from host_stt.engines.rows import Decoded, Guesses, Plan, Row
from host_stt.guards import DecodeResult, judge
from tests.support.windows import window

LOOP = "เอา" + "ดู" * 7
GUESSES: Guesses = (("th", 0.94), ("km", 0.02), ("en", 0.01), ("vi", 0.005), ("ko", 0.002))
KNOWN = ("en", "ko", "th", "km", "vi", "ja")


def decoded(
    text: str,
    language: str = "th",
    *,
    avg_logprob: float = -0.3,
    no_speech_prob: float = 0.03,
    window_language: str = AUTO,
    priority: Priority = Priority.FINAL,
    terms: tuple[str, ...] = (),
    history: str = "",
    chosen: str = "",
    echo: Decoded | None = None,
) -> Decoded:
    w = window(language=window_language, priority=priority, terms=terms, history=history)
    previous = (1, 2) if terms or history else ()
    row = Row(0, w, w.as_float32(), previous, 1000, Plan(1), language=chosen, echo=echo)
    result = DecodeResult(text, (1,), avg_logprob, no_speech_prob, is_capped=False)
    return Decoded(row, result, language, 0.9, guesses=GUESSES)


def translated(one: Decoded) -> Decoded:
    return replace(one, row=replace(one.row, window=replace(one.row.window, task=Task.TRANSLATE)))


def is_doubted(one: Decoded) -> bool:
    return is_doubtful_guess(one, judge(one.result))


def test_a_loop_or_an_unsure_text_in_a_detected_language_is_doubtful() -> None:
    assert is_doubted(decoded(LOOP))
    assert is_doubted(decoded("ok", avg_logprob=-1.0))


def test_the_text_of_a_translation_says_nothing_about_the_language() -> None:
    unsure = decoded("come this way", "ko", avg_logprob=-1.0)
    assert is_doubted(unsure) and not is_doubted(translated(unsure))
    prompted = decoded("come this way", "ko", history="radio")
    assert is_disturbed_by_prompt(prompted) and not is_disturbed_by_prompt(translated(prompted))


@pytest.mark.parametrize(
    "sure",
    [
        decoded("alpha one proceed", "en"),
        decoded(LOOP, window_language="th"),  # told, not guessed
        decoded(LOOP, chosen="th"),  # compared before
        decoded(LOOP, priority=Priority.INTERIM),  # its final comes soon
        decoded("ok", avg_logprob=-1.2, no_speech_prob=0.9),  # nobody speaks
    ],
)
def test_confident_results_and_given_languages_are_not_tried_in_other_languages(sure: Decoded) -> None:
    assert not is_doubted(sure)


def test_only_the_configured_languages_are_tried() -> None:
    assert other_languages(decoded(LOOP, "en"), ("en", "ko"), KNOWN) == ("ko",)
    assert other_languages(decoded(LOOP, "th"), ("ko", "th", "ja"), KNOWN) == ("ko", "ja")


def test_without_configured_languages_the_second_guess_and_the_default_languages_are_tried() -> None:
    assert other_languages(decoded(LOOP), (), KNOWN) == ("km", "en", "ko")
    assert len(other_languages(decoded(LOOP), KNOWN, KNOWN)) == OTHERS_MAX


def test_the_most_confident_result_is_used_and_a_loop_counts_less() -> None:
    thai = decoded("เอาถ้าว่า", avg_logprob=-0.95)
    tried = [
        thai,
        decoded("I will put", "en", avg_logprob=-1.55),
        decoded("아우 팝웜", "ko", avg_logprob=-1.38),
    ]
    assert best_language(tried, ()).language == "ko"
    loop = decoded(LOOP, avg_logprob=-0.5)
    assert best_language([loop, decoded("아우 팝웜", "ko", avg_logprob=-1.4)], ()).language == "ko"
    loops = [
        decoded("I will" + "bu" * 9, "en", avg_logprob=-0.9),
        decoded("부구" * 9, "ko", avg_logprob=-0.6),
    ]
    assert best_language([loop, *loops], ()).language == "ko"
    assert best_language([thai, decoded("", "ko", avg_logprob=-0.1)], ()).language == "th"


def test_a_sure_text_in_a_foreign_language_stays() -> None:
    thai = decoded("เอาถ้าว่า", avg_logprob=-0.81)
    assert best_language([thai, decoded("I will put", "en", avg_logprob=-1.6)], ()).language == "th"


def test_of_two_languages_of_the_site_the_first_stays_unless_the_other_is_surer() -> None:
    english = decoded("bravo two", "en", avg_logprob=-0.9)
    assert best_language([english, decoded("브라보", "ko", avg_logprob=-0.85)], ("en", "ko")) is english
    korean = decoded("브라보", "ko", avg_logprob=-0.5)
    assert best_language([english, korean], ("en", "ko")) is korean


@pytest.mark.parametrize("text", ["", "...", "... ... -", "♪"])
def test_a_result_without_letters_is_blamed_on_the_prompt(text: str) -> None:
    assert is_disturbed_by_prompt(decoded(text, "en", history="said before"))
    assert not is_disturbed_by_prompt(decoded(text, "en"))
    assert not is_disturbed_by_prompt(decoded(text, "en", history="said before", no_speech_prob=0.8))
    assert not is_disturbed_by_prompt(decoded(text, "en", history="said before", priority=Priority.INTERIM))


def test_an_echo_of_the_prompt_is_rejected_and_a_call_sign_is_not() -> None:
    terms = ("Alpha-1", "Rescue-8")
    assert is_disturbed_by_prompt(decoded("hold at gate, seven", "en", history="Hold at gate seven."))
    assert not is_disturbed_by_prompt(decoded("Rescue-8,", "en", terms=terms))
    assert not is_disturbed_by_prompt(
        decoded("Rescue-8 hold at gate seven", "en", terms=terms, history="hold at")
    )
    unguarded = decoded("hold at gate, seven", "en", history="Hold at gate seven.")
    w = replace(unguarded.row.window, echo_guard=False)
    assert not is_disturbed_by_prompt(replace(unguarded, row=replace(unguarded.row, window=w)))
    assert is_echo("one two three", ("zero one two three four",))
    assert not is_echo("one two three", ("one two", "four three"))


def test_an_echo_is_kept_when_a_decode_without_the_prompt_confirms_it() -> None:
    echo = decoded("hold at gate seven", "en", history="hold at gate seven")
    assert confirms(decoded("Hold at gate 7", "en", echo=echo).row, decoded("Hold at gate sven", "en"))
    assert not confirms(decoded("", "en", echo=echo).row, decoded("we are leaving now", "en"))
    assert not confirms(decoded("", "en").row, decoded("hold at gate seven", "en"))


def test_a_korean_final_in_english_is_decoded_again_without_its_prompt() -> None:
    text = "Our father's story is over."
    assert is_disturbed_by_prompt(decoded(text, "ko", terms=("Rescue-8",)))
    assert not is_disturbed_by_prompt(decoded(text, "ko"))
    assert not is_disturbed_by_prompt(decoded(text, "en", terms=("Rescue-8",)))
    assert not is_disturbed_by_prompt(decoded("Rescue-8", "ko", terms=("Gate 7",)))
    assert not is_disturbed_by_prompt(decoded("Rescue-8 여기는 본부 over", "ko", terms=("Gate 7",)))
