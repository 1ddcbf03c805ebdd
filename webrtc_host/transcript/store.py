"""The store: the one door to the record's database, for events and for every other room.

Owns the life of the database, its one writer and its readers. What the tables are is `schema`'s, how a
database is opened `database`'s, the writer's thread `store_writer`'s.

Rooms hand in work, a function that is given a SQLAlchemy connection and uses the tables of `schema`:

    rows = await store.read(lambda connection: connection.execute(select(sessions)).all())
    await store.write(lambda connection: connection.execute(insert(audit).values(...)))

Work runs in a thread, so it touches nothing but its connection and its own arguments. `write` returns when
it is on disk; keep it short (delete in portions), events wait behind it. Invariant: readers never wait for
the writer, nor it for them; both kinds of waiting are bounded.
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
from webrtc_host.transcript.database import MEMORY, Database, DiskFull, open_database
from webrtc_host.transcript.event_log import LoggedEvent
from webrtc_host.transcript.journal import Journal
from webrtc_host.transcript.store_writer import StoreWriter, WriterConfig, WriterState

logger = logging.getLogger(__name__)

T = TypeVar("T")
Work = Callable[[Connection], T]


@dataclass(frozen=True, slots=True)
class StoreConfig:
    folder: Path  # data.dir
    url: str = ""  # empty: SQLite in the folder; `memory`; postgresql://...
    readers_max: int = 4  # threads that read
    reads_waiting_max: int = 2000  # beyond it a read is refused
    writer: WriterConfig = WriterConfig()


class Store:
    """Made at the start of the process, `open`ed before the first request, `close`d as the last room."""

    def __init__(self, config: StoreConfig) -> None:
        self._config = config
        self._database: Database | None = None
        self._threads = ThreadPoolExecutor(config.readers_max, thread_name_prefix="record-reader")
        self._reading = 0
        self._refused = 0
        self.trouble: str | None = (
            None  # why the record is not where it should be, as long as this process lives
        )
        self.journal = Journal(self.append, lambda: self.state)
        self.writer = StoreWriter(
            config.writer, on_saved=self.journal.saved, on_state=self.journal.state_changed
        )

    async def open(self) -> None:
        """Open or make the database and start its writer. Raises ConfigError.

        On a full disk the record is in memory, and `trouble` says so: text is worth more than its record.
        """
        config = self._config
        try:
            database = await asyncio.to_thread(open_database, config.url, config.folder, config.readers_max)
        except DiskFull as error:
            self.trouble = (
                f"{error}; the record of this run is in memory and lost at its end. Make room and restart"
            )
            logger.error("%s", self.trouble)
            database = await asyncio.to_thread(open_database, MEMORY, config.folder, config.readers_max)
        self._database = database
        self.writer.start(database.writer, asyncio.get_running_loop())
        logger.info("the record: %s", database.name)

    async def close(self) -> None:
        """Write what waits, as far as the disk takes it, and close. Idempotent."""
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
        """Raises StoreError before `open` and after `close`."""
        if self._database is None:
            raise StoreError("the record is not open")
        return self._database

    def append(self, event: LoggedEvent) -> None:
        """Write a stored event soon, in order. Never waits; the journal's log hears when it is on disk."""
        self.writer.append(event)

    async def read(self, work: Work[T]) -> T:
        """What `work` returns from a read-only connection.

        Raises StoreError when the database cannot be read, Overloaded when too many reads wait already.
        """
        database = self.database
        if database.readers is None:
            return await self.write(work)
        if self._reading >= self._config.reads_waiting_max:
            self._refused += 1
            message = f"{self._reading} readers of the record wait already; come back in a moment"
            raise Overloaded("record_busy", message, retry_after_s=2)
        self._reading += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, _read, database, work)
        finally:
            self._reading -= 1

    async def write(self, work: Work[T]) -> T:
        """What `work` returns, once its changes are on disk.

        It shares a transaction with others, in a savepoint of its own: an error it raises is raised here and
        undoes its own changes alone. It may run a second time when the transaction could not be committed.
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
