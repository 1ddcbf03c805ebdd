from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_stt.contract import EndReason, Priority, Segment, Transcript, Word
from host_stt.engines.fake import WHISPER_LIKE, FakeEngine, FakeErrors, script_of
from tests.webrtc_host.speech.helpers import MS, S, texts
from tests.webrtc_host.speech.simulate import speak
from webrtc_host.speech.merge import Committed, InterimText, UtteranceMerge
from webrtc_host.speech.windowing import WindowSpec

VOCABULARY = (
    "alpha bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike november oscar papa "
    "quebec romeo sierra tango uniform victor whiskey yankee zulu gate seven proceed hold there until left "
    "right north south the to and of at runway tower copy one two three four five six eight nine"
).split()
EDGE_ERRORS = replace(WHISPER_LIKE, drop=0.0, misspell=0.0)
"""All that goes wrong at a window's edges, times off by 200 ms, repeated and invented tails: what an overlap
can mend."""


def spoken(seed: int, count: int) -> list[Word]:
    """`count` words of 150-450 ms with 20-200 ms between them; no word twice within six."""
    rng = random.Random(seed)
    words: list[Word] = []
    at = S
    for _ in range(count):
        text = rng.choice([v for v in VOCABULARY if v not in texts(words[-6:]).split()])
        end = at + rng.randint(150, 450) * MS
        words.append(Word(text, at, end, 1.0))
        at = end + rng.randint(20, 200) * MS
    return words


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 120))
def test_overlapping_windows_with_errors_like_whispers_give_every_word_once(seed: int, count: int) -> None:
    script = spoken(seed, count)
    outcome = speak(script, FakeEngine(script, EDGE_ERRORS, seed=seed))
    assert outcome.text == texts(script)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 120))
def test_words_that_interims_agree_on_early_come_once_and_right(seed: int, count: int) -> None:
    script = spoken(seed, count)
    outcome = speak(script, FakeEngine(script, EDGE_ERRORS, seed=seed, interim_words=True))
    assert outcome.text == texts(script)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), count=st.integers(30, 120), delay=st.integers(1, 6))
def test_late_and_reordered_results_change_nothing(seed: int, count: int, delay: int) -> None:
    script = spoken(seed, count)
    outcome = speak(script, FakeEngine(script, EDGE_ERRORS, seed=seed), delay=delay)
    assert outcome.text == texts(script)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 120))
def test_words_dropped_and_misspelt_inside_a_window_cost_only_themselves(seed: int, count: int) -> None:
    """1 % dropped and 2 % misspelt: no more than those few may be wrong, and no word comes twice."""
    script = spoken(seed, count)
    outcome = speak(script, FakeEngine(script, WHISPER_LIKE, seed=seed))
    heard, said = outcome.text.split(), texts(script).split()
    assert abs(len(heard) - len(said)) <= 2 + count // 25
    assert all(a != b for a, b in zip(heard, heard[1:], strict=False))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 120))
def test_the_commit_point_only_moves_forward_and_interims_stay_behind_it(seed: int, count: int) -> None:
    script = spoken(seed, count)
    outcome = speak(script, FakeEngine(script, EDGE_ERRORS, seed=seed))
    commit, revision = script[0].start_sample, 0
    for event in outcome.events:
        if isinstance(event, Committed):
            assert event.start_sample == commit
            assert event.end_sample >= commit
            commit = event.end_sample
        else:
            assert event.start_sample == commit
            assert event.revision == revision + 1
            revision = event.revision
            assert 0 <= event.stable_chars <= len(event.text)


def test_an_interim_holds_only_text_after_the_last_final() -> None:
    script = spoken(5, 90)
    outcome = speak(script, FakeEngine(script))
    said = texts(script)
    committed: list[str] = []
    for event in outcome.events:
        if isinstance(event, Committed):
            committed += [w.text for w in event.words]
        else:
            assert said.startswith(" ".join([*committed, event.text]).strip())


def test_the_stable_prefix_is_the_text_that_the_last_revision_also_has() -> None:
    script = script_of("alpha one proceed to gate seven and hold there")
    interims = speak(script, FakeEngine(script)).interims
    assert len(interims) >= 3
    for before, now in zip(interims, interims[1:], strict=False):
        assert now.stable_chars == len(before.text)
        assert now.text.startswith(before.text)


