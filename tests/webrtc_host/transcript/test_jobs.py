"""The rows of jobs: the queue, leases, and who may change what. On SQLite and PostgreSQL."""

from __future__ import annotations

import json
import os
from functools import partial
from typing import Any

import pytest
from sqlalchemy import create_engine

from tests.support import postgres
from tests.webrtc_host.conftest import OpenStore
from webrtc_host.transcript import jobs as rows
from webrtc_host.transcript.jobs import JobFilter, Lease, LeaseLost, NewJob, QueueFull
from webrtc_host.transcript.store import Store


def a_job(number: int, **more: Any) -> NewJob:
    return NewJob(f"j_{number}", f"Shift {number}", f"night-{number}.wav", {"language": "ko"}, number, **more)


async def add(store: Store, new: NewJob, open_max: int = 100) -> tuple[Any, bool]:
    return await store.write(partial(rows.add, new=new, open_max=open_max))


async def take(store: Store, owner: str, now: int = 0, lease_ms: int = 1000) -> Any:
    return await store.write(partial(rows.take, owner=owner, now_wall_ms=now, lease_ms=lease_ms))


async def found(store: Store, job: str) -> Any:
    return await store.read(partial(rows.find, job_id=job))


async def test_jobs_are_leased_in_their_order_and_only_once(open_store: OpenStore) -> None:
    async with open_store() as store:
        for number in (1, 2, 3):
            await add(store, a_job(number))
        assert [(await take(store, f"w{n}")).id for n in (1, 2, 3)] == ["j_1", "j_2", "j_3"]
        assert await take(store, "w4") is None
        row = await found(store, "j_2")
        assert (row.state, row.owner, row.attempts, row.started_wall_ms) == ("running", "w2", 1, 0)


async def test_a_lease_that_has_ended_can_be_taken_and_its_old_owner_changes_nothing(
    open_store: OpenStore,
) -> None:
    async with open_store() as store:
        await add(store, a_job(1))
        await take(store, "w1", now=0, lease_ms=1000)
        await store.write(partial(rows.renew, lease=Lease("j_1", "w1", 5000)))
        assert await take(store, "w2", now=4000) is None
        assert (await take(store, "w2", now=5001)).attempts == 2
        old, new = Lease("j_1", "w1", 9000), Lease("j_1", "w2", 9000)
        advance = partial(rows.advance, progress=[{"channel": "C01"}], done_ms=700, total_ms=900)
        with pytest.raises(LeaseLost):
            await store.write(partial(advance, lease=old))
        await store.write(partial(advance, lease=new))
        row = await found(store, "j_1")
        assert (row.done_ms, row.total_ms, row.attempts) == (700, 900, 1)
        assert json.loads(row.progress) == [{"channel": "C01"}]


async def test_a_released_job_waits_first_in_the_queue(open_store: OpenStore) -> None:
    async with open_store() as store:
        await add(store, a_job(1))
        await add(store, a_job(2))
        await take(store, "w1")
        await store.write(partial(rows.release, lease=Lease("j_1", "w1", 0), is_tried=False))
        assert (await found(store, "j_1")).attempts == 0
        assert (await take(store, "w2")).id == "j_1"
        assert await store.write(partial(rows.release_all, now_wall_ms=0)) == 1
        assert (await take(store, "w3")).id == "j_1"


async def test_a_job_that_may_have_ended_the_server_waits_longer_each_time(open_store: OpenStore) -> None:
    async with open_store() as store:
        await add(store, a_job(1))
        for _ in range(rows.PROMPT_ATTEMPTS):
            assert (await take(store, "w1")).id == "j_1"
            await store.write(partial(rows.release_all, now_wall_ms=0))
        assert (await take(store, "w1")).attempts == rows.PROMPT_ATTEMPTS + 1
        await store.write(partial(rows.release_all, now_wall_ms=0))
        assert await take(store, "w1", now=rows.DELAY_MS) is None
        assert (await take(store, "w1", now=rows.DELAY_MS + 1)).id == "j_1"


