from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_stt.contract import WINDOW_SAMPLES_MAX, Priority, Word
from host_stt.engines.fake import FakeEngine, script_of
from tests.webrtc_host.speech.helpers import MS, S
from tests.webrtc_host.speech.simulate import HANGOVER, PRE_ROLL, speak
from webrtc_host.speech.endpointing import Rule, SpeechEnded, SpeechStarted
from webrtc_host.speech.windowing import Windowing, WindowSpec
from webrtc_host.speech.windowing_config import WindowingConfig


def talk(seed: int, seconds: float) -> list[Word]:
    rng = random.Random(seed)
    words, at = [], S
    while at < S + seconds * S:
        end = at + rng.randint(100, 600) * MS
        words.append(Word("word", at, end, 1.0))
        at = end + rng.randint(10, 400) * MS
    return words


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), seconds=st.floats(0.1, 70))
def test_the_finals_of_an_utterance_cover_it_and_overlap_by_a_fifth_to_a_third(
    seed: int, seconds: float
) -> None:
    script = talk(seed, seconds)
    outcome = speak(script, FakeEngine(script))
    finals = outcome.finals
    assert finals[0].start_sample <= script[0].start_sample
    assert finals[-1].end_sample >= script[-1].end_sample
    assert [w.number for w in finals] == list(range(len(finals)))
    assert [w.is_last for w in finals] == [False] * (len(finals) - 1) + [True]
    for window, after in zip(finals, finals[1:], strict=False):
        length = window.end_sample - window.context_end_sample
        overlap = window.end_sample - after.context_end_sample
        assert 5 * S <= length <= 10 * S
        assert 0.19 * length <= overlap <= 0.31 * length
        assert after.context_end_sample == window.next_start_sample
        assert 0 < after.context_end_sample - after.start_sample <= 3 * S


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), seconds=st.floats(0.1, 70))
def test_no_speech_waits_longer_than_a_window_and_a_hangover_to_be_asked(seed: int, seconds: float) -> None:
    script = talk(seed, seconds)
    outcome = speak(script, FakeEngine(script))
    for window, asked_at in zip(outcome.windows, outcome.asked_at, strict=True):
        assert asked_at - window.context_end_sample <= 10 * S + HANGOVER + PRE_ROLL + S
        assert window.end_sample - window.start_sample <= WINDOW_SAMPLES_MAX
        assert window.end_sample <= asked_at


def test_long_speech_is_cut_where_it_is_quiet() -> None:
    script = script_of("a b c d e f g h i j k l m n o p q r s t u v w x y z " * 2, S, pause_ms=200)
    (cut, *_) = speak(script, FakeEngine(script)).finals
    assert not any(w.start_sample < cut.end_sample < w.end_sample for w in script)
    assert not any(w.start_sample < cut.next_start_sample < w.end_sample for w in script)


def two_sentences(first_s: float, pause_ms: int) -> list[Word]:
    first = script_of("word " * round(first_s / 0.4), S)
    return [*first, *script_of("other " * 5, first[-1].end_sample + pause_ms * MS)]


def test_long_speech_is_cut_in_a_real_pause_and_no_word_is_read_twice() -> None:
    script = two_sentences(6, pause_ms=400)
    outcome = speak(script, FakeEngine(script), hears_pauses=True)
    cut, last = outcome.finals
    before, after = script[-6].end_sample, script[-5].start_sample
    assert before < cut.next_start_sample == last.context_end_sample < cut.end_sample <= after
    assert outcome.text == " ".join(word.text for word in script)
    assert last.is_last and not cut.is_last


@pytest.mark.parametrize(("first_s", "pause_ms"), [(4.0, 400), (6.0, 200)])
def test_a_window_is_not_cut_in_an_early_or_a_short_pause(first_s: float, pause_ms: int) -> None:
    script = two_sentences(first_s, pause_ms)
    (only,) = speak(script, FakeEngine(script), hears_pauses=True).finals
    assert only.is_last


def test_a_pause_that_ends_the_utterance_is_no_cut() -> None:
    script = script_of("word " * 24, S)
    (only,) = speak(script, FakeEngine(script), hears_pauses=True).finals
    assert only.is_last and only.end_sample >= script[-1].end_sample


def test_interims_begin_after_some_speech_and_then_come_regularly() -> None:
    script = script_of("alpha bravo charlie delta echo foxtrot golf hotel india juliett", S)
    outcome = speak(script, FakeEngine(script))
    asked = [
        at for w, at in zip(outcome.windows, outcome.asked_at, strict=True) if w.priority is Priority.INTERIM
    ]
    assert 700 * MS <= asked[0] - S <= 800 * MS
    assert all(700 * MS <= b - a <= 800 * MS for a, b in zip(asked, asked[1:], strict=False))
    assert asked[-1] <= script[-1].end_sample + 32 * MS  # none in the hangover: the final is near


def test_an_interim_begins_a_little_before_the_commit_point() -> None:
    script = talk(1, 30)
    outcome = speak(script, FakeEngine(script))
    commit = outcome.finals[0].next_start_sample
    later = [w for w in outcome.windows if w.priority is Priority.INTERIM and w.context_end_sample > 2 * S]
    assert later[0].context_end_sample == commit - 200 * MS


