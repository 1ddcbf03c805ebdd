"""Fixtures of the record's tests: the same ones run on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from tests.support import postgres
from tests.support.new_records import place_record
from webrtc_host.transcript.store import Store, StoreConfig
from webrtc_host.transcript.store_writer import WriterConfig

POSTGRESQL = [pytest.param("postgresql", marks=pytest.mark.slow)] if postgres.is_installed() else []
DATABASES = ["sqlite", *POSTGRESQL]

READS_WAITING_MAX = StoreConfig(Path()).reads_waiting_max

OpenStore = Callable[..., AbstractAsyncContextManager[Store]]


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest) -> str:
    """`store.url` of a record without rows."""
    return "" if request.param == "sqlite" else postgres.a_database()


@pytest.fixture
def open_store(tmp_path: Path, url: str) -> OpenStore:
    """Opens the same database each time."""

    @asynccontextmanager
    async def opened(reads_waiting_max: int = READS_WAITING_MAX, **writer: float) -> AsyncIterator[Store]:
        if not url:
            place_record(tmp_path)
        settings = WriterConfig(**{"retry_s": 0.05, **writer})  # type: ignore[arg-type]  # ints and floats
        store = Store(StoreConfig(tmp_path, url, reads_waiting_max=reads_waiting_max, writer=settings))
        await store.open()
        try:
            yield store
        finally:
            await store.close()

    return opened
