from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_stt.contract import Segment, Transcript, Word
from tests.support.sound import MS
from webrtc_host.events import (
    ChannelClosed,
    CoverageChanged,
    Event,
    SegmentFinal,
    SpeechEnded,
    SpeechStarted,
    TimedWord,
    WindowFailed,
)
from webrtc_host.recovery.plan import LEAD_MS, Known, Plan, known_of
from webrtc_host.seams import CoverageState

TAIL_MS = 15_000


def started(utterance: str, start_ms: int) -> Event:
    return SpeechStarted(channel="C01", utterance=utterance, start_ms=start_ms)


def ended(utterance: str, start_ms: int, end_ms: int) -> Event:
    return SpeechEnded(channel="C01", utterance=utterance, start_ms=start_ms, end_ms=end_ms, rule="hangover")


def final(utterance: str, text: str, start_ms: int, word_ms: int = 300) -> SegmentFinal:
    words = tuple(
        TimedWord(word, start_ms + n * word_ms, start_ms + (n + 1) * word_ms, 0.9)
        for n, word in enumerate(text.split())
    )
    return SegmentFinal(
        channel="C01",
        utterance=utterance,
        segment="g_1",
        start_ms=start_ms,
        end_ms=words[-1].end_ms,
        text=text,
        raw=text,
        words=words,
    )


def failed(utterance: str, start_ms: int, end_ms: int, code: str) -> Event:
    return WindowFailed(
        channel="C01",
        utterance=utterance,
        window="w_1",
        start_ms=start_ms,
        end_ms=end_ms,
        code=code,
        reason="it failed",
    )


def covered(to_ms: int) -> Event:
    return CoverageChanged(channel="C01", from_ms=0, to_ms=to_ms, state=CoverageState.SILENCE)


def closed() -> Event:
    return ChannelClosed(channel="C01", connection="c_1", reason="server_crashed", end_ms=0)


def said(utterance: str, text: str, start_ms: int) -> list[Event]:
    """An utterance from beginning to end, with its text."""
    line = final(utterance, text, start_ms)
    return [started(utterance, start_ms), ended(utterance, start_ms, line.end_ms + 20), line]


def plan(events: Sequence[Event], end_ms: int, opened_ms: int = 0, **more: Any) -> Plan:
    return Plan(known_of(opened_ms, events), end_ms * MS, TAIL_MS, **more)


def words_at(text: str, start_ms: int, word_ms: int = 300) -> list[Word]:
    return [
        Word(word, (start_ms + n * word_ms) * MS, (start_ms + (n + 1) * word_ms) * MS, 0.9)
        for n, word in enumerate(text.split())
    ]


def texts(words: Sequence[Word]) -> str:
    return " ".join(word.text for word in words)


def test_only_the_tail_is_read_when_everything_has_its_text() -> None:
    again = plan([*said("u_1", "alpha one", 1000), covered(60_000)], 61_000)
    assert (again.from_sample, again.to_sample) == (46_000 * MS, 61_000 * MS)


def test_nothing_is_read_where_nothing_is_kept() -> None:
    assert plan([], 0).is_empty
    assert plan([], 5000, opened_ms=6000).is_empty


def test_the_tail_does_not_begin_before_the_channel_was_opened() -> None:
    assert plan([], 12_000, opened_ms=7000).from_sample == 7000 * MS


def test_speech_that_broke_off_is_read_from_before_its_beginning() -> None:
    again = plan([covered(2000), started("u_1", 40_000)], 70_000)
    assert again.from_sample == min(40_000 - LEAD_MS, 2000) * MS or again.from_sample == 2000 * MS


def test_an_utterance_whose_text_never_came_is_read_again() -> None:
    events = [covered(29_000), started("u_1", 30_000), ended("u_1", 30_000, 32_000)]
    events += [*said("u_2", "bravo two", 40_000)]
    assert plan(events, 60_000).from_sample <= (30_000 - LEAD_MS) * MS


def test_an_utterance_that_coverage_has_done_with_is_not() -> None:
    events = [started("u_1", 30_000), ended("u_1", 30_000, 32_000), covered(59_000)]
    again = plan(events, 60_000)
    assert again.from_sample == 45_000 * MS


