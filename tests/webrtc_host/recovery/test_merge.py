"""The merge rule: one table of cases for every source of work, and special cases at edges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_stt.contract import Segment, Transcript, Word
from tests.support.opus_packets import MS
from tests.webrtc_host.recovery.stored import (
    a_final,
    end_of,
    ended,
    final,
    started,
    stored,
    texts,
    timed,
    with_source,
    words_at,
)
from webrtc_host.recovery.known import Range, known_of
from webrtc_host.recovery.merge import new_words, open_time, without_known
from webrtc_host.recovery.plan import Plan, plan_of_feed, plan_of_gaps, plan_of_utterance
from webrtc_host.seams import Source
from webrtc_host.transcript.event_codec import Envelope

START_MS = 10_000
"""The speech of all cases begins here. Every word takes 300 ms."""
END_MS = 16_000


def of_feed(events: Sequence[Envelope]) -> Plan:
    """A crash ended the feed in the middle of the utterance u_1."""
    return plan_of_feed(known_of(0, [started("u_1", START_MS), *events]), END_MS * MS)


def of_window(events: Sequence[Envelope]) -> Plan:
    """A window of u_1 failed; others of it have text."""
    whole = [started("u_1", START_MS), ended("u_1", START_MS, END_MS - 1000)]
    return plan_of_utterance(known_of(0, [*whole, *events]), "u_1", END_MS * MS)


def of_gap(events: Sequence[Envelope]) -> Plan:
    """A client sends the gap again: a crash interrupted its first transcription."""
    written = [with_source(event, Source.BACKFILL) for event in events]
    return plan_of_gaps(known_of(0, written), [Range((START_MS - 600) * MS, END_MS * MS)])


SOURCES: dict[str, Callable[[Sequence[Envelope]], Plan]] = {
    "feed cut off": of_feed,
    "failed window": of_window,
    "gap": of_gap,
}


@dataclass(frozen=True)
class Case:
    known: tuple[str, ...]  # finals of the record, from START_MS on, without pauses between them
    read: str  # the words of the new transcription of all the speech
    new: str
    shift_ms: int = 0  # the shift of the new transcription's times


CASES = {
    "nothing known": Case((), "alpha one proceed", "alpha one proceed"),
    "everything known": Case(("alpha one", "proceed"), "alpha one proceed", ""),
    "first words known": Case(("alpha one",), "alpha one proceed to", "proceed to"),
    "two finals known": Case(("alpha one", "proceed to"), "alpha one proceed to gate", "gate"),
    "word at the edge, read early": Case(("alpha one",), "alpha one proceed to", "proceed to", -250),
    "word at the edge, read late": Case(("alpha one",), "alpha one proceed to", "proceed to", 250),
    "a known word is misread": Case(("alpha one proceed to",), "alpha won precede too gate", "gate"),
    "word twice, one known": Case(("hold",), "hold hold at gate", "hold at gate"),
    "word twice, both known": Case(("hold hold",), "hold hold at gate", "at gate"),
    "word twice, read early": Case(("hold",), "hold hold", "hold", -120),
    "partial window: the last words are missing": Case(("alpha one proceed",), "alpha one proceed to", "to"),
    "the new reading misses known words": Case(("alpha one proceed",), "proceed to gate", "to gate", 600),
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("case", CASES)
def test_every_source_of_work_gives_the_new_words_once(source: str, case: str) -> None:
    told = CASES[case]
    events, at_ms = [], START_MS
    for text in told.known:
        events.append(final("u_1", text, at_ms))
        at_ms = end_of(events[-1])
    plan = SOURCES[source](events)
    read = words_at(told.read, START_MS + told.shift_ms) if told.read else []
    assert texts(of_plan(plan, read)) == told.new


def of_plan(plan: Plan, words: Sequence[Word], window_ms: int = START_MS - 600) -> list[Word]:
    lines = plan.known.lines
    return new_words(words, lines, open_time(plan.text_ranges(), lines, plan.missing), window_ms * MS)


@pytest.mark.parametrize("source", SOURCES)
@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from("alpha bravo two four gate hold over".split()), min_size=1, max_size=14),
    st.data(),
)
def test_after_a_first_transcription_of_any_length_every_word_is_there_once(
    source: str, spoken: list[str], data: st.DataObject
) -> None:
    done = data.draw(st.integers(0, len(spoken)))
    shift_ms = data.draw(st.integers(-100, 100))
    events = [final("u_1", " ".join(spoken[:done]), START_MS)] if done else []
    read = words_at(" ".join(spoken), START_MS + shift_ms)
    assert texts(of_plan(SOURCES[source](events), read)) == " ".join(spoken[done:])


@pytest.mark.parametrize("source", ["feed cut off", "failed window"])
def test_a_last_word_whose_times_run_past_the_audio_is_new(source: str) -> None:
    plan = SOURCES[source]([final("u_1", "hold", START_MS)])
    end_ms = plan.end_sample // MS
    read = timed(("hold", START_MS, START_MS + 300), ("nine", end_ms - 100, end_ms + 400))
    assert texts(of_plan(plan, read)) == "nine"


def test_the_same_words_spoken_again_later_are_new() -> None:
    plan = of_feed([final("u_1", "hold hold", START_MS)])
    assert texts(of_plan(plan, words_at("hold hold", START_MS + 2000), START_MS + 1400)) == "hold hold"


GAP = (Range(5000 * MS, 9000 * MS),)


def in_gap(read: Sequence[Word], *live: Word) -> str:
    """live: one final of audio beside the gap."""
    events = [stored(a_final("u_9", live))] if live else []
    return texts(of_plan(plan_of_gaps(known_of(0, events), GAP), read, 4000))


def test_words_beside_a_gap_are_not_written_again() -> None:
    read = timed(("hold", 4500, 4900), ("at", 4950, 5150), ("gate", 5200, 5600), ("over", 9200, 9500))
    assert in_gap(read) == "at gate"


def test_a_word_found_on_both_sides_of_the_edge_is_written_once() -> None:
    read = timed(("gate", 4900, 5300), ("gate", 5600, 5900), ("seven", 6000, 6400))
    live = timed(("hold", 4300, 4600), ("at", 4700, 4800), ("gate", 4850, 5000))
    assert in_gap(read, *live) == "gate seven"


def test_a_word_without_its_beginning_is_new_if_its_rest_was_not_recognized() -> None:
    read = timed(
        ("four", 8550, 8830), ("we", 8830, 8990), ("are", 8990, 9110), ("at", 9130, 9290), ("ch", 9300, 9700)
    )
    assert in_gap(read, *timed(("at", 9000, 9300), ("checkpoint", 9310, 9900))) == "four we are"


def test_a_word_without_its_end_is_new_if_its_rest_was_not_recognized() -> None:
    read = timed(("proceed", 4010, 4500), ("to", 4500, 4690), ("gate", 4700, 5060), ("seven", 5100, 5500))
    assert in_gap(read, *timed(("proceed", 4000, 4500), ("to", 4520, 4700))) == "gate seven"


def test_a_cut_word_that_was_recognized_differently_is_not_written_again() -> None:
    read = timed(("we", 8830, 8980), ("are", 8980, 9110), ("at", 9130, 9290))
    assert in_gap(read, *timed(("car", 9000, 9120), ("at", 9130, 9300))) == "we"


def test_a_word_spoken_on_both_sides_of_an_edge_is_kept_if_only_the_gap_was_sent() -> None:
    read = timed(("hold", 5200, 5500), ("at", 5600, 5800))
    assert in_gap(read, *timed(("now", 4200, 4500), ("hold", 4600, 4900))) == "hold at"


def test_a_live_line_that_spans_a_short_gap_covers_nothing_of_it() -> None:
    live = timed(("alpha", 4500, 4900), ("over", 9100, 9500))
    read = timed(("alpha", 4500, 4900), ("bravo", 6000, 6400), ("over", 9100, 9500))
    assert in_gap(read, *live) == "bravo"


def test_open_time_is_the_ranges_without_what_finals_cover() -> None:
    events = [final("u_1", "alpha one", 10_000), final("u_1", "go", 10_800), final("u_2", "two", 13_000)]
    found = open_time([Range(9000 * MS, 15_000 * MS)], known_of(0, events).lines)
    assert [(start // MS, end // MS) for start, end in found] == [
        (9000, 10_000),
        (11_100, 13_000),  # the pause of 200 ms before it holds no word
        (13_300, 15_000),
    ]


def test_a_transcript_keeps_its_segments_less_the_known_words() -> None:
    plan = of_feed([final("u_1", "alpha one", START_MS)])
    lines = plan.known.lines
    open_ = open_time(plan.text_ranges(), lines)
    words = words_at("alpha one proceed to", START_MS)
    both = (
        Segment("alpha one", words[0].start_sample, words[1].end_sample, -0.1, 0.0, 1.0, tuple(words[:2])),
        Segment("proceed to", words[2].start_sample, words[3].end_sample, -0.1, 0.0, 1.0, tuple(words[2:])),
    )
    transcript = Transcript("w_1", both, "en", 1.0, -0.1, 0.0, 1.0)
    kept = without_known(transcript, lines, open_, 9400 * MS)
    assert [segment.text for segment in kept.segments] == ["proceed to"]
    plain = Segment("alpha one proceed to", words[0].start_sample, words[3].end_sample, -0.1, 0.0, 1.0)
    without_words = Transcript("w_1", (plain,), "en", 1.0, -0.1, 0.0, 1.0)
    assert without_known(without_words, lines, open_, 9400 * MS).text == "proceed to"


def test_korean_words_are_cut_without_changing_the_characters_between_them() -> None:
    words = timed(("알파원", 4100, 4600), ("정문으로", 5000, 5400), ("이동하라.", 5400, 6000))
    text = "알파원 정문으로 이동하라."
    segment = Segment(text, words[0].start_sample, words[2].end_sample, -0.1, 0.0, 1.0, tuple(words))
    transcript = Transcript("w_1", (segment,), "ko", 1.0, -0.1, 0.0, 1.0)
    kept = without_known(transcript, (), open_time(GAP, ()), 4000 * MS)
    assert kept.text == "정문으로 이동하라."
