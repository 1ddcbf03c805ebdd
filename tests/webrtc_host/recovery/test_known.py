"""What the record knows of a channel, from its stored events."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.opus_packets import MS
from tests.webrtc_host.recovery.stored import (
    a_final,
    closed,
    covered,
    ended,
    failed,
    final,
    said,
    started,
    stored,
    texts,
    words_at,
)
from webrtc_host.recovery.known import KnownUtterance, known_of
from webrtc_host.seams import Source


def test_an_utterance_has_its_bounds_and_those_of_its_text() -> None:
    known = known_of(0, [*said("u_1", "alpha one", 1000), final("u_1", "proceed", 1700), covered(5000)])
    assert known.utterances == (KnownUtterance("u_1", 1000, 1620, 1000, 2000),)
    assert known.covered_to_ms == 5000
    assert [(line.start_sample, line.end_sample, texts(line.words)) for line in known.lines] == [
        (1000 * MS, 1600 * MS, "alpha one"),
        (1700 * MS, 2000 * MS, "proceed"),
    ]


def test_what_begins_after_the_channel_was_opened_again_belongs_to_the_next_feed() -> None:
    events = [started("u_1", 10_000), closed(), covered(30_000), started("u_2", 31_000)]
    known = known_of(0, events, until_ms=30_000)
    assert [u.id for u in known.utterances] == ["u_1"]
    # The restart marked the time as lost; that does not mean that it was transcribed.
    assert known.covered_to_ms == 0


def test_what_a_recovery_published_for_an_earlier_feed_is_left_out() -> None:
    known = known_of(14_000, [started("u_1", 10_000), *said("u_2", "bravo two", 15_000)])
    assert [u.id for u in known.utterances] == ["u_2"]


def test_a_final_says_whether_its_audio_was_live() -> None:
    events = [final("u_1", "alpha", 1000), final("u_2", "bravo", 3000, Source.BACKFILL)]
    assert [line.is_live for line in known_of(0, events).lines] == [True, False]


def test_a_final_without_words_has_its_text_spread_over_its_time() -> None:
    whole = a_final("u_1", words_at("alpha one go on", 1000))
    (line,) = known_of(0, [stored(replace(whole, words=()))]).lines
    assert [(w.text, w.start_sample // MS) for w in line.words] == [
        ("alpha", 1000),
        ("one", 1300),
        ("go", 1600),
        ("on", 1900),
    ]


@pytest.mark.parametrize(
    ("code", "is_complete"), [("deadline", False), ("engine_lost", False), ("engine_failed", True)]
)
def test_an_utterance_whose_window_failed_is_complete_unless_there_was_no_engine(
    code: str, is_complete: bool
) -> None:
    events = [started("u_1", 2000), ended("u_1", 2000, 4000), failed("u_1", 2000, 4000, code)]
    (utterance,) = known_of(0, events).utterances
    assert utterance.is_complete(covered_to_ms=9000) is is_complete