def test_reading_never_begins_inside_of_an_utterance() -> None:
    events = [*said("u_1", "alpha one proceed to gate seven over now", 43_500), covered(59_000)]
    assert plan(events, 60_000).from_sample == (43_500 - LEAD_MS) * MS


def test_windows_of_what_has_its_text_need_no_engine() -> None:
    events = [*said("u_1", "alpha one", 50_000), started("u_2", 55_000)]
    again = plan(events, 60_000)
    assert again.is_known(49_700 * MS, 50_900 * MS)
    assert not again.is_known(54_700 * MS, 57_000 * MS)
    assert not again.is_known(50_000 * MS, 56_000 * MS)


def test_words_that_were_final_before_the_crash_are_not_given_again() -> None:
    events = [started("u_1", 10_000), final("u_1", "alpha one proceed to", 10_000)]
    again = plan(events, 14_000)
    reread = words_at("alpha one proceed to gate seven", 10_050)
    assert texts(again.fresh_words(reread, 9400 * MS)) == "gate seven"


@pytest.mark.parametrize("shift_ms", [-250, -120, 0, 120, 250])
@pytest.mark.parametrize("done", [1, 2, 3, 5])
def test_the_seam_holds_when_the_second_reading_has_other_times(shift_ms: int, done: int) -> None:
    spoken = "alpha one proceed to gate seven".split()
    events = [started("u_1", 10_000), final("u_1", " ".join(spoken[:done]), 10_000)]
    again = plan(events, 14_000)
    reread = words_at(" ".join(spoken), 10_000 + shift_ms)
    assert texts(again.fresh_words(reread, 9400 * MS)) == " ".join(spoken[done:])


def test_the_same_words_said_again_later_are_new() -> None:
    events = [*said("u_1", "hold hold", 10_000), started("u_2", 12_000)]
    again = plan(events, 14_000)
    assert texts(again.fresh_words(words_at("hold hold", 12_000), 11_400 * MS)) == "hold hold"


def test_a_word_read_otherwise_inside_a_known_line_is_not_new() -> None:
    events = [started("u_1", 10_000), final("u_1", "alpha one proceed to", 10_000)]
    again = plan(events, 14_000)
    reread = words_at("alpha won precede too gate seven", 10_000)
    assert texts(again.fresh_words(reread, 9400 * MS)) == "gate seven"


def test_a_transcript_keeps_its_segments_less_the_known_words() -> None:
    events = [started("u_1", 10_000), final("u_1", "alpha one", 10_000)]
    again = plan(events, 14_000)
    words = words_at("alpha one proceed to", 10_000)
    both = (
        Segment("alpha one", words[0].start_sample, words[1].end_sample, -0.1, 0.0, 1.0, tuple(words[:2])),
        Segment("proceed to", words[2].start_sample, words[3].end_sample, -0.1, 0.0, 1.0, tuple(words[2:])),
    )
    transcript = Transcript("w_1", both, "en", 1.0, -0.1, 0.0, 1.0)
    assert [segment.text for segment in again.fresh(transcript, 9400 * MS).segments] == ["proceed to"]
    without_words = Transcript(
        "w_1",
        (Segment("alpha one proceed to", words[0].start_sample, words[3].end_sample, -0.1, 0.0, 1.0),),
        *("en", 1.0, -0.1, 0.0, 1.0),
    )
    assert again.fresh(without_words, 9400 * MS).text == "proceed to"


def test_an_utterance_that_watchers_know_keeps_its_name_and_its_beginning() -> None:
    again = plan([started("u_7", 10_000)], 14_000)
    assert not again.utterance_began("u_20", 10_040)
    assert again.name_of("u_20") == "u_7"
    assert again.start_of("u_20", 10_040) == 10_000
    assert again.utterance_ended("u_20")  # its end is news
    assert again.broken_off() == []


def test_an_utterance_that_had_ended_is_not_told_again() -> None:
    again = plan([started("u_7", 10_000), ended("u_7", 10_000, 12_000)], 14_000)
    assert not again.utterance_began("u_20", 9990)
    assert not again.utterance_ended("u_20")


def test_an_utterance_that_nobody_heard_of_is_new() -> None:
    again = plan([started("u_7", 10_000), ended("u_7", 10_000, 11_000)], 16_000)
    assert again.utterance_began("u_20", 13_000)
    assert again.name_of("u_20") == "u_20"
    assert again.utterance_ended("u_20")


