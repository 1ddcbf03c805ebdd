"""The store: what is in the tables, when, and for whom. The same on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import threading
from datetime import UTC, datetime
from functools import partial
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import DBAPIError

from tests.support.events import an_event
from tests.webrtc_host.conftest import OpenStore
from webrtc_host.errors import Overloaded, StoreError
from webrtc_host.seams import EventType
from webrtc_host.transcript import schema
from webrtc_host.transcript.event_log import LoggedEvent
from webrtc_host.transcript.restart import read_former
from webrtc_host.transcript.runs import Run, apply_runs
from webrtc_host.transcript.saved_log import SavedLog
from webrtc_host.transcript.store import Store

WALL = datetime(2026, 11, 21, 6, 10, 1, 234_000, tzinfo=UTC)
WALL_MS = 1_795_241_401_234
STARTED: dict[str, Any] = {"name": "night", "t0_wall": "2026-11-21T06:10:01.234Z", "is_current": True}


class Kept:
    """A session whose events are saved by a store, and what its watchers heard."""

    def __init__(self, store: Store, session: str = "s_1") -> None:
        self.store = store
        self.heard: list[LoggedEvent] = []
        self.log = SavedLog(
            session,
            capacity=1000,
            now_ms=lambda: 5000,
            wall=lambda: WALL,
            listener=self.heard.append,
            journal=store.journal,
        )
        store.journal.add(self.log)
        self.log.emit(an_event(EventType.SESSION_STARTED, **STARTED))

    def opened(self, channel: str = "C01", connection: str = "c_1", at_ms: int = 0, **more: Any) -> None:
        fields = {"label": "Gate", "language": "ko", "door": "webrtc", **more}
        self.log.emit(
            an_event(EventType.CHANNEL_OPENED, channel, connection=connection, start_ms=at_ms, **fields)
        )

    def closed(self, channel: str = "C01", connection: str = "c_1", at_ms: int = 9000) -> None:
        self.log.emit(
            an_event(EventType.CHANNEL_CLOSED, channel, connection=connection, reason="hung_up", end_ms=at_ms)
        )

    def final(self, number: int = 1, channel: str = "C01", **more: Any) -> None:
        fields = {"start_ms": 1000, "end_ms": 2000, "text": "관제 Alpha-1", "raw": "관제 alpha one", **more}
        ids = {"utterance": f"u_{number}", "segment": f"g_{number}"}
        self.log.emit(an_event(EventType.SEGMENT_FINAL, channel, **ids, **fields))

    def covered(self, from_ms: int, to_ms: int, state: str, reason: str | None = None) -> None:
        self.log.emit(
            an_event(EventType.COVERAGE, "C01", from_ms=from_ms, to_ms=to_ms, state=state, reason=reason)
        )

    async def rows(self, table: Any) -> list[dict[str, Any]]:
        await self.log.settled()
        order = list(table.primary_key.columns)
        return await self.store.read(
            lambda connection: [
                dict(row._mapping) for row in connection.execute(select(table).order_by(*order))
            ]
        )


async def test_events_are_stored_as_watchers_get_them(open_store: OpenStore) -> None:
    async with open_store() as store:
        kept = Kept(store)
        kept.opened()
        kept.final()
        rows = await kept.rows(schema.events)
    assert [(row["seq"], row["type"], row["channel"]) for row in rows] == [
        (1, "session.started", None),
        (2, "channel.opened", "C01"),
        (3, "segment.final", "C01"),
    ]
    assert [row["data"] for row in rows] == [event.text for event in kept.heard]


async def test_a_final_is_stored_with_raw_and_corrected_text(open_store: OpenStore) -> None:
    words = [{"text": "관제", "start_ms": 1000, "end_ms": 1400, "p": 0.93}]
    edits = [{"from": "alpha one", "to": "Alpha-1", "term": "Alpha-1", "kind": "alias"}]
    async with open_store() as store:
        kept = Kept(store)
        kept.final(52, language="ko", conf=-0.27, words=words, edits=edits, glossary_version=3)
        (row,) = await kept.rows(schema.segments)
    assert (row.pop("words"), row.pop("edits")) == (_json(words), _json(edits))
    assert row == {
        "id": "g_52",
        "session": "s_1",
        "seq": 2,
        "channel": "C01",
        "utterance": "u_52",
        "start_ms": 1000,
        "end_ms": 2000,
        "wall_ms": WALL_MS,
        "text": "관제 Alpha-1",
        "raw": "관제 alpha one",
        "language": "ko",
        "conf": -0.27,
        "glossary_version": 3,
        "latency_ms": 3000,
        "revision": None,
        "revised_seq": None,
        "redacted_seq": None,
        "talkers": None,
    }


async def test_sessions_channels_and_feeds_follow_from_their_events(open_store: OpenStore) -> None:
    async with open_store() as store:
        kept = Kept(store)
        kept.opened(at_ms=100)
        kept.closed(at_ms=900)
        kept.opened(connection="c_2", at_ms=2000, label="Gate 7\0", language="en")
        (session,) = await kept.rows(schema.sessions)
        (channel,) = await kept.rows(schema.channels)
        feeds = await kept.rows(schema.feeds)
        kept.log.emit(an_event(EventType.SESSION_ENDED, reason="requested"))
        (ended,) = await kept.rows(schema.sessions)
    assert (session["name"], session["t0_wall_ms"], session["head_seq"]) == ("night", WALL_MS, 4)
    assert (session["ended_wall_ms"], session["is_current"]) == (None, True)
    assert (ended["ended_wall_ms"], ended["is_current"], ended["head_seq"]) == (WALL_MS, False, 5)
    assert (channel["label"], channel["language"], channel["first_opened_ms"]) == ("Gate 7\ufffd", "en", 100)
    assert [(f["connection"], f["opened_ms"], f["closed_ms"], f["reason"]) for f in feeds] == [
        ("c_1", 100, 900, "hung_up"),
        ("c_2", 2000, None, None),
    ]


async def test_no_watcher_gets_a_stored_event_before_it_can_be_read(open_store: OpenStore) -> None:
    async with open_store() as store:
        kept = Kept(store)
        for number in range(1, 50):
            kept.final(number)
            await asyncio.sleep(0)
            heard = {event.seq for event in kept.heard}
            assert heard <= await store.read(lambda c: set(c.execute(select(schema.events.c.seq)).scalars()))
        await kept.log.settled()
        assert [event.seq for event in kept.heard] == list(range(1, 51))


async def test_interims_keep_their_place_behind_events_that_are_being_saved(open_store: OpenStore) -> None:
    async with open_store() as store:
        kept = Kept(store)
        for number in range(1, 20):
            interim = {"utterance": f"u_{number}", "revision": 1, "text": "al"}
            kept.log.emit(an_event(EventType.SEGMENT_INTERIM, "C01", **interim))
            kept.final(number)
        await kept.log.settled()
    order = [(json.loads(event.data)["utterance"], event.seq is None) for event in kept.heard[1:]]
    assert order == [(f"u_{number}", is_interim) for number in range(1, 20) for is_interim in (True, False)]


async def test_events_that_wait_together_are_written_together(open_store: OpenStore) -> None:
    async with open_store() as store:
        kept = Kept(store)
        for number in range(1, 501):
            kept.final(number)
        await kept.log.settled()
        figures = store.statistics()
    assert figures["events_saved"] == 501
    assert figures["groups"] < 50
    assert figures["events_waiting"] == 0


async def test_coverage_is_stored_as_runs_that_never_overlap(open_store: OpenStore) -> None:
    rng = random.Random(5)
    expected: list[Run] = []
    async with open_store() as store:
        kept = Kept(store)
        for number in range(120):
            from_ms = rng.randrange(0, 400)
            run = Run(from_ms, from_ms + rng.randrange(0, 60), rng.choice(["lost", "silence"]), None)
            kept.covered(run.from_ms, run.to_ms, run.state)
            expected = apply_runs(expected, [run])
            if number % 10 == 0:
                await kept.log.settled()
        rows = await kept.rows(schema.coverage)
    assert [Run(row["from_ms"], row["to_ms"], row["state"], row["reason"]) for row in rows] == expected


async def test_work_that_fails_undoes_its_own_changes_alone(open_store: OpenStore) -> None:
    def note(action: str, connection: Connection) -> int:
        values = {"wall_ms": 1, "who": "operator", "remote": "127.0.0.1", "action": action}
        done = connection.execute(insert(schema.audit).values(**values))
        if action == "bad":
            raise ValueError("a bug in the work")
        key = done.inserted_primary_key
        assert key is not None
        return int(key[0])

    async with open_store() as store:
        kept = Kept(store)
        works = [store.write(partial(note, action)) for action in ("one", "bad", "two")]
        kept.final()
        outcomes = await asyncio.gather(*works, return_exceptions=True)
        rows = await kept.rows(schema.audit)
        finals = await kept.rows(schema.segments)
    assert [row["action"] for row in rows] == ["one", "two"]
    assert (outcomes[0], outcomes[2]) == (rows[0]["id"], rows[1]["id"])
    assert isinstance(outcomes[1], ValueError)
    assert len(finals) == 1


async def test_readers_cannot_write(open_store: OpenStore) -> None:
    async with open_store() as store:
        kept = Kept(store)
        with pytest.raises(StoreError, match=r"read-?only|readonly"):
            await store.read(lambda connection: connection.execute(delete(schema.events)))
        assert len(await kept.rows(schema.events)) == 1


async def test_an_event_that_fits_no_table_does_not_block_later_events(
    open_store: OpenStore, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_store() as store:
        kept = Kept(store)
        kept.log.emit(
            an_event(
                EventType.SEGMENT_FINAL,
                "C01",
                utterance="u_1",
                segment="g_1",
                text="the end of time",
                end_ms=2**70,
            )
        )
        kept.final(2)
        events = await kept.rows(schema.events)
        segments = await kept.rows(schema.segments)
    assert [row["seq"] for row in events] == [1, 2, 3]
    assert [row["id"] for row in segments] == ["g_2"]
    assert "event 2 of s_1 does not fit" in caplog.text
    assert "the end of time" not in caplog.text


async def test_events_of_a_session_that_was_deleted_are_left_out(open_store: OpenStore) -> None:
    async with open_store() as store:
        gone = Kept(store, "s_gone")
        other = Kept(store, "s_other")
        gone.final(1)
        await gone.log.settled()
        await store.write(
            lambda c: c.execute(delete(schema.sessions).where(schema.sessions.c.id == "s_gone"))
        )
        gone.final(2)
        other.final(3)
        rows = await other.rows(schema.events)
        figures = store.statistics()
    assert {row["session"] for row in rows} == {"s_other"}
    assert figures["events_given_up"] == 1


async def test_writing_an_event_twice_changes_nothing(open_store: OpenStore) -> None:
    async with open_store() as store:
        kept = Kept(store)
        kept.opened()
        kept.covered(0, 500, "silence")
        kept.final()
        kept.closed()
        tables = (schema.events, schema.segments, schema.channels, schema.feeds, schema.coverage)
        before = [await kept.rows(table) for table in tables]
        for event in [event for event in kept.heard if event.seq is not None]:
            store.append(event)
        await store.write(lambda connection: None)
        assert [await kept.rows(table) for table in tables] == before


async def test_more_readers_than_may_wait_are_refused(open_store: OpenStore) -> None:
    async with open_store(reads_waiting_max=2) as store:
        reads = [store.read(lambda connection: 1) for _ in range(5)]
        outcomes = await asyncio.gather(*reads, return_exceptions=True)
    assert [outcome for outcome in outcomes if outcome == 1] == [1, 1]
    assert sum(isinstance(outcome, Overloaded) for outcome in outcomes) == 3


async def test_a_closed_store_raises_an_error(open_store: OpenStore) -> None:
    async with open_store() as store:
        pass
    with pytest.raises(StoreError, match="not open"):
        await store.write(lambda connection: None)
    with pytest.raises(StoreError, match="not open"):
        await store.read(lambda connection: None)


async def test_a_read_that_was_cancelled_has_ended_when_the_store_is_closed(open_store: OpenStore) -> None:
    begun, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    held: list[Any] = []

    def slow(connection: Connection) -> None:
        held.append(connection.connection.driver_connection)
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(20)

    async with open_store() as store:
        reading = asyncio.create_task(store.read(slow))
        await begun.wait()
        reading.cancel()
        closing = asyncio.create_task(store.close())
        await asyncio.wait((closing,), timeout=0.05)
        was_waiting = not closing.done()
        go_on.set()
        await closing
    assert was_waiting, "the read still uses its connection"
    with pytest.raises((sqlite3.ProgrammingError, psycopg.OperationalError), match="closed"):
        held[0].cursor().execute("SELECT 1")


async def test_waiting_events_are_written_before_the_store_closes(open_store: OpenStore) -> None:
    async with open_store() as store:
        kept = Kept(store)
        for number in range(1, 300):
            kept.final(number)
    async with open_store() as store:
        found = await store.read(lambda c: c.execute(select(schema.events.c.seq)).scalars().all())
    assert sorted(found) == list(range(1, 301))


async def test_a_restarted_server_finds_the_data_for_session_restore(open_store: OpenStore) -> None:
    async with open_store() as store:
        kept = Kept(store)
        kept.opened(at_ms=100)
        kept.covered(100, 800, "silence")
        kept.final(52, end_ms=2500)
        other = Kept(store, "s_2")
        other.log.emit(an_event(EventType.SESSION_ENDED, reason="requested"))
        await asyncio.gather(other.log.settled(), store.write(lambda connection: None))
    async with open_store() as store:
        former = await store.read(lambda connection: read_former(connection, 10))
    assert (former.utterance_max, former.segment_max, former.was_stopped) == (52, 52, False)
    going_on, ended = sorted(former.sessions, key=lambda session: session.id)
    assert (going_on.id, going_on.head_seq, going_on.is_current, going_on.is_ended) == ("s_1", 4, True, False)
    assert ended.is_ended
    (channel,) = going_on.channels
    assert (channel.channel, channel.label, channel.end_ms) == ("C01", "Gate", 2500)
    assert [(feed.connection, feed.closed_ms) for feed in channel.feeds] == [("c_1", None)]
    assert [(run.from_ms, run.to_ms, run.state) for run in channel.coverage] == [(100, 800, "silence")]


async def test_the_errors_of_a_reader_name_the_record(open_store: OpenStore) -> None:
    def ask_nonsense(connection: Connection) -> None:
        connection.exec_driver_sql("SELECT nothing FROM nowhere")

    async with open_store() as store:
        with pytest.raises(StoreError, match="the record cannot be read") as raised:
            await store.read(ask_nonsense)
    assert isinstance(raised.value.__cause__, DBAPIError)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
