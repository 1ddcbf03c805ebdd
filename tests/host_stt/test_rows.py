from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from host_stt.contract import EndReason, Priority, Task, Word
from host_stt.engines.rows import (
    BEAM_CAREFUL,
    FRAMES_FULL,
    SHORT_FRAMES,
    SHORTEST_FRAMES,
    TEMPERATURE,
    Decoded,
    Plan,
    Row,
    next_decode,
    no_speech_result,
    padded_frames,
    transcript_of,
    with_verdict,
    without_false_copy,
)
from host_stt.guards import RULES, DecodeResult, Verdict
from host_stt.window_forms import WindowForm
from tests.support.windows import window

S = 16_000
NOISE = np.random.default_rng(1).standard_normal(6 * S).astype(np.float32) * np.float32(0.1)


def decoded(
    *words: tuple[str, float, float], priority: Priority = Priority.FINAL, is_capped: bool = False
) -> Decoded:
    """A result of a window that begins at 10 s on its channel; word times in seconds within the window."""
    w = window(samples=NOISE, start_sample=10 * S, priority=priority, language="en")
    timed = tuple(
        Word(text, 10 * S + round(start * S), 10 * S + round(end * S), 0.9) for text, start, end in words
    )
    text = " ".join(word.text for word in timed)
    row = Row(0, w, NOISE, (1, 2), 1000, Plan(1))
    return Decoded(row, DecodeResult(text, (5,) * len(words), -0.2, 0.01, is_capped), "en", 1.0, timed)


def test_a_pause_of_a_second_begins_a_segment() -> None:
    answer = transcript_of(decoded(("alpha", 0.5, 0.9), ("one", 1.0, 1.3), ("go", 2.4, 2.6)), "starter")
    assert [(s.text, s.start_sample / S, s.end_sample / S) for s in answer.segments] == [
        ("alpha one", 10.5, 11.3),
        ("go", 12.4, 12.6),
    ]
    assert answer.text == "alpha one go"


def test_an_invented_english_phrase_is_left_out_of_a_translation() -> None:
    said = replace(decoded(("Thank", 0.5, 0.9), ("you.", 1.0, 1.3)), language="ko")
    silent = replace(said, result=replace(said.result, no_speech_prob=0.8))
    assert transcript_of(silent, "m").text == "Thank you."  # no phrase of a Korean transcription
    english = replace(silent.row.window, task=Task.TRANSLATE)
    assert transcript_of(replace(silent, row=replace(silent.row, window=english)), "m").text == ""


def test_words_joined_without_a_space_stay_so() -> None:
    d = decoded(("가", 0.1, 0.2), ("나", 0.2, 0.3))
    joined = replace(d, words=(d.words[0], replace(d.words[1], leading_space=False)))
    assert transcript_of(joined, "m").text == "가나"


def test_a_segment_without_words_spans_the_speech() -> None:
    quiet_ends = np.concatenate([np.zeros(S, np.float32), NOISE[: 2 * S], np.zeros(3 * S, np.float32)])
    d = decoded(("alpha", 0, 1), priority=Priority.INTERIM)
    d = replace(d, words=(), row=replace(d.row, samples=quiet_ends))
    (segment,) = transcript_of(d, "m").segments
    assert abs(segment.start_sample - 11 * S) <= 640 and abs(segment.end_sample - 13 * S) <= 640
    assert segment.words == ()


@pytest.mark.parametrize(
    ("d", "reason"),
    [
        (decoded(("alpha", 0, 1)), EndReason.COMPLETE),
        (decoded(("alpha", 0, 1), is_capped=True), EndReason.TOKEN_CAP),
        (decoded(), EndReason.NO_SPEECH),
    ],
)
def test_the_end_reason_says_why_decoding_stopped(d: Decoded, reason: EndReason) -> None:
    answer = transcript_of(d, "m")
    assert answer.end_reason is reason
    assert bool(answer.segments) is (reason is not EndReason.NO_SPEECH)


def test_a_result_that_a_guard_rejects_as_no_speech_has_no_text() -> None:
    for rule in RULES:
        answer = transcript_of(with_verdict(decoded(("alpha", 0, 1)), rule), "m")
        assert bool(answer.text) is (rule.verdict is not Verdict.NO_SPEECH)


