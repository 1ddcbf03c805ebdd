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
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from webrtc_host.errors import Overloaded, StoreError
from webrtc_host.transcript.database import MEMORY, open_database, scrub_database
from webrtc_host.transcript.engines import Database, plain
from webrtc_host.transcript.event_log import LoggedEvent
from webrtc_host.transcript.journal import Journal
from webrtc_host.transcript.sqlite_database import DiskFull
from webrtc_host.transcript.store_writer import (
    AfterEvents,
    AfterSegments,
    StoreWriter,
    WriterConfig,
    WriterState,
)

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

    def __init__(
        self,
        config: StoreConfig,
        *,
        after_segments: AfterSegments | None = None,
        after_events: AfterEvents | None = None,
    ) -> None:
        """after_segments: called with new and revised texts, in the transaction that saves them.

        after_events: called with all events of a transaction, in it.
        """
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
            after_events=after_events,
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
        """Write what waits, as far as the disk allows, and close. A second call does nothing.

        A read whose caller was cancelled goes on in its thread. It is waited for: a connection that is still
        in use when the pool is disposed of would never be closed.
        """
        database, self._database = self._database, None
        if database is None:
            return
        await self.writer.stop()
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)
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
        return await self.submit(work)

    def submit(self, work: Work[T]) -> asyncio.Future[T]:
        """Like `write`, but the work is queued when this returns."""
        self.database  # noqa: B018  # raises when it is closed
        return asyncio.wrap_future(self.writer.submit(work))

    def together(self) -> AbstractContextManager[bool]:
        """For a `with` block without `await`: its events, and the work that it submits, are saved together.

        So after a crash the record has all of them or none. Only a record that is far behind may split them.
        """
        return self.writer.together()

    async def scrub(self) -> None:
        """Remove from the disk what was removed from the tables, as far as the database can do that.

        Raises StoreError when another program keeps the database from doing it.
        """
        database = self.database
        try:
            await asyncio.to_thread(scrub_database, database)
        except (DBAPIError, sqlite3.Error) as error:
            raise StoreError(f"the record cannot be compacted: {plain(error)}") from error

    def older_copies(self) -> list[str]:
        """Names of copies of the record in the data folder; no change reaches them. Blocking."""
        file = self.database.file
        if file is None:
            return []
        names = (one.name for one in file.parent.glob(f"{file.stem}*") if one.is_file())
        return sorted(name for name in names if name not in _files_of(file))

    def statistics(self) -> dict[str, float]:
        return {
            **self.writer.statistics(),
            "reads_waiting": self._reading,
            "reads_refused": self._refused,
        }


def _files_of(file: Path) -> set[str]:
    return {file.name, *(f"{file.name}-{ending}" for ending in ("wal", "shm", "journal"))}


def _read(database: Database, work: Work[T]) -> T:
    assert database.readers is not None
    try:
        with database.readers.connect() as connection:
            return work(connection)
    except DBAPIError as error:
        raise StoreError(
            f"the record cannot be read: {str(error.orig).partition(chr(10))[0][:200]}"
        ) from error
