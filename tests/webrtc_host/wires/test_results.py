"""Events of channels as results, and the time of a stream."""

from __future__ import annotations

from typing import Any

from tests.support.events import an_event
from webrtc_host.events import Event
from webrtc_host.media.stream_time import StreamTime
from webrtc_host.seams import EventType
from webrtc_host.wires.messages import Failed, Final, Interim, Settled, SpeechBegan, SpeechStopped
from webrtc_host.wires.messages import UtteranceDone as Done
from webrtc_host.wires.results import StreamResults

MS = 16


def placed(start_ms: int = 1000, length_ms: int = 10_000) -> StreamTime:
    time = StreamTime()
    time.note(start_ms * MS, (start_ms + length_ms) * MS, length_ms * MS)
    return time


def results(time: StreamTime | None = None) -> StreamResults:
    return StreamResults("s", "c_1", time or placed(), from_ms=1000)


def event(kind: EventType, start_ms: int = 0, end_ms: int = 0, **more: Any) -> Event:
    fields: dict[str, Any] = {"utterance": "u_1", "start_ms": start_ms, **more}
    if kind is not EventType.SPEECH_STARTED:
        fields["end_ms"] = end_ms
    return an_event(kind, "C01", **fields)


def final(start_ms: int, end_ms: int, **more: Any) -> Event:
    return event(EventType.SEGMENT_FINAL, start_ms, end_ms, segment="g_1", text="alpha", **more)


def closed(connection: str, end_ms: int) -> Event:
    return an_event(EventType.CHANNEL_CLOSED, "C01", connection=connection, reason="stopped", end_ms=end_ms)


STARTED = event(EventType.SPEECH_STARTED, 1500)
ENDED = event(EventType.SPEECH_ENDED, 1500, 2500, rule="hangover")


def test_an_utterance_is_begun_stopped_final_and_done_on_the_clients_clock() -> None:
    of = results().of
    assert of(STARTED) == [SpeechBegan("s", "u_1", 500)]
    interim = event(EventType.SEGMENT_INTERIM, 1500, 2000, revision=1, text="al", stable_chars=1)
    assert of(interim) == [Interim("s", "u_1", "al", 1, 500, 1000)]
    assert of(final(1500, 2000)) == [Final("s", "u_1", "alpha", (), 500, 1000, segment="g_1")]
    assert of(ENDED) == [SpeechStopped("s", "u_1", 500, 1500, "hangover")]
    assert of(final(2000, 2500)) == [
        Final("s", "u_1", "alpha", (), 1000, 1500, segment="g_1"),
        Done("s", "u_1", 500, 1500),
    ]
    assert of(final(2000, 2500)) == []  # a late one of an utterance that is done


def test_an_utterance_without_words_is_done_when_its_time_is_decided() -> None:
    made = results()
    made.of(STARTED)
    made.of(ENDED)
    assert made.settled(2000) == [Settled("s", 1000)]
    failed = event(EventType.WINDOW_FAILED, 1500, 2500, window="w_1", code="deadline", reason="late")
    assert made.of(failed) == [Failed("s", "u_1", 500, 1500, "deadline")]
    assert made.settled(2500) == [Done("s", "u_1", 500, 1500), Settled("s", 1500)]
    assert made.settled(2500) == []


def test_events_of_an_earlier_connection_are_left_out() -> None:
    made = results()
    assert made.of(event(EventType.SPEECH_STARTED, 900)) == []
    assert made.of(final(900, 990)) == []
    assert made.of(closed("c_0", 999)) == []
    assert not made.is_closed
    assert made.of(closed("c_1", 3000)) == [Settled("s", 2001)]
    assert made.is_closed


def test_a_close_ends_the_utterance_that_goes_on() -> None:
    made = results()
    made.of(STARTED)
    assert made.of(closed("c_1", 3000)) == [
        SpeechStopped("s", "u_1", 500, 2000, "channel_closed"),
        Done("s", "u_1", 500, 2000),
        Settled("s", 2001),
    ]


def test_after_the_close_events_belong_to_the_next_connection() -> None:
    made = results()
    made.of(closed("c_1", 3000))
    later = event(EventType.SPEECH_STARTED, 4000, utterance="u_2")
    assert made.of(later) == []


def test_text_that_was_recovered_later_is_not_live() -> None:
    made = results()
    made.of(STARTED)
    assert made.of(final(1500, 2000, source="recovery")) == []


def test_a_pause_of_the_source_is_no_time_of_the_stream() -> None:
    time = placed(1000, 2000)
    time.note(9000 * MS, 11_000 * MS, 4000 * MS)  # the source stood still from 3 s to 9 s
    assert [time.ms_at(ms) for ms in (0, 1000, 2500, 3000, 6000, 9000, 10_000, 20_000)] == [
        *(0, 0, 1500, 2000, 2000, 2000, 3000, 4000),
    ]
    assert time.count_at(20_000 * MS) == 13_000 * MS  # the present, without the limit


def test_rounding_makes_no_new_offset() -> None:
    time = placed(1000, 1000)
    time.note(2000 * MS, 3000 * MS + 5, 2000 * MS)
    assert time.ms_at(2500) == 1500