def test_a_word_that_is_wrong_at_one_edge_is_taken_from_the_other_window() -> None:
    merge = UtteranceMerge("u_1", 0)
    first = reading(
        0, 8 * S, [*script_of("alpha bravo"), *at(5.9, "echo"), *at(7.0, "then"), *at(7.7, "fox", 0.3)]
    )
    second = reading(
        6 * S, 12 * S, [*at(6.0, "eco"), *at(7.1, "then"), *at(7.7, "foxtrot"), *at(8.3, "golf")]
    )
    events = [
        *merge.feed(windows(0, 0, 8 * S, 6 * S), first),
        *merge.feed(windows(1, 6 * S, 12 * S, 12 * S, is_last=True), second),
    ]
    assert words_of(events) == "alpha bravo echo then foxtrot golf"


def test_a_failed_window_costs_only_its_own_words() -> None:
    script = spoken(11, 80)
    outcome = speak(
        script, FakeEngine(script), fails=lambda w: w.number == 1 and w.priority is Priority.FINAL
    )
    lost = outcome.finals[1]
    heard = set(outcome.text.split())
    before = [w for w in script if w.end_sample < lost.start_sample]
    after = [w for w in script if w.start_sample > lost.end_sample]
    assert outcome.text.startswith(texts(before))
    assert outcome.text.endswith(texts(after))
    assert len(outcome.words) < len(script)
    assert heard


def test_when_the_last_window_fails_the_held_words_are_still_committed() -> None:
    script = spoken(12, 40)
    outcome = speak(script, FakeEngine(script), fails=lambda w: w.is_last)
    held_to = outcome.finals[-2].end_sample
    assert outcome.text == texts([w for w in script if w.end_sample <= held_to])


def test_a_repeated_tail_is_dropped_and_a_spoken_repetition_stays() -> None:
    script = script_of("station calling say again say again")
    assert speak(script, FakeEngine(script)).text == "station calling say again say again"
    for word in ("five five", "mayday mayday mayday", "negative negative"):
        script = script_of(word)
        assert speak(script, FakeEngine(script)).text == word
    script = script_of("station calling say your name")
    errors = FakeErrors(repeat_tail=1.0)
    assert speak(script, FakeEngine(script, errors)).text == "station calling say your name"


def test_a_sentence_whose_beginning_is_final_and_that_is_written_twice_comes_once() -> None:
    sentence = [*at(1.0, "guards"), *at(1.5, "stand"), *at(2.5, "behind"), *at(3.0, "the"), *at(3.5, "gate")]
    merge = UtteranceMerge("u_1", S)
    merge.feed(interim(S, int(3.9 * S)), reading(S, int(3.9 * S), sentence))
    early = merge.feed(interim(S, 5 * S), reading(S, 5 * S, sentence))
    assert words_of(early) == "guards stand behind"
    copy = [Word(word.text, int(3.8 * S), int(3.8 * S), 0.9) for word in sentence]
    last = windows(0, S, 5 * S, 5 * S, is_last=True)
    assert words_of(merge.feed(last, reading(S, 5 * S, [*sentence, *copy]))) == "the gate"


def test_silence_commits_nothing_and_still_ends_the_utterance() -> None:
    merge = UtteranceMerge("u_1", 0)
    nothing = Transcript("w", (), "en", 1.0, 0.0, 0.98, 1.0, EndReason.NO_SPEECH)
    (event,) = merge.feed(windows(0, 0, S, S, is_last=True), nothing)
    assert isinstance(event, Committed)
    assert event.words == ()
    assert merge.is_done


def test_words_of_the_utterance_before_are_context_and_come_no_second_time() -> None:
    before = [*at(1.0, "we"), *at(1.5, "are"), *at(2.0, "gathered")]
    for known in (before, []):  # the utterance before may have no result yet
        merge = UtteranceMerge("u_2", 3 * S, known, first_sample=int(2.7 * S))
        heard = [*before, *at(3.0, "to"), *at(3.5, "review")]
        (shown,) = merge.feed(interim(S, 4 * S), reading(S, 4 * S, heard))
        assert isinstance(shown, InterimText) and shown.text == "to review"
        last = replace(windows(0, S, 4 * S, 4 * S, is_last=True), context_end_sample=int(2.7 * S))
        assert words_of(merge.feed(last, reading(S, 4 * S, heard))) == "to review"


