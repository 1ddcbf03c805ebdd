"""The event log with a journal: who hears what, and when, while events are being saved."""

from __future__ import annotations

import asyncio
import json

from hypothesis import given
from hypothesis import strategies as st

from tests.support.events import an_event
from webrtc_host.seams import EventType
from webrtc_host.transcript.event_log import INTERIMS_PENDING_MAX, EncodedEvent, LoggedEvent
from webrtc_host.transcript.saved_log import SavedLog


class Disk:
    """A journal that saves when it is told to."""

    def __init__(self) -> None:
        self.is_degraded = False
        self.waiting: list[LoggedEvent] = []

    def append(self, event: LoggedEvent) -> None:
        self.waiting.append(event)

    def save(self, log: SavedLog, count: int = 1000) -> None:
        saved, self.waiting = self.waiting[:count], self.waiting[count:]
        if saved and saved[-1].seq is not None:
            log.acknowledge(saved[-1].seq)


class Saved:
    def __init__(self, capacity: int = 100, head_seq: int = 0) -> None:
        self.disk = Disk()
        self.heard: list[LoggedEvent] = []
        self.log = SavedLog(
            "s_1",
            capacity=capacity,
            now_ms=lambda: 0,
            listener=self.heard.append,
            journal=self.disk,
            head_seq=head_seq,
        )

    def final(self) -> int:
        seq = self.log.emit(
            an_event(EventType.SEGMENT_FINAL, "C01", utterance="u_1", text="x", start_ms=0, end_ms=1)
        )
        assert seq is not None
        return seq

    def interim(self) -> None:
        self.log.emit(an_event(EventType.SEGMENT_INTERIM, "C01", utterance="u_1", revision=1, text="x"))

    def degrade(self) -> None:
        self.disk.is_degraded = True
        self.log.degrade()

    @property
    def seqs(self) -> list[int | None]:
        return [event.seq for event in self.heard]


def is_marked(event: EncodedEvent) -> bool:
    return json.loads(event.data).get("durable") is False


def test_an_event_is_passed_on_after_it_is_saved_and_interims_keep_their_place() -> None:
    saved = Saved()
    saved.interim()
    assert saved.seqs == [None]
    saved.final()
    saved.interim()
    saved.final()
    saved.interim()
    assert saved.seqs == [None]
    saved.disk.save(saved.log, 1)
    assert saved.seqs == [None, 1, None]
    saved.disk.save(saved.log)
    assert saved.seqs == [None, 1, None, 2, None]
    assert (saved.log.head_seq, saved.log.visible_seq, saved.log.saved_seq) == (2, 2, 2)


def test_an_event_that_is_not_visible_is_not_replayed() -> None:
    saved = Saved()
    for _ in range(3):
        saved.final()
    saved.disk.save(saved.log, 2)
    assert [event.seq for event in saved.log.since(0)] == [1, 2]
    assert (saved.log.count(0), saved.log.count(0, frozenset({"C01"}))) == (2, 2)


def test_unsaved_events_stay_in_memory_beyond_its_capacity() -> None:
    saved = Saved(capacity=3)
    saved.degrade()
    for _ in range(10):
        saved.final()
    assert saved.log.statistics().held == 10
    saved.disk.save(saved.log, 9)
    assert (saved.log.first_seq, saved.log.statistics().held) == (8, 3)


def test_the_mark_not_durable_is_removed_when_the_event_is_saved() -> None:
    saved = Saved()
    saved.final()
    saved.degrade()
    saved.final()
    assert [is_marked(event) for event in saved.heard] == [True, True]
    assert all(is_marked(event) for event in saved.log.since(0))
    saved.disk.save(saved.log)
    assert not any(is_marked(event) for event in saved.log.since(0))
    saved.disk.is_degraded = False
    saved.final()
    saved.disk.save(saved.log)
    assert saved.seqs == [1, 2, 3]
    assert not is_marked(saved.heard[2])


async def test_settled_waits_until_the_event_is_saved_or_known_not_to_be() -> None:
    saved = Saved()
    saved.final()
    waiting = asyncio.create_task(saved.log.settled(1))
    later = asyncio.create_task(saved.log.settled(saved.final()))
    given_up = asyncio.create_task(saved.log.settled())
    await asyncio.sleep(0)
    given_up.cancel()
    saved.disk.save(saved.log, 1)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (waiting.done(), later.done()) == (True, False)
    saved.degrade()
    assert (await waiting, await later) == (1, 2)
    assert await saved.log.settled() == 2


def test_the_number_of_waiting_interims_is_limited() -> None:
    saved = Saved()
    saved.final()
    for _ in range(INTERIMS_PENDING_MAX + 100):
        saved.interim()
    saved.disk.save(saved.log)
    assert len(saved.heard) == INTERIMS_PENDING_MAX


def test_a_restored_session_continues_the_seq_of_its_record() -> None:
    saved = Saved(head_seq=41)
    assert [event.seq for event in saved.log.since(0)] == []
    assert saved.log.first_seq == 42
    assert saved.final() == 42
    saved.disk.save(saved.log)
    assert saved.seqs == [42]


@given(st.lists(st.sampled_from(["final", "interim", "save one", "save all", "lose", "find"]), max_size=80))
def test_every_event_is_passed_on_once_in_order_whatever_the_disk_does(steps: list[str]) -> None:
    saved = Saved(capacity=5)
    emitted: list[tuple[int, bool]] = []
    for step in steps:
        if step == "final":
            emitted.append((saved.final(), True))
        elif step == "interim":
            saved.interim()
            emitted.append((saved.log.head_seq, False))
        elif step == "lose":
            saved.degrade()
        elif step == "find" and not saved.disk.waiting:
            saved.disk.is_degraded = False
        else:
            saved.disk.save(saved.log, 1 if step == "save one" else 1000)
        unsaved = {event.seq for event in saved.disk.waiting}
        if not saved.disk.is_degraded:
            assert not unsaved & {event.seq for event in saved.heard if not is_marked(event)}
    saved.disk.save(saved.log)
    assert [(event.after_seq, event.seq is not None) for event in saved.heard] == emitted
    assert saved.log.saved_seq == saved.log.visible_seq == saved.log.head_seq
