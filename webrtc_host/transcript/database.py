"""Opens the record's database: SQLite in the data folder, PostgreSQL by URL, or memory.

`sqlite_database.py` and `postgresql_database.py` open one kind each, with the parts of `engines.py`, and
`schema_upgrade.py` runs the migrations. Blocking: use a thread.
Invariant: a database that this version does not understand is never written to.

A commit that has returned is synced to the disk: SQLite in WAL mode with synchronous=FULL, PostgreSQL with
synchronous_commit on.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_mock_engine, text
from sqlalchemy.pool import StaticPool
from sqlalchemy.schema import ExecutableDDLElement

from webrtc_host.transcript.engines import Database, control_transactions, make_engine, on_connect
from webrtc_host.transcript.postgresql_database import lock_out_others, open_postgresql
from webrtc_host.transcript.schema import metadata
from webrtc_host.transcript.sqlite_database import FILE_NAME, empty_wal, open_sqlite

MEMORY = "memory"


def open_database(url: str, folder: Path, readers_max: int) -> Database:
    """url: empty for SQLite in `folder`, `memory`, or a PostgreSQL URL. Raises ConfigError (one sentence)."""
    if url == MEMORY:
        return _in_memory()
    if not url:
        return open_sqlite(folder / FILE_NAME, readers_max)
    return open_postgresql(url, readers_max)


def hold(connection: Connection) -> None:
    """Lock a writer's new connection. SQLite needs no lock: the data folder is locked instead."""
    if connection.dialect.name == "postgresql":
        with connection.begin():
            lock_out_others(connection)


def scrub_database(database: Database) -> None:
    """Remove from the disk what was deleted or replaced in the tables.

    SQLite overwrites it in its file (`secure_delete`); what is left is in the WAL. PostgreSQL: a VACUUM lets
    it use the space again; only VACUUM FULL, by an administrator, gives the old rows back to the disk.
    """
    if database.file is not None:
        empty_wal(database.file)
    elif not database.is_memory:
        with database.writer.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for table in (
                "events",
                "segments",
                "notes",
                "marks",
                "suggestions",
                "alerts",
                "deliveries",
                "summaries",
                "summary_parts",
                "rooms",
                "submissions",
                "search",
            ):
                connection.execute(text(f"VACUUM {table}"))


def _in_memory() -> Database:
    # One connection for all threads: a second one to `sqlite://` would get an empty database of its own.
    engine = make_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    on_connect(engine, "PRAGMA foreign_keys=ON")  # the same rules as in a file
    control_transactions(engine)
    with engine.begin() as connection:
        for statement in _statements():
            connection.exec_driver_sql(statement)
    return Database(engine, None, None, is_memory=True)


@functools.cache
def _statements() -> tuple[str, ...]:
    """What makes the tables in SQLite: the same result as the migrations, faster; a test compares both."""
    found: list[str] = []

    def note(statement: ExecutableDDLElement, *_: Any, **__: Any) -> None:
        found.append(str(statement.compile(dialect=engine.dialect)))

    engine = create_mock_engine("sqlite://", note)
    metadata.create_all(engine, checkfirst=False)
    return tuple(found)