def test_one_utterance_of_the_record_stands_for_one_of_the_new_reading() -> None:
    again = plan([started("u_7", 10_000)], 16_000)
    assert not again.utterance_began("u_20", 10_000)
    assert again.utterance_began("u_21", 13_000)


def test_speech_of_which_no_sound_is_left_is_ended() -> None:
    again = plan([started("u_7", 10_000)], 14_000)
    assert [u.id for u in again.broken_off()] == ["u_7"]


def test_what_was_said_after_the_channel_came_back_is_another_feeds() -> None:
    events = [started("u_1", 10_000), closed(), covered(30_000), started("u_2", 31_000)]
    known = known_of(0, events, until_ms=30_000)
    assert [u.id for u in known.utterances] == ["u_1"]
    assert known.covered_to_ms == 0  # that the time was called lost does not mean that it was read


def test_what_was_read_late_of_an_earlier_feed_is_not_this_feeds() -> None:
    events = [started("u_1", 10_000), *said("u_2", "bravo two", 15_000)]  # u_1 is told since, by a recovery
    again = plan(events, 20_000, opened_ms=14_000)
    assert again.utterance_began("u_20", 15_000) is False  # the feed's own, and its own name
    assert again.name_of("u_20") == "u_2"
    assert again.broken_off() == []  # the other one is for whoever reads the earlier feed


def test_text_that_begins_later_than_its_speech_does_not_settle_the_beginning() -> None:
    line = final("u_1", "charlie five return", 13_900)
    events = [started("u_1", 10_000), ended("u_1", 10_000, 14_800), line]
    again = plan(events, 16_000)
    assert not again.is_known(9800 * MS, 12_000 * MS)
    assert again.from_sample <= (10_000 - LEAD_MS) * MS


def test_a_recovery_that_was_cut_off_goes_on_without_giving_anything_twice() -> None:
    events = [started("u_1", 10_000), closed(), covered(30_000), final("u_1", "alpha one", 10_000)]
    again = Plan(known_of(0, events, until_ms=30_000), 14_000 * MS, TAIL_MS)
    assert not again.is_empty
    assert texts(again.fresh_words(words_at("alpha one proceed", 10_000), 9400 * MS)) == "proceed"


def test_a_window_given_up_for_want_of_an_engine_is_read_again_and_a_bad_one_is_not() -> None:
    begun = [started("u_1", 20_000), ended("u_1", 20_000, 22_000)]
    want = plan([*begun, failed("u_1", 20_000, 22_000, "deadline"), covered(39_000)], 40_000)
    bad = plan([*begun, failed("u_1", 20_000, 22_000, "engine_failed"), covered(39_000)], 40_000)
    assert want.from_sample <= (20_000 - LEAD_MS) * MS
    assert bad.from_sample == 25_000 * MS


def test_reading_one_utterance_again_reads_nothing_else() -> None:
    events = [
        *said("u_1", "alpha one", 10_000),
        *(started("u_2", 20_000), ended("u_2", 20_000, 22_000)),
        failed("u_2", 20_000, 22_300, "deadline"),
        started("u_3", 30_000),
    ]
    again = plan(events, 40_000, again=frozenset({"u_2"}))
    assert again.from_sample == (20_000 - LEAD_MS) * MS
    assert again.to_sample == (22_000 + LEAD_MS) * MS
    assert again.broken_off() == []


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from("alpha bravo two four gate hold over".split()), min_size=1, max_size=14),
    st.data(),
)
def test_however_far_the_first_reading_came_every_word_is_there_once(
    spoken: list[str], data: st.DataObject
) -> None:
    done = data.draw(st.integers(0, len(spoken)))
    shift_ms = data.draw(st.integers(-100, 100))
    text = " ".join(spoken)
    first = [final("u_1", " ".join(spoken[:done]), 10_000)] if done else []
    known: Known = known_of(0, [started("u_1", 10_000), *first])
    again = Plan(known, 20_000 * MS, TAIL_MS)
    fresh = again.fresh_words(words_at(text, 10_000 + shift_ms), 9400 * MS)
    assert texts(fresh) == " ".join(spoken[done:])