def test_a_word_that_the_utterance_before_has_missed_does_not_come_a_second_later() -> None:
    missed = at(2.5, "now")
    merge = UtteranceMerge("u_2", 4 * S, at(2.0, "Go"), first_sample=int(3.7 * S))
    heard = [*at(2.0, "Go"), *missed, *at(4.0, "to"), *at(4.5, "review")]
    (shown,) = merge.feed(interim(S, 5 * S), reading(S, 5 * S, heard))
    assert isinstance(shown, InterimText) and shown.text == "to review"
    last = replace(windows(0, S, 5 * S, 5 * S, is_last=True), context_end_sample=int(3.7 * S))
    assert words_of(merge.feed(last, reading(S, 5 * S, heard))) == "to review"


def test_the_words_of_the_utterance_before_may_become_final_after_this_one_began() -> None:
    before = [*at(0.3, "Eight,"), *at(0.8, "six.")]
    for is_known in (True, False):
        merge = UtteranceMerge("u_2", int(1.8 * S), first_sample=int(1.6 * S))
        if is_known:
            merge.know_before(before)
        events = merge.feed(
            windows(0, 0, 6 * S, 6 * S, is_last=True), reading(0, 6 * S, at(0.3, "8-6-1-5", 5.0))
        )
        assert words_of(events) == ("1-5" if is_known else "8-6-1-5")
    merge.know_before(at(5.0, "late"))
    assert [word.text for word in merge.tail] == ["8-6-1-5"], "its own final words stay"


def test_the_rest_of_a_spelled_word_is_not_taken_for_the_final_letter_beside_it() -> None:
    """The times of a spelled word end too early: here it lies in the context and touches the final "B"."""
    merge = UtteranceMerge("u_2", int(2.4 * S), at(1.5, "B", 0.25), first_sample=int(2.1 * S))
    heard = [*at(1.34, "B-A-249-0", 0.86), *at(5.0, "please")]
    last = replace(windows(0, int(1.2 * S), 6 * S, 6 * S, is_last=True), context_end_sample=int(2.1 * S))
    assert words_of(merge.feed(last, reading(int(1.2 * S), 6 * S, heard))) == "A-249-0 please"


def test_a_word_that_the_alignment_puts_into_the_pause_before_it_is_kept() -> None:
    """Next to a pause the times of words are wrong by half a second."""
    before = [*at(1.0, "very"), *at(1.5, "pleasant")]
    merge = UtteranceMerge("u_2", 3 * S, before, first_sample=int(2.7 * S))
    heard = [*before, *at(1.95, "meeting", 0.6), *at(3.5, "the"), *at(4.0, "results")]
    last = replace(windows(0, S, 5 * S, 5 * S, is_last=True), context_end_sample=int(2.7 * S))
    assert words_of(merge.feed(last, reading(S, 5 * S, heard))) == "meeting the results"


def test_context_that_an_interim_spells_otherwise_is_not_shown() -> None:
    before = [*at(1.0, "자,", 0.2), *at(1.4, "이쪽으로"), *at(1.9, "오세요")]
    merge = UtteranceMerge("u_2", 3 * S, before, first_sample=int(2.7 * S))
    heard = [*at(1.0, "자", 0.2), *at(1.4, "입적으로"), *at(1.9, "오세요"), *at(2.9, "오늘은")]
    (shown,) = merge.feed(interim(S, 4 * S, context_end=int(2.7 * S)), reading(S, 4 * S, heard))
    assert isinstance(shown, InterimText) and shown.text == "오늘은"


def test_words_of_an_utterance_with_context_are_final_when_two_interims_agree() -> None:
    before = at(1.0, "gathered")
    merge = UtteranceMerge("u_2", 3 * S, before, first_sample=int(2.7 * S))
    # The first word begins before the detector heard speech, as soft words do.
    said = [
        *at(2.75, "this", 0.3),
        *at(3.2, "pandemic"),
        *at(3.8, "will"),
        *at(4.4, "have"),
        *at(4.9, "left"),
    ]
    merge.feed(interim(S, 6 * S), reading(S, 6 * S, [*before, *said]))
    events = merge.feed(interim(S, 7 * S), reading(S, 7 * S, [*before, *said, *at(5.5, "us")]))
    assert words_of(events) == "this pandemic will have"


