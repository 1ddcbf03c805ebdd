from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_stt.contract import Word
from host_stt.engines.fake import script_of
from tests.webrtc_host.speech.helpers import S, texts
from webrtc_host.speech.segments import REACH_SAMPLES, SegmentsConfig, in_order, split, to_the_end

CONFIG = SegmentsConfig()


def lines(words: list[Word]) -> list[str]:
    return [texts(line) for line in split(words, CONFIG)]


def test_words_without_a_pause_are_one_line() -> None:
    assert lines(script_of("alpha one proceed to gate seven")) == ["alpha one proceed to gate seven"]
    assert lines([]) == []


def test_a_pause_begins_a_new_line() -> None:
    assert lines(script_of("alpha one | proceed | to gate")) == ["alpha one", "proceed", "to gate"]


def test_a_sentence_end_begins_a_new_line_once_there_is_enough_of_it() -> None:
    said = script_of("Proceed to gate seven now. Hold there until told. Yes. Out.")
    assert lines(said) == ["Proceed to gate seven now.", "Hold there until told.", "Yes. Out."]
    assert lines(script_of('He said "proceed to gate seven." Then he left.')) == [
        'He said "proceed to gate seven."',
        "Then he left.",
    ]


def test_a_particle_stays_with_its_word() -> None:
    words = [Word("알파", 0, S, 1.0), Word("가", 3 * S, 4 * S, 1.0, leading_space=False)]
    assert len(split(words, CONFIG)) == 1


@given(
    st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), max_size=20),
    st.integers(0, 500),
    st.integers(0, 500),
)
def test_times_stay_in_bounds_and_in_order_whatever_the_engine_says(
    times: list[tuple[int, int]], first: int, length: int
) -> None:
    words = [Word("x", start, max(start, end), 1.0) for start, end in times]
    timed = in_order(words, first, first + length)
    assert len(timed) == len(words)
    floor = first
    for word in timed:
        assert floor <= word.start_sample <= word.end_sample <= first + length
        floor = word.end_sample


def test_the_last_word_reaches_to_where_speech_ended_when_it_nearly_does() -> None:
    """A model leaves a last syllable early; the detector knows the end."""
    words = [Word("gate", 0, S, 1.0), Word("seven", S, 2 * S, 1.0)]
    near, far = 2 * S + REACH_SAMPLES, 2 * S + REACH_SAMPLES + 1
    assert [word.end_sample for word in to_the_end(words, near)] == [S, near]
    assert to_the_end(words, far) == words, "some other sound, which no word covers"
    assert to_the_end(words, S) == words, "and no word is cut"


def test_a_pause_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="pause_ms"):
        SegmentsConfig(pause_ms=0)