async def test_the_same_key_gives_the_same_job(open_store: OpenStore) -> None:
    async with open_store() as store:
        first, is_new = await add(store, a_job(1, key="me:1"))
        assert is_new
        again, is_new = await add(store, a_job(2, key="me:1"))
        assert not is_new and again.id == first.id
        assert (await add(store, a_job(3, key="me:2")))[1]
        with pytest.raises(QueueFull):
            await add(store, a_job(4), open_max=2)


async def test_the_ends_of_a_job_remove_its_lease_and_its_address(open_store: OpenStore) -> None:
    async with open_store() as store:
        for number in (1, 2, 3):
            await add(store, a_job(number, url="https://h/x?secret=1", total_ms=5000))
            await take(store, f"w{number}")
        await store.write(
            partial(rows.complete, lease=Lease("j_1", "w1", 0), wall_ms=50, warning="it ends early")
        )
        await store.write(
            partial(rows.fail, lease=Lease("j_2", "w2", 0), wall_ms=51, code="wrong_type", message="no audio")
        )
        await store.write(partial(rows.cancel, job_id="j_3", wall_ms=52))
        ended = [await found(store, f"j_{number}") for number in (1, 2, 3)]
        assert [row.state for row in ended] == ["completed", "failed", "cancelled"]
        assert [row.ended_wall_ms for row in ended] == [50, 51, 52]
        assert {(row.owner, row.lease_wall_ms, row.url) for row in ended} == {(None, None, None)}
        assert (ended[0].done_ms, ended[0].warning, ended[1].error) == (5000, "it ends early", "no audio")
        with pytest.raises(LeaseLost):
            await store.write(partial(rows.renew, lease=Lease("j_3", "w3", 99)))
        unchanged = await store.write(partial(rows.cancel, job_id="j_1", wall_ms=99))
        assert unchanged is not None and unchanged.state == "completed"
        assert await take(store, "w4", now=10**6) is None


async def test_jobs_without_text_are_forgotten_some_time_after_their_end(open_store: OpenStore) -> None:
    async with open_store() as store:
        for number in (1, 2, 3):
            await add(store, a_job(number))
        await store.write(partial(rows.cancel, job_id="j_1", wall_ms=100))
        await store.write(partial(rows.cancel, job_id="j_2", wall_ms=300))
        assert await store.write(partial(rows.forget, before_wall_ms=200)) == 1
        assert await found(store, "j_1") is None
        assert await found(store, "j_2") is not None and await found(store, "j_3") is not None


async def test_jobs_are_listed_by_page_state_and_words(open_store: OpenStore) -> None:
    async with open_store() as store:
        for number in range(1, 6):
            await add(store, a_job(number))
        await store.write(partial(rows.cancel, job_id="j_4", wall_ms=1))

        async def ids(**wanted: Any) -> list[str]:
            return [row.id for row in await store.read(partial(rows.page, wanted=JobFilter(**wanted)))]

        assert await ids(limit=2) == ["j_5", "j_4", "j_3"], "one more than the page"
        assert await ids(before=3) == ["j_2", "j_1"]
        assert await ids(states=("cancelled",)) == ["j_4"]
        assert await ids(words="NIGHT-2") == ["j_2"] and await ids(words="shift 3") == ["j_3"]
        assert await ids(words="j_5") == ["j_5"] and await ids(words="100%") == []


@pytest.mark.slow
@pytest.mark.skipif(
    not postgres.is_installed() and not os.environ.get("CI"), reason="PostgreSQL is not installed"
)
@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
async def test_two_workers_on_postgresql_take_different_jobs_at_once(open_store: OpenStore, url: str) -> None:
    """Both transactions are open at the same time: SKIP LOCKED, not waiting, keeps them apart."""
    async with open_store() as store:
        for number in (1, 2):
            await add(store, a_job(number))
        engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
        with engine.connect() as one, engine.connect() as other:
            first = rows.take(one, "w1", 0, 1000)
            second = rows.take(other, "w2", 0, 1000)
            third = rows.take(other, "w3", 0, 1000)
            one.commit()
            other.commit()
        engine.dispose()
        assert first is not None and second is not None and third is None
        assert {first.id, second.id} == {"j_1", "j_2"}
