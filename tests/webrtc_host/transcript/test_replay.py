"""Replay from the record: whoever comes back gets everything once, in order, however little memory holds."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import update

from tests.support.events import an_event
from tests.webrtc_host.conftest import OpenStore
from webrtc_host.desk.subscribers import End, Subscribers, Watcher
from webrtc_host.desk.watching import pump
from webrtc_host.errors import StoreError
from webrtc_host.seams import EventType
from webrtc_host.transcript import replay, schema
from webrtc_host.transcript.event_log import EncodedEvent
from webrtc_host.transcript.replay import Page, Replay
from webrtc_host.transcript.saved_log import SavedLog
from webrtc_host.transcript.store import Store, StoreConfig

HELD = 20
"""Events that stay in memory: few, so that nearly everything is replayed."""


@dataclass
class Desk:
    store: Store
    log: SavedLog
    subscribers: Subscribers

    async def say(self, count: int, *channels: str) -> None:
        """Emit finals, on each of the channels in turn, and wait until they are saved."""
        for number in range(count):
            channel = channels[number % len(channels)] if channels else "C01"
            ids = {"utterance": f"u_{number}", "segment": f"g_{self.log.head_seq + 1}"}
            self.log.emit(an_event(EventType.SEGMENT_FINAL, channel, **ids, text="x", start_ms=0, end_ms=1))
        await self.log.settled()

    async def since(self, seq: int, channels: frozenset[str] | None = None) -> list[int]:
        """What a watcher that comes back gets until it has caught up."""
        watcher = self.subscribers.join(self.log, channels, seq)
        found = []
        while watcher.has_waiting:
            await watcher.refill()
            found += [event.seq for event in watcher.take(32)]
        self.subscribers.leave(watcher)
        return [seq for seq in found if seq is not None]


@asynccontextmanager
async def a_desk(store: Store, queue: int = 1000, watchers: int = 20_000) -> AsyncIterator[Desk]:
    subscribers = Subscribers(watchers_max=watchers, queue_events=queue, history=Replay(store))
    log = SavedLog(
        "s_1", capacity=HELD, now_ms=lambda: 0, listener=subscribers.publish, journal=store.journal
    )
    store.journal.add(log)
    log.emit(an_event(EventType.SESSION_STARTED, name="night", t0_wall="2026-11-21T06:10:01.234Z"))
    yield Desk(store, log, subscribers)


async def test_since_gives_everything_from_disk_then_from_memory(open_store: OpenStore) -> None:
    async with open_store() as store, a_desk(store) as desk:
        await desk.say(300)
        assert desk.log.statistics().held == HELD
        assert await desk.since(0) == list(range(1, 302))
        assert await desk.since(250) == list(range(251, 302))
        assert await desk.since(290) == list(range(291, 302))


async def test_a_watcher_of_one_channel_gets_its_events_and_the_sessions(open_store: OpenStore) -> None:
    async with open_store() as store, a_desk(store) as desk:
        await desk.say(300, "C01", "C02", "C03")
        assert await desk.since(0, frozenset({"C02"})) == [1, *range(3, 302, 3)]
        assert await desk.since(0, frozenset({"C64"})) == [1]


async def test_events_of_a_rare_channel_are_searched_in_limited_steps(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "SCAN_EVENTS", 50)
    async with open_store() as store, a_desk(store) as desk:
        await desk.say(1, "C09")
        await desk.say(300)
        assert await desk.since(1, frozenset({"C09"})) == [2]
        page = await Replay(store).page("s_1", 10, 200, frozenset({"C09"}))
        assert page == Page((), 60)


@pytest.mark.parametrize(
    "data", ['{"seq":2,"type":"alert","rule":"mayday"}', '{"seq":2,"type":"channel.state","novelty":1}', "{"]
)
async def test_an_event_that_this_version_does_not_know_is_sent_as_it_is_stored(
    open_store: OpenStore, data: str
) -> None:
    async with open_store() as store, a_desk(store) as desk:
        await desk.say(100)
        strange = {"type": "alert", "data": data}
        await store.write(
            lambda c: c.execute(update(schema.events).where(schema.events.c.seq == 2).values(strange))
        )
        watcher = desk.subscribers.join(desk.log, None, 0)
        await watcher.refill()
        assert [event.text for event in watcher.take(3)][1] == data
        assert await desk.since(0) == list(range(1, 102))


async def test_events_during_a_replay_follow_it_once(open_store: OpenStore) -> None:
    rng = random.Random(41)
    async with open_store() as store, a_desk(store) as desk:
        await desk.say(200)
        watcher = desk.subscribers.join(desk.log, None, 0)
        taken: list[EncodedEvent] = []
        emitted = 0
        while watcher.has_waiting or emitted < 150:
            if emitted < 150 and rng.random() < 0.7:
                await desk.say(rng.randrange(1, 9))
                emitted += 8
            fields = {"utterance": f"i_{emitted}", "revision": 1, "text": "al"}
            desk.log.emit(an_event(EventType.SEGMENT_INTERIM, "C01", **fields))
            await watcher.refill()
            taken += watcher.take(rng.randrange(1, 40))
        stored = [event.seq for event in taken if event.seq is not None]
        assert stored == list(range(1, desk.log.head_seq + 1))
        last = 0
        for event in taken:  # an interim stands behind the stored event it followed
            if event.seq is None:
                assert event.after_seq <= last
            else:
                last = event.seq


async def test_a_watcher_that_falls_behind_the_memory_continues_from_disk(open_store: OpenStore) -> None:
    async with open_store() as store, a_desk(store) as desk:
        await desk.log.settled()
        watcher = desk.subscribers.join(desk.log)
        await desk.say(10 * HELD)
        found = []
        while watcher.has_waiting:
            await watcher.refill()
            found += [event.seq for event in watcher.take(7)]
        assert found == list(range(2, 10 * HELD + 2))


async def test_a_watcher_that_takes_nothing_during_a_replay_is_disconnected(open_store: OpenStore) -> None:
    async with open_store() as store, a_desk(store, queue=30) as desk:
        await desk.say(100)
        deaf = desk.subscribers.join(desk.log, None, 0)
        await deaf.refill()
        await desk.say(20)
        assert end_of(deaf) is None
        await desk.say(20)
        assert end_of(deaf) is End.OVERFLOW
        assert deaf.take(10) == []
        assert deaf.statistics().waiting == 0


async def test_a_watcher_is_disconnected_when_the_record_cannot_be_read(open_store: OpenStore) -> None:
    class Unreadable:
        async def page(self, session: str, after: int, last: int, channels: frozenset[str] | None) -> Page:
            raise StoreError("the record cannot be read: disk I/O error")

    async with open_store() as store, a_desk(store) as desk:
        await desk.say(100)
        watcher = Watcher(desk.log, None, 0, 100, Unreadable())
        await watcher.refill()
        assert watcher.end is End.OVERFLOW


async def test_a_since_beyond_the_last_event_is_reported_and_sent_from_the_beginning(
    open_store: OpenStore,
) -> None:
    async with open_store() as store, a_desk(store) as desk:
        await desk.say(100)
        watcher = desk.subscribers.join(desk.log, None, 5000)
        first = watcher.take(1)
        assert json.loads(first[0].data)["code"] == "since_ahead"
        await watcher.refill()
        assert [event.seq for event in watcher.take(3)] == [1, 2, 3]


async def test_events_that_wait_to_be_saved_reach_a_new_watcher_once(open_store: OpenStore) -> None:
    async with open_store() as store, a_desk(store) as desk:
        await desk.say(5)
        desk.log.emit(an_event(EventType.CHANNEL_STATE, "C01", state="idle", at_ms=0))
        assert desk.log.visible_seq == 6
        without, behind = desk.subscribers.join(desk.log), desk.subscribers.join(desk.log, since=4)
        knows_all = desk.subscribers.join(desk.log, since=7)
        await desk.log.settled()
        assert [event.seq for event in without.take(9)] == [7]
        assert [event.seq for event in behind.take(9)] == [5, 6, 7]
        assert knows_all.take(9) == []


async def test_many_watchers_that_reconnect_at_once_are_served_in_turns(tmp_path: Path) -> None:
    """Ten thousand by scripts/bench_record.py; here as many as take a few seconds."""
    crowd = 400
    store = Store(StoreConfig(tmp_path))
    await store.open()
    async with a_desk(store) as desk:
        await desk.say(60)
        reading_most = 0

        async def come_back() -> list[int]:
            nonlocal reading_most
            seqs: list[int] = []
            everything = asyncio.Event()

            async def send(event: EncodedEvent) -> None:
                nonlocal reading_most
                reading_most = max(reading_most, threads_reading())
                seqs.append(event.seq or 0)
                if event.seq == 61:
                    everything.set()

            watcher = desk.subscribers.join(desk.log, None, 30)
            sending = asyncio.create_task(pump(watcher, send))
            await everything.wait()
            desk.subscribers.leave(watcher)
            await sending
            return seqs

        async with asyncio.timeout(100):
            got = await asyncio.gather(*(come_back() for _ in range(crowd)))
        assert got == [list(range(31, 62))] * crowd
        assert desk.subscribers.statistics().watchers == 0
        assert 0 < reading_most <= 4
        assert store.statistics()["reads_waiting"] == 0
    await store.close()


def end_of(watcher: Watcher) -> End | None:
    return watcher.end


def threads_reading() -> int:
    """Threads that have read the record so far."""
    return sum(thread.name.startswith("record-reader") for thread in threading.enumerate())
