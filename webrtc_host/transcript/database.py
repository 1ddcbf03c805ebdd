"""Opens the record's database: SQLite in the data folder, PostgreSQL by URL, or memory.

`sqlite_database.py` and `postgresql_database.py` open one kind each, with the parts of `engines.py`, and
`schema_upgrade.py` runs the migrations. Blocking: use a thread.
Invariant: a database that this version does not understand is never written to.

A commit that has returned is synced to the disk: SQLite in WAL mode with synchronous=FULL, PostgreSQL with
synchronous_commit on.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.pool import StaticPool

from webrtc_host.transcript.engines import Database, control_transactions, make_engine
from webrtc_host.transcript.postgresql_database import lock_out_others, open_postgresql
from webrtc_host.transcript.schema import metadata
from webrtc_host.transcript.sqlite_database import FILE_NAME, open_sqlite

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


def _in_memory() -> Database:
    # One connection for all threads: a second one to `sqlite://` would get an empty database of its own.
    engine = make_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    control_transactions(engine)
    metadata.create_all(engine)  # the same result as the migrations, 50 ms faster; a test compares both
    return Database(engine, None, None, is_memory=True)
