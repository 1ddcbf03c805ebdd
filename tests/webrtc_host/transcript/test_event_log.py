"""The event log: order, wire form, what is held."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.support.events import an_event
from webrtc_host.events import ChannelStateChanged, ErrorReported
from webrtc_host.seams import ChannelState, EventType
from webrtc_host.transcript.event_log import EventLog, LoggedEvent

WALL = datetime(2026, 11, 21, 6, 10, 1, 234_567, tzinfo=UTC)
FINAL: dict[str, Any] = {
    "words": [{"text": "Alpha-1", "start_ms": 61234, "end_ms": 61810, "p": 0.93}],
    "utterance": "u_17",
    "segment": "g_52",
    "start_ms": 61234,
    "end_ms": 63120,
    "text": "Alpha-1 proceed to gate seven",
    "raw": "alpha one proceed to gate seven",
    "language": "en",
    "conf": -0.27,
    "edits": [{"from": "alpha one", "to": "Alpha-1", "term": "Alpha-1", "kind": "alias"}],
    "glossary_version": 3,
}


def a_log(capacity: int = 100, now_ms: int = 64_032, **kept: Any) -> EventLog:
    return EventLog("s_8f2c", capacity=capacity, now_ms=lambda: now_ms, wall=lambda: WALL, **kept)


def seqs(log: EventLog, since: int = 0, *channels: str) -> list[int | None]:
    return [event.seq for event in log.since(since, frozenset(channels) if channels else None)]


def test_a_final_is_written_exactly_as_the_protocol_has_it() -> None:
    heard: list[LoggedEvent] = []
    log = a_log(listener=heard.append)
    assert log.emit(an_event(EventType.SEGMENT_FINAL, "C03", **FINAL)) == 1
    assert heard[0].text == (
        '{"v":1,"seq":1,"session":"s_8f2c","type":"segment.final","wall":"2026-11-21T06:10:01.234Z","channel":"C03",'
        '"utterance":"u_17","segment":"g_52","start_ms":61234,"end_ms":63120,"start":"01:01.234","end":"01:03.120",'
        '"text":"Alpha-1 proceed to gate seven","raw":"alpha one proceed to gate seven","language":"en",'
        '"conf":-0.27,"words":[{"text":"Alpha-1","start_ms":61234,"end_ms":61810,"p":0.93}],'
        '"edits":[{"from":"alpha one","to":"Alpha-1","term":"Alpha-1","kind":"alias"}],"glossary_version":3,'
        '"latency_ms":912}'
    )


def test_interims_and_errors_have_no_seq_and_are_not_held() -> None:
    heard: list[LoggedEvent] = []
    log = a_log(listener=heard.append)
    log.emit(an_event(EventType.SPEECH_STARTED, "C01", utterance="u_1", start_ms=0))
    assert (
        log.emit(an_event(EventType.SEGMENT_INTERIM, "C01", utterance="u_1", revision=1, text="al")) is None
    )
    assert log.emit(an_event(EventType.ERROR, code="x", message="y")) is None
    assert (
        log.emit(
            an_event(EventType.SPEECH_ENDED, "C01", utterance="u_1", start_ms=0, end_ms=9, rule="hangover")
        )
        == 2
    )
    assert seqs(log) == [1, 2]
    assert [("seq" in json.loads(event.data), event.after_seq) for event in heard] == [
        (True, 1),
        (False, 1),
        (False, 1),
        (True, 2),
    ]


def test_text_outside_ascii_stays_readable_and_a_lone_surrogate_is_replaced() -> None:
    log = a_log()
    log.emit(an_event(EventType.CHANNEL_OPENED, "C01", label="관제 \ud800"))
    event = log.get(1)
    assert event is not None
    assert "관제 ?" in event.text


def test_fields_that_are_none_are_left_out() -> None:
    log = a_log()
    log.emit(ChannelStateChanged(channel="C01", state=ChannelState.IDLE, at_ms=5))
    event = log.get(1)
    assert event is not None
    assert list(json.loads(event.data))[-3:] == ["channel", "state", "at_ms"]


def test_the_oldest_events_are_dropped_when_the_log_is_full() -> None:
    log = a_log(capacity=3)
    for _ in range(5):
        log.emit(an_event(EventType.CHANNEL_STATE, "C01", state="idle"))
    assert seqs(log) == [3, 4, 5]
    assert log.statistics().dropped == 2
    assert log.statistics().held == 3


def test_segments_are_found_by_channel_time_and_seq() -> None:
    log = a_log()
    for number in range(6):
        channel = "C01" if number % 2 == 0 else "C02"
        times = {"start_ms": number * 1000, "end_ms": number * 1000 + 900}
        log.emit(
            an_event(
                EventType.SEGMENT_FINAL, channel, utterance="u", segment=f"g_{number}", text="x", **times
            )
        )
        log.emit(an_event(EventType.CHANNEL_STATE, channel, state="idle"))
    found = [json.loads(event.data)["start_ms"] for event in log.segments("C01", from_ms=900, to_ms=4001)]
    assert found == [2000, 4000]
    assert [event.seq for event in log.segments(after=5, limit=2)] == [7, 9]


def test_a_note_for_one_watcher_has_no_seq_and_is_not_held() -> None:
    log = a_log()
    assert log.note(ErrorReported(code="history_truncated", message="gone")).seq is None
    assert log.head_seq == 0


@given(
    st.lists(st.tuples(st.sampled_from(list(EventType)), st.sampled_from(["C01", "C02"])), max_size=60),
    st.integers(0, 70),
    st.integers(1, 80),
)
def test_seq_has_no_gaps_and_since_returns_each_later_event_once(
    emissions: list[tuple[EventType, str]], since: int, capacity: int
) -> None:
    log = a_log(capacity=capacity)
    given_out = [log.emit(an_event(kind, channel, start_ms=0, end_ms=9)) for kind, channel in emissions]
    stored = [seq for seq in given_out if seq is not None]
    assert stored == list(range(1, len(stored) + 1))
    held = stored[-capacity:]
    assert seqs(log, since) == [seq for seq in held if seq > since]
    of_c01 = [event.seq for event in log.since(since) if event.channel in (None, "C01")]
    assert seqs(log, since, "C01") == of_c01
    assert log.count(since, frozenset({"C01"})) == len(of_c01)
    assert log.count(since) == len(seqs(log, since))
    finals = [e.data for e in log.since(since, frozenset({"C02"})) if b'"segment.final"' in e.data]
    assert [final.data for final in log.segments("C02", after=since)] == finals


def test_text_of_past_audio_has_no_latency() -> None:
    log = EventLog("s_1", capacity=10, now_ms=lambda: 60_000)
    for source in ({}, {"source": "backfill"}):
        log.emit(an_event(EventType.SEGMENT_FINAL, "C01", start_ms=1000, end_ms=2000, text="over", **source))
    bodies = [json.loads(event.data) for event in log.since(0)]
    assert [body.get("latency_ms") for body in bodies] == [58_000, None]
    assert bodies[1]["source"] == "backfill"