def test_an_interim_that_begins_anew_has_no_context() -> None:
    windowing = Windowing(WindowingConfig())
    windowing.on_speech(SpeechStarted("u_1", S, S - 300 * MS), S)
    windows: list[WindowSpec] = []
    for at in range(S, 7 * S, 512):
        if at >= 6 * S:
            windowing.commit("u_1", S, restart_sample=4 * S)
        windows += windowing.feed(np.ones(1, np.float32), at, at + 512)
    assert {w.priority for w in windows} == {Priority.INTERIM}
    assert windows[-1].start_sample == windows[-1].context_end_sample == 4 * S - 200 * MS


def test_when_finals_lag_an_interim_stays_bounded() -> None:
    script = talk(2, 60)
    outcome = speak(script, FakeEngine(script), delay=20)
    for window in outcome.windows:
        assert window.end_sample - window.context_end_sample <= 13 * S
        assert window.end_sample - window.start_sample <= 16 * S


def test_a_window_has_earlier_speech_as_context_from_a_pause_on() -> None:
    script = script_of("a b c d e f g h i j k l m n o p q r s t u v w x y z " * 2, S, pause_ms=200)
    outcome = speak(script, FakeEngine(script))
    later = [w for w in outcome.windows if w.context_end_sample > w.start_sample]
    assert {w.priority for w in later} == {Priority.INTERIM, Priority.FINAL}
    for window in later:
        assert not any(w.start_sample < window.start_sample < w.end_sample for w in script)
    (first, *_) = outcome.finals
    assert first.start_sample == first.context_end_sample, "nothing was said before it"


@pytest.mark.parametrize(
    ("gap_ms", "voiced_ms", "is_idle", "reaches_back"),
    [(900, 600, True, True), (2100, 600, True, False), (900, 200, True, False), (900, 600, False, False)],
    ids=["soon", "later", "hardly a word", "busy engine"],
)
def test_an_utterance_soon_after_another_has_it_as_context(
    gap_ms: int, voiced_ms: int, is_idle: bool, reaches_back: bool
) -> None:
    """A sound that is hardly a word is judged by itself. A busy engine gets no context to decode."""
    windowing = Windowing(WindowingConfig(), has_room_for_context=lambda _: is_idle)
    ends, start = 4 * S, 4 * S + gap_ms * MS
    end = start + voiced_ms * MS
    windowing.on_speech(SpeechStarted("u_1", S, S - 300 * MS), 2 * S)
    values = [1.0 if S <= at < ends or start <= at < end else 0.0 for at in range(0, end + S, 512)]
    windowing.feed(np.array(values[: start // 512], np.float32), 0, ends)
    windowing.on_speech(SpeechEnded("u_1", S, ends, Rule.HANGOVER), start - 400 * MS)
    windowing.on_speech(SpeechStarted("u_2", start, start - 300 * MS), start + 100 * MS)
    windowing.feed(np.array(values[start // 512 :], np.float32), start // 512 * 512, end)
    (window,) = windowing.on_speech(SpeechEnded("u_2", start, end, Rule.HANGOVER), end + 500 * MS)
    assert (window.start_sample < ends) == reaches_back
    assert window.context_end_sample >= ends


def test_no_window_is_longer_than_whisper_takes() -> None:
    config = WindowingConfig(
        window_ms_max=22_000, window_ms_min=20_000, pause_after_ms=25_000, context_ms=10_000
    )
    script = talk(3, 70)
    windows = speak(script, FakeEngine(script), config).windows
    assert max(w.end_sample - w.start_sample for w in windows) > 25 * S
    assert all(w.end_sample - w.start_sample <= WINDOW_SAMPLES_MAX for w in windows)


def test_a_very_short_utterance_is_widened_with_the_audio_around_it() -> None:
    windowing = Windowing(WindowingConfig())
    start, end = 5 * S, 5 * S + 250 * MS
    windowing.on_speech(SpeechStarted("u_1", start, start - 300 * MS), end)
    (window,) = windowing.on_speech(SpeechEnded("u_1", start, end, Rule.HANGOVER), end + 500 * MS)
    assert window.end_sample - window.start_sample == 1200 * MS
    assert window.end_sample <= end + 500 * MS
    assert window.start_sample < start - 300 * MS


def test_widening_never_takes_in_the_words_of_the_utterance_before() -> None:
    windowing = Windowing(WindowingConfig())
    before = S
    windowing.on_speech(SpeechStarted("u_1", 0, 0), before)
    windowing.on_speech(SpeechEnded("u_1", 0, before, Rule.HANGOVER), before)
    start, end = before + 550 * MS, before + 700 * MS
    windowing.on_speech(SpeechStarted("u_2", start, start - 300 * MS), end)
    (window,) = windowing.on_speech(SpeechEnded("u_2", start, end, Rule.CHANNEL_CLOSED), end)
    assert window.start_sample == before
    assert window.end_sample == end


def test_a_window_says_for_how_long_a_voice_was_heard_in_it() -> None:
    script = [Word("yes", 2 * S, 2 * S + 320 * MS, 1.0)]
    (only,) = speak(script, FakeEngine(script)).finals
    assert only.end_sample - only.start_sample > 1000 * MS, "widened"
    assert only.voiced_ms == 320


def test_an_end_without_a_start_is_a_bug() -> None:
    with pytest.raises(ValueError, match="never started"):
        Windowing(WindowingConfig()).on_speech(SpeechEnded("u_9", 0, S, Rule.HANGOVER), S)


@pytest.mark.parametrize(
    "wrong",
    [
        {"window_ms_min": 12_000},
        {"window_ms_max": 30_000},
        {"overlap_percent_min": 40},
        {"interim_interval_ms": 50},
    ],
)
def test_a_config_that_cannot_work_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError):
        WindowingConfig(**wrong)