def test_a_context_without_times_of_words_shows_nothing() -> None:
    merge = UtteranceMerge("u_2", 3 * S, first_sample=int(2.7 * S))
    assert merge.feed(interim(S, 4 * S), reading(S, 4 * S, at(1.0, "are"), with_words=False)) == []


def test_a_word_that_the_alignment_stretches_over_the_context_is_kept() -> None:
    merge = UtteranceMerge("u_1", 0)
    merge.feed(windows(0, 0, 7 * S, 7 * S), reading(0, 7 * S, [*at(5.0, "pictures"), *at(6.0, "lovely")]))
    stretched = [Word("characters", 4 * S, 8 * S, 0.9), *at(8.2, "too")]
    last = replace(windows(1, 4 * S, 9 * S, 9 * S, is_last=True), context_end_sample=7 * S)
    assert words_of(merge.feed(last, reading(4 * S, 9 * S, stretched))) == "characters too"


def test_a_last_word_that_the_context_spells_otherwise_comes_once() -> None:
    merge = UtteranceMerge("u_1", 0)
    merge.feed(windows(0, 0, 8 * S, 7 * S), reading(0, 8 * S, at(6.2, "self-too-cruel.", 0.9)))
    again = [*at(6.2, "too"), *at(6.7, "cruel."), *at(7.6, "Thou")]
    last = replace(windows(1, 5 * S, 9 * S, 9 * S, is_last=True), context_end_sample=7 * S)
    assert words_of(merge.feed(last, reading(5 * S, 9 * S, again))) == "Thou"


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 120))
def test_context_after_real_pauses_costs_no_word_and_doubles_none(seed: int, count: int) -> None:
    script = spoken(seed, count)
    engine = FakeEngine(script, EDGE_ERRORS, seed=seed, interim_words=True)
    assert speak(script, engine, hears_pauses=True).text == texts(script)


def test_an_old_interim_does_not_replace_a_newer_one() -> None:
    merge = UtteranceMerge("u_1", 0)
    newer, older = interim(0, 2 * S), interim(0, S)
    assert merge.feed(newer, reading(0, 2 * S, script_of("alpha bravo charlie")))
    assert merge.feed(older, reading(0, S, script_of("alpha"))) == []


def test_an_interim_asked_before_a_commit_loses_the_words_that_became_final() -> None:
    merge = UtteranceMerge("u_1", 0)
    script = script_of(
        "alpha bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike november"
    )
    merge.feed(windows(0, 0, 5 * S, 4 * S), reading(0, 5 * S, [w for w in script if w.end_sample < 5 * S]))
    (event,) = merge.feed(interim(0, 6 * S), reading(0, 6 * S, script, with_words=False))
    assert isinstance(event, InterimText)
    assert event.text == "kilo lima mike november"


@pytest.mark.parametrize("count", [1, 2, 3])
def test_korean_particles_keep_no_space_in_front(count: int) -> None:
    words = [Word("알파", 0, S // 2, 0.9), Word("원이", S // 2, S, 0.9, leading_space=False)][:count]
    merge = UtteranceMerge("u_1", 0)
    merge.feed(interim(0, S), reading(0, S, words))
    (event,) = merge.feed(windows(0, 0, S, S, is_last=True), reading(0, S, words))
    assert isinstance(event, Committed)
    assert len(event.words) == len(words)


def at(seconds: float, text: str, length_s: float = 0.4) -> list[Word]:
    start = int(seconds * S)
    return [Word(text, start, start + int(length_s * S), 0.9)]


def windows(number: int, start: int, end: int, next_start: int, *, is_last: bool = False) -> WindowSpec:
    return WindowSpec("u_1", number, start, end, Priority.FINAL, next_start, end, is_last)


def interim(start: int, end: int, context_end: int = 0) -> WindowSpec:
    return WindowSpec("u_1", 0, start, end, Priority.INTERIM, end, end, context_end_sample=context_end)


def reading(start: int, end: int, words: Sequence[Word], *, with_words: bool = True) -> Transcript:
    text = "".join((" " if w.leading_space else "") + w.text for w in words).strip()
    segment = Segment(text, start, end, -0.2, 0.02, 1.0, tuple(words) if with_words else ())
    return Transcript("w", (segment,), "en", 1.0, -0.2, 0.02, 1.0)


def words_of(events: Sequence[Committed | InterimText]) -> str:
    return " ".join(w.text for e in events if isinstance(e, Committed) for w in e.words)
