"""Fan-out: exactly once, in order, and slow watchers bounded."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.events import an_event
from webrtc_host.desk.subscribers import INTERIMS_MAX, End, Subscribers, Watcher
from webrtc_host.errors import Overloaded
from webrtc_host.seams import EventType
from webrtc_host.transcript.event_log import EncodedEvent, EventLog


def a_desk(queue: int = 1000, watchers: int = 1000, capacity: int = 10_000) -> tuple[Subscribers, EventLog]:
    desk = Subscribers(watchers_max=watchers, queue_events=queue)
    return desk, EventLog("s_1", capacity=capacity, now_ms=lambda: 0, listener=desk.publish)


def final(log: EventLog, channel: str = "C01") -> None:
    log.emit(an_event(EventType.SEGMENT_FINAL, channel, utterance="u_1", text="x", start_ms=0, end_ms=1))


def interim(log: EventLog, channel: str = "C01", utterance: str = "u_1", revision: int = 1) -> None:
    log.emit(an_event(EventType.SEGMENT_INTERIM, channel, utterance=utterance, revision=revision, text="x"))


def take(watcher: Watcher, most: int = 10_000) -> list[int | None]:
    return [event.seq for event in watcher.take(most)]


def end_of(watcher: Watcher) -> End | None:
    return watcher.end


async def test_a_watcher_without_since_gets_only_new_events() -> None:
    desk, log = a_desk()
    final(log)
    watcher = desk.join(log)
    final(log)
    assert take(watcher) == [2]


async def test_since_replays_and_continues_live_without_gap_or_duplicate() -> None:
    desk, log = a_desk()
    for _ in range(5):
        final(log)
    watcher = desk.join(log, since=2)
    assert take(watcher, most=2) == [3, 4]
    final(log)
    assert take(watcher) == [5, 6]
    assert not watcher.has_waiting


Step = st.sampled_from(
    ["final C01", "final C02", "interim C01", "interim C02", "take 1", "take 3", "reconnect"]
)


@given(st.lists(Step, max_size=80), st.sampled_from([None, frozenset({"C01"})]), st.integers(0, 10))
def test_over_any_reconnects_every_stored_event_is_sent_once_in_order(
    steps: list[str], channels: frozenset[str] | None, before: int
) -> None:
    desk, log = a_desk()
    for _ in range(before):
        final(log)
    watcher = desk.join(log, channels, since=0)
    got: list[EncodedEvent] = []
    for step in steps:
        what, _, rest = step.partition(" ")
        if what == "final":
            final(log, rest)
        elif what == "interim":
            interim(log, rest)
        elif what == "take":
            got += watcher.take(int(rest))
        else:
            desk.leave(watcher)
            last = max((event.seq for event in got if event.seq is not None), default=0)
            watcher = desk.join(log, channels, since=last)
    got += watcher.take(1000)
    assert [event for event in got if event.seq is not None] == list(log.since(0, channels))
    # An interim never comes before the stored event it followed.
    positions = [event.after_seq for event in got]
    assert positions == sorted(positions)


async def test_a_newer_interim_replaces_a_waiting_one() -> None:
    desk, log = a_desk()
    watcher = desk.join(log)
    for revision in range(1, 6):
        interim(log, revision=revision)
    final(log)
    events = watcher.take(10)
    assert [json.loads(event.data)["type"] for event in events] == ["segment.interim", "segment.final"]
    assert '"revision":5' in events[0].text
    assert watcher.statistics().interims_dropped == 4


async def test_a_watcher_that_never_reads_loses_interims_first_and_uses_little_memory() -> None:
    desk, log = a_desk(queue=50)
    watcher = desk.join(log)
    for number in range(1000):
        interim(log, utterance=f"u_{number}")
    for _ in range(50):
        final(log)
    assert watcher.statistics().waiting == INTERIMS_MAX + 50
    assert end_of(watcher) is None
    final(log)
    assert end_of(watcher) is End.OVERFLOW
    assert watcher.take(10) == []
    assert watcher.statistics().waiting == 0


async def test_a_watcher_can_resume_after_an_overflow() -> None:
    desk, log = a_desk(queue=3)
    watcher = desk.join(log)
    final(log)
    assert take(watcher) == [1]
    for _ in range(4):
        final(log)
    assert end_of(watcher) is End.OVERFLOW
    desk.leave(watcher)
    assert take(desk.join(log, since=1)) == [2, 3, 4, 5]
    assert desk.statistics().overflowed == 1


async def test_a_long_replay_may_exceed_the_queue_but_not_grow_by_more_than_it() -> None:
    desk, log = a_desk(queue=3)
    for _ in range(100):
        final(log)
    watcher = desk.join(log, since=0)
    for _ in range(3):
        final(log)
    assert end_of(watcher) is None
    final(log)
    assert end_of(watcher) is End.OVERFLOW


async def test_a_watcher_whose_next_event_left_the_log_overflows() -> None:
    desk, log = a_desk(queue=1000, capacity=10)
    watcher = desk.join(log)
    for _ in range(12):
        final(log)
    assert end_of(watcher) is End.OVERFLOW


async def test_a_quiet_channel_does_not_overflow_while_others_talk() -> None:
    desk, log = a_desk(queue=5, capacity=10)
    watcher = desk.join(log, frozenset({"C02"}))
    for _ in range(100):
        final(log, "C01")
    final(log, "C02")
    assert take(watcher) == [101]


async def test_a_watcher_with_a_too_old_since_gets_a_note_first() -> None:
    desk, log = a_desk(capacity=10)
    for _ in range(15):
        final(log)
    events = desk.join(log, since=2).take(100)
    assert '"code":"history_truncated"' in events[0].text
    assert [event.seq for event in events[1:]] == list(range(6, 16))


async def test_a_watcher_with_a_since_beyond_the_session_gets_a_note_and_all_events() -> None:
    desk, log = a_desk()
    final(log)
    events = desk.join(log, since=500).take(100)
    assert '"code":"since_ahead"' in events[0].text
    assert [event.seq for event in events[1:]] == [1]


async def test_a_watcher_above_the_limit_is_refused_until_another_disconnects() -> None:
    desk, log = a_desk(watchers=1)
    watcher = desk.join(log)
    with pytest.raises(Overloaded, match="limits.watchers") as refused:
        desk.join(log)
    assert refused.value.status == 429
    desk.leave(watcher)
    desk.leave(watcher)
    assert desk.statistics().watchers == 0
    desk.join(log)


async def test_closing_ends_all_watchers_after_their_events_and_accepts_no_new_ones() -> None:
    desk, log = a_desk()
    watcher = desk.join(log)
    final(log)
    desk.close()
    assert end_of(watcher) is None
    assert take(watcher) == [1]
    assert end_of(watcher) is End.GOING_AWAY
    with pytest.raises(Overloaded, match="stopping"):
        desk.join(log)
