"""Utterances that a new transcription finds again keep the id that watchers know."""

from __future__ import annotations

from tests.webrtc_host.recovery.stored import ended, said, started
from webrtc_host.recovery.announced import AnnouncedUtterances
from webrtc_host.recovery.known import known_of
from webrtc_host.transcript.event_codec import Envelope


def announced(*events: Envelope, opened_ms: int = 0) -> AnnouncedUtterances:
    return AnnouncedUtterances(known_of(opened_ms, events).utterances)


def test_an_utterance_that_watchers_know_keeps_its_id_and_its_start() -> None:
    utterances = announced(started("u_7", 10_000))
    assert not utterances.begin("u_20", 10_040)
    assert utterances.id_of("u_20") == "u_7"
    assert utterances.start_of("u_20", 10_040) == 10_000
    assert utterances.lacks_end("u_20")
    assert utterances.left_open() == []


def test_an_utterance_that_had_ended_is_not_announced_again() -> None:
    utterances = announced(started("u_7", 10_000), ended("u_7", 10_000, 12_000))
    assert not utterances.begin("u_20", 9990)
    assert not utterances.lacks_end("u_20")


def test_an_utterance_that_watchers_do_not_know_is_new() -> None:
    utterances = announced(started("u_7", 10_000), ended("u_7", 10_000, 11_000))
    assert utterances.begin("u_20", 13_000)
    assert utterances.id_of("u_20") == "u_20"
    assert utterances.start_of("u_20", 13_000) == 13_000
    assert utterances.lacks_end("u_20")


def test_one_utterance_of_the_record_matches_one_of_the_new_transcription() -> None:
    utterances = announced(started("u_7", 10_000))
    assert not utterances.begin("u_20", 10_000)
    assert utterances.begin("u_21", 13_000)


def test_an_utterance_that_the_new_transcription_does_not_find_is_left_open() -> None:
    assert [u.id for u in announced(started("u_7", 10_000)).left_open()] == ["u_7"]


def test_an_utterance_of_an_earlier_feed_is_ignored() -> None:
    utterances = announced(started("u_1", 10_000), *said("u_2", "bravo two", 15_000), opened_ms=14_000)
    assert not utterances.begin("u_20", 15_000)
    assert utterances.id_of("u_20") == "u_2"
    assert utterances.left_open() == []
