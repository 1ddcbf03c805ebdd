"""A disk that is full, a database that is gone: text goes on, and is written in order when it returns."""

from __future__ import annotations

import asyncio
import json
import logging
import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, make_url, select

from tests.support.events import an_event
from tests.support.polling import until
from tests.webrtc_host.conftest import OpenStore
from tests.webrtc_host.transcript.test_store import Kept
from webrtc_host.errors import StoreError
from webrtc_host.seams import EventType
from webrtc_host.transcript import schema
from webrtc_host.transcript.sqlite_database import FILE_NAME
from webrtc_host.transcript.store import Store

OutOfReach = Callable[[], AbstractContextManager[None]]


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """No file may grow beyond what the WAL has now: SQLite's writes fail as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = (folder / f"{FILE_NAME}-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def lost_server(url: str) -> Iterator[None]:
    """The database server cuts everyone off and takes nobody in."""
    parsed = make_url(url)
    name = parsed.database
    address = f"host={parsed.query['host']} user={parsed.username} dbname=postgres"
    with psycopg.connect(address, autocommit=True) as admin:
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'.encode())
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        try:
            yield
        finally:
            admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'.encode())


@pytest.fixture
def out_of_reach(tmp_path: Path, url: str) -> OutOfReach:
    return lambda: lost_server(url) if url else full_disk(tmp_path)


async def until_state(store: Store, *, is_degraded: bool) -> None:
    await until(lambda: store.state.is_degraded == is_degraded)


def seqs(kept: Kept) -> list[int | None]:
    return [event.seq for event in kept.heard]


def marks(kept: Kept) -> list[int]:
    """seq of what was heard with the mark."""
    bodies = [json.loads(event.data) for event in kept.heard]
    return [body["seq"] for body in bodies if body.get("durable") is False]


async def test_text_continues_marked_and_is_written_in_order_when_the_disk_returns(
    open_store: OpenStore, out_of_reach: OutOfReach, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_store() as store:
        kept = Kept(store)
        await kept.log.settled()
        with caplog.at_level(logging.WARNING), out_of_reach():
            for number in range(1, 40):
                kept.final(number)
            await kept.log.settled()
            assert store.state.is_degraded
            assert seqs(kept) == list(range(1, 41))
            assert marks(kept) == list(range(2, 41))
            assert [json.loads(event.data).get("durable") for event in kept.log.since(1)] == [False] * 39
            kept.log.emit(an_event(EventType.SEGMENT_INTERIM, "C01", utterance="u_9", revision=1, text="al"))
            kept.final(40)
            assert seqs(kept)[-2:] == [None, 41]  # at once, nobody waits for the disk
            with pytest.raises(StoreError, match="cannot be written now"):
                await store.write(lambda connection: None)
        await until_state(store, is_degraded=False)
        rows = await kept.rows(schema.events)
        kept.final(41)
        await kept.log.settled()
    assert [row["seq"] for row in rows] == list(range(1, 42))
    assert all("durable" not in json.loads(row["data"]) for row in rows)
    assert [json.loads(event.data).get("durable") for event in kept.log.since(0)] == [None] * 42
    assert seqs(kept) == [*range(1, 41), None, 41, 42]  # nobody is sent anything again
    assert 42 not in marks(kept)
    said = [record.message for record in caplog.records if "transcript" in record.name]
    assert sum("cannot be written:" in line for line in said) == 1
    assert sum("can be written again" in line for line in said) == 1


async def test_waiting_events_are_published_in_order_when_the_disk_fails(
    open_store: OpenStore, out_of_reach: OutOfReach
) -> None:
    async with open_store() as store:
        kept = Kept(store)
        await kept.log.settled()
        with out_of_reach():
            for number in range(1, 6):
                kept.log.emit(
                    an_event(EventType.SEGMENT_INTERIM, "C01", utterance=f"u_{number}", revision=1, text="al")
                )
                kept.final(number)
            await until_state(store, is_degraded=True)
            utterances = [json.loads(event.data)["utterance"] for event in kept.heard[1:]]
            assert utterances == [f"u_{number}" for number in range(1, 6) for _ in range(2)]


async def test_waiting_work_is_refused_when_the_disk_fails_and_can_be_repeated(
    open_store: OpenStore, out_of_reach: OutOfReach
) -> None:
    def grow(connection: Connection) -> None:
        rows = [{"key": f"k{number}", "value": "x" * 1000} for number in range(100)]
        connection.execute(schema.meta.insert(), rows)

    async with open_store() as store:
        Kept(store)
        await store.write(lambda connection: None)
        with out_of_reach():
            outcomes = await asyncio.gather(*(store.write(grow) for _ in range(3)), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [StoreError] * 3
        await until_state(store, is_degraded=False)
        await store.write(grow)
        count = await store.read(
            lambda c: len(c.execute(select(schema.meta.c.key).where(schema.meta.c.key.like("k%"))).all())
        )
        assert count == 100


async def test_a_database_that_does_not_respond_makes_the_record_degraded_until_it_does(
    open_store: OpenStore,
) -> None:
    held, release = threading.Event(), threading.Event()

    def hang(connection: Connection) -> None:
        held.set()
        release.wait(30)

    async with open_store(stall_s=0.2) as store:
        kept = Kept(store)
        await kept.log.settled()
        hanging = asyncio.ensure_future(store.write(hang))
        await asyncio.to_thread(held.wait, 30)
        kept.final(1)
        await kept.log.settled()
        assert 2 in marks(kept)
        assert "has not responded" in store.state.reason
        release.set()
        await hanging
        await until_state(store, is_degraded=False)
        assert [row["seq"] for row in await kept.rows(schema.events)] == [1, 2]


async def test_over_its_limit_the_queue_drops_events_without_text_first_and_logs_it(
    open_store: OpenStore, out_of_reach: OutOfReach, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_store(unsaved_max=50) as store:
        kept = Kept(store)
        await kept.log.settled()
        with caplog.at_level(logging.ERROR), out_of_reach():
            kept.final(1)
            await until_state(store, is_degraded=True)
            for number in range(2, 32):
                kept.final(number)
                kept.log.emit(an_event(EventType.CHANNEL_STATE, "C01", state="idle", at_ms=number))
            # One more: the newest, while all others are in the group that is being tried.
            assert store.statistics()["events_waiting"] <= 51
            for number in range(32, 72):
                kept.final(number)
            assert store.statistics()["events_waiting"] <= 51
        await until_state(store, is_degraded=False)
        finals = [int(row["id"][2:]) for row in await kept.rows(schema.segments)]
        events = await kept.rows(schema.events)
        given_up = store.statistics()["events_given_up"]
    assert 71 in finals
    assert len(finals) >= 40
    assert [row["seq"] for row in events] == sorted(row["seq"] for row in events)
    assert given_up == 102 - len(events)
    assert caplog.text.count("will be missing") == 1  # not for each


async def test_a_server_that_stops_without_its_disk_reports_the_lost_events(
    open_store: OpenStore, out_of_reach: OutOfReach, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_store(stop_s=0.3) as store:
        kept = Kept(store)
        await kept.log.settled()
        with out_of_reach():
            kept.final(1)
            await until_state(store, is_degraded=True)
            with caplog.at_level(logging.ERROR):
                await store.close()
    assert "1 events could not be written before the server stopped" in caplog.text
