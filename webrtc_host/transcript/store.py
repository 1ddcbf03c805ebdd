"""The store: all access to the record's database, for events and for other data.

This module opens and closes the database, and runs its one writer and its readers. `schema.py` has the
tables, `database.py` opens a database, `store_writer.py` is the writer's thread.

Callers pass a function that gets a SQLAlchemy connection and uses the tables of `schema`:

    rows = await store.read(lambda connection: connection.execute(select(sessions)).all())
    await store.write(lambda connection: connection.execute(insert(audit).values(...)))

The function runs in a thread, so it must use only its connection and its own arguments. `write` returns when
the change is on disk. Keep it short (delete in portions), because events wait behind it. Invariant: readers
never wait for the writer, nor the writer for readers; the number of waiting reads and writes is limited.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from webrtc_host.errors import Overloaded, StoreError
from webrtc_host.transcript.database import MEMORY, open_database
from webrtc_host.transcript.engines import Database
from webrtc_host.transcript.event_log import LoggedEvent
from webrtc_host.transcript.journal import Journal
from webrtc_host.transcript.sqlite_database import DiskFull
from webrtc_host.transcript.store_writer import AfterSegments, StoreWriter, WriterConfig, WriterState

logger = logging.getLogger(__name__)

T = TypeVar("T")
Work = Callable[[Connection], T]


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """Where the record is, and limits of its readers."""

    folder: Path  # data.dir
    url: str = ""  # empty: SQLite in the folder; `memory`; postgresql://...
    readers_max: int = 4  # threads that read
    reads_waiting_max: int = 2000  # further reads are refused
    writer: WriterConfig = WriterConfig()


class Store:
    """One per process: `open` it before the first request, `close` it last."""

    def __init__(self, config: StoreConfig, *, after_segments: AfterSegments | None = None) -> None:
        """after_segments: called with new and revised texts, in the transaction that saves them."""
        self._config = config
        self._database: Database | None = None
        self._threads = ThreadPoolExecutor(config.readers_max, thread_name_prefix="record-reader")
        self._reading = 0
        self._refused = 0
        # Why the record is not where it should be, during the life of this process
        self.trouble: str | None = None
        self.journal = Journal(self.append, lambda: self.state)
        self.writer = StoreWriter(
            config.writer,
            on_saved=self.journal.saved,
            on_state=self.journal.state_changed,
            after_segments=after_segments,
        )

    async def open(self) -> None:
        """Open or make the database, and start the writer. Raises ConfigError.

        When the disk is full, the record is kept in memory, and `trouble` says so: the server should
        transcribe even when it cannot store the text.
        """
        config = self._config
        try:
            database = await asyncio.to_thread(open_database, config.url, config.folder, config.readers_max)
        except DiskFull as error:
            self.trouble = (
                f"{error}; the record of this run is in memory and will be lost. Free some space and restart"
            )
            logger.error("%s", self.trouble)
            database = await asyncio.to_thread(open_database, MEMORY, config.folder, config.readers_max)
        self._database = database
        self.writer.start(database.writer, asyncio.get_running_loop())
        logger.info("the record: %s", database.name)

    async def close(self) -> None:
        """Write what waits, as far as the disk allows, and close. A second call does nothing."""
        database, self._database = self._database, None
        if database is None:
            return
        await self.writer.stop()
        self._threads.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(database.dispose)

    @property
    def state(self) -> WriterState:
        return self.writer.state

    @property
    def database(self) -> Database:
        """The open database. Raises StoreError before `open` and after `close`."""
        if self._database is None:
            raise StoreError("the record is not open")
        return self._database

    def append(self, event: LoggedEvent) -> None:
        """Queue a stored event for writing, in order. Never waits; the journal reports when it is on disk."""
        self.writer.append(event)

    async def read(self, work: Work[T]) -> T:
        """Run `work` with a read-only connection; returns its result.

        Raises StoreError when the database cannot be read, Overloaded when too many reads are waiting.
        """
        database = self.database
        if database.readers is None:
            return await self.write(work)
        if self._reading >= self._config.reads_waiting_max:
            self._refused += 1
            message = f"{self._reading} reads of the record are waiting already; try again in a moment"
            raise Overloaded("record_busy", message, retry_after_s=2)
        self._reading += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, _read, database, work)
        finally:
            self._reading -= 1

    async def write(self, work: Work[T]) -> T:
        """Run `work`; returns its result when its changes are on disk.

        It shares a transaction with other work, in a savepoint of its own: an error that it raises is raised
        here, and undoes its own changes only. It may run twice, when the transaction could not be committed.
        Raises StoreError while the record cannot be written.
        """
        self.database  # noqa: B018  # raises when it is closed
        return await asyncio.wrap_future(self.writer.submit(work))

    def statistics(self) -> dict[str, float]:
        return {
            **self.writer.statistics(),
            "reads_waiting": self._reading,
            "reads_refused": self._refused,
        }


def _read(database: Database, work: Work[T]) -> T:
    assert database.readers is not None
    try:
        with database.readers.connect() as connection:
            return work(connection)
    except DBAPIError as error:
        raise StoreError(
            f"the record cannot be read: {str(error.orig).partition(chr(10))[0][:200]}"
        ) from error
