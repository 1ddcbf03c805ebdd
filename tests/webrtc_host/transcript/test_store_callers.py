"""Callers of the record may leave before they are answered: a closed page, a request given up."""

from __future__ import annotations

import asyncio
import threading

import pytest
from sqlalchemy import Connection

from tests.webrtc_host.conftest import OpenStore


async def test_a_caller_that_disconnects_while_it_waits_or_is_served_blocks_no_other(
    open_store: OpenStore,
) -> None:
    began, may_end = threading.Event(), threading.Event()
    done: list[str] = []

    def slow(connection: Connection) -> None:
        began.set()
        may_end.wait(10)
        done.append("slow")

    async with open_store() as store:
        served = asyncio.create_task(store.write(slow))
        await asyncio.to_thread(began.wait, 10)
        waiting = asyncio.create_task(store.write(lambda connection: done.append("left")))
        await asyncio.sleep(0)
        served.cancel()
        waiting.cancel()
        for task in (served, waiting):
            with pytest.raises(asyncio.CancelledError):
                await task
        may_end.set()
        assert await store.write(lambda connection: len(done)) == 1
        assert done == ["slow"]