def test_a_second_decode_has_the_full_window_and_no_prompt() -> None:
    for priority, beam_size in ((Priority.FINAL, BEAM_CAREFUL), (Priority.INTERIM, 1)):
        row = next_decode(decoded(("alpha", 0, 1), priority=priority))
        assert row is not None and (row.previous, row.frames) == ((), FRAMES_FULL)
        assert row.plan == Plan(beam_size, is_careful=True, is_last=priority is Priority.INTERIM)


def test_a_window_in_the_shortest_form_is_decoded_again_in_the_short_one_and_then_in_full() -> None:
    for priority in (Priority.FINAL, Priority.INTERIM):
        first = decoded(("alpha", 0, 1), priority=priority)
        first = replace(first, row=replace(first.row, frames=SHORTEST_FRAMES[0]))
        second = next_decode(first)
        assert second is not None and second.frames == SHORT_FRAMES[0]
    careful = replace(first.row, frames=SHORT_FRAMES[0], plan=Plan(BEAM_CAREFUL, is_careful=True))
    third = next_decode(replace(first, row=careful))
    assert third is not None and third.frames == FRAMES_FULL


def test_a_final_is_decoded_a_third_time_with_sampling_and_not_again() -> None:
    first = decoded(("alpha", 0, 1))
    second = next_decode(first)
    assert second is not None
    third = next_decode(replace(first, row=second))
    assert third is not None and third.instead is not None and third.instead.row is second
    assert third.plan == Plan(1, is_careful=True, temperature=TEMPERATURE, is_last=True)
    assert third.key != replace(third, plan=Plan(1)).key, "it shares no call with rows that are searched"
    assert next_decode(replace(first, row=third)) is None


def test_an_interim_is_never_sampled() -> None:
    first = decoded(("alpha", 0, 1), priority=Priority.INTERIM)
    second = next_decode(first)
    assert second is not None and next_decode(replace(first, row=second)) is None


def test_the_copy_of_a_text_leaves_no_words() -> None:
    words = ("stand", 0, 0.4), ("by", 0.4, 0.8), ("for", 0.8, 1.0), ("orders", 1.0, 1.4)
    twice = decoded(*words, *((text, 1.4, 1.4) for text, _, _ in words))
    said = replace(twice, row=replace(twice.row, samples=NOISE[: int(1.5 * S)]))
    once = without_false_copy(said)
    assert transcript_of(once, "m").text == once.result.text == "stand by for orders"
    assert without_false_copy(twice) is twice, "in six seconds somebody can say it twice"


@pytest.mark.parametrize(("asked", "language", "probability"), [("auto", "en", 0.0), ("ko", "ko", 1.0)])
def test_silence_has_the_requested_language(asked: str, language: str, probability: float) -> None:
    answer = no_speech_result(window(language=asked), "en", "m")
    assert (answer.language, answer.language_probability) == (language, probability)


@pytest.mark.parametrize(
    ("seconds", "frames"),
    [(0.1, 1000), (7.5, 1000), (7.6, 1500), (12.5, 1500), (17, 2000), (18, 3000), (30, 3000)],
)
def test_a_short_window_leaves_slack_behind_the_speech(seconds: float, frames: int) -> None:
    for is_final in (True, False):
        assert padded_frames(WindowForm.SHORT, int(seconds * S), is_final=is_final) == frames
        assert padded_frames(WindowForm.FULL, int(seconds * S), is_final=is_final) == FRAMES_FULL


@pytest.mark.parametrize(
    ("seconds", "interim", "final"),
    [
        (0.1, 500, 1000),
        (1.9, 500, 1000),
        (2, 500, 800),
        (2.5, 500, 800),
        (2.6, 600, 800),
        (4.6, 800, 800),
        (7.6, 1200, 1200),
        (18, 3000, 3000),
    ],
)
def test_the_shortest_window_leaves_the_same_slack(seconds: float, interim: int, final: int) -> None:
    for is_final, frames in ((False, interim), (True, final)):
        assert padded_frames(WindowForm.SHORTEST, int(seconds * S), is_final=is_final) == frames
