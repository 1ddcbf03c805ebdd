"""Opens the record's database: SQLite in the data folder, PostgreSQL by URL, or memory.

This module makes the engines, sets the pragmas, runs the migrations, and refuses databases that it must not
use. Blocking: use a thread. Events are not known here.
Invariant: a database that this version does not understand is never written to.

A commit that has returned is synced to the disk: SQLite in WAL mode with synchronous=FULL, PostgreSQL with
synchronous_commit on.
"""

from __future__ import annotations

import errno
import logging
import sqlite3
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.pool import NullPool, QueuePool, StaticPool

from webrtc_host.errors import ConfigError
from webrtc_host.transcript.schema import metadata

logger = logging.getLogger(__name__)

FILE_NAME = "record.sqlite3"
MEMORY = "memory"
BUSY_S = 10.0
"""SQLite waits so long for the lock of another process (a backup, a person's sqlite3 shell)."""
WAL_BYTES_KEPT = 64 * 1024 * 1024
"""A longer WAL file is cut to this length after a checkpoint."""
LOCK_WAIT_S = 2.0
PROBE_BYTES = 64 * 1024
"""The first page of a database, the first frames of its WAL, and the index file of the WAL."""
ADVISORY_LOCK = 0x686F7374737474  # "hoststt": one server for each PostgreSQL database

_BROKEN = ("malformed", "not a database", "file is encrypted", "unsupported file format")


@dataclass(frozen=True, slots=True)
class Database:
    """An open, migrated database.

    writer: one connection at a time; readers: None: only the writer may read.
    """

    writer: Engine
    readers: Engine | None
    file: Path | None  # of SQLite; else None
    is_memory: bool = False

    @property
    def name(self) -> str:
        """The name for messages, without a password."""
        if self.is_memory:
            return "memory: nothing is stored"
        return str(self.file) if self.file else self.writer.url.render_as_string(hide_password=True)

    def dispose(self) -> None:
        self.writer.dispose()
        if self.readers is not None:
            self.readers.dispose()


def open_database(url: str, folder: Path, readers_max: int) -> Database:
    """url: empty for SQLite in `folder`, `memory`, or a PostgreSQL URL. Raises ConfigError (one sentence)."""
    if url == MEMORY:
        return _in_memory()
    if not url:
        return _sqlite(folder / FILE_NAME, readers_max)
    return _postgresql(url, readers_max)


def is_broken(error: BaseException) -> bool:
    """True when SQLite reports that the file is damaged."""
    text_of_it = str(error).lower()
    return isinstance(error, DBAPIError | sqlite3.DatabaseError) and any(
        word in text_of_it for word in _BROKEN
    )


def known_revisions() -> list[str]:
    """The revisions of the schema that this version knows, oldest first."""
    scripts = ScriptDirectory.from_config(_alembic())
    return [script.revision for script in reversed(list(scripts.walk_revisions()))]


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Run the migrations that are missing up to `revision`, within the caller's transaction."""
    config = _alembic()
    config.attributes["connection"] = connection
    scripts = ScriptDirectory.from_config(config)

    def steps(current: Any, _: Any) -> Any:
        return scripts._upgrade_revs(revision, current)

    with EnvironmentContext(config, scripts, fn=steps, destination_rev=revision):
        scripts.run_env()


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", "webrtc_host.transcript:migrations")
    config.set_main_option("path_separator", "os")
    return config


def _engine(url: str | URL, **more: Any) -> Engine:
    """An engine whose errors do not show the values of a statement: they are logged, and text is private."""
    return create_engine(url, hide_parameters=True, **more)


def _in_memory() -> Database:
    # One connection for everybody: a second one to `sqlite://` would get an empty database of its own.
    engine = _engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    _control_transactions(engine)
    metadata.create_all(engine)  # the same result as the migrations, 50 ms faster; a test compares both
    return Database(engine, None, None, is_memory=True)


def _sqlite(file: Path, readers_max: int) -> Database:
    try:
        return _sqlite_as_it_is(file, readers_max)
    except (DBAPIError, sqlite3.DatabaseError) as error:
        if not is_broken(error):
            raise _unusable(file, error) from error
        _rename_damaged(file, error)
    # A new record. An error now is not due to the damaged file.
    try:
        return _sqlite_as_it_is(file, readers_max)
    except (DBAPIError, sqlite3.DatabaseError) as error:
        raise _unusable(file, error) from error


def _sqlite_as_it_is(file: Path, readers_max: int) -> Database:
    _check_version(file)
    url = URL.create("sqlite", database=str(file))
    # Connections are opened in one thread and used in another, one thread at a time, which SQLite allows.
    arguments = {"timeout": BUSY_S, "check_same_thread": False}
    # No pool for the writer: after a failure the next connection must be a new one, without the old state.
    writer = _engine(url, poolclass=NullPool, connect_args=arguments)
    _on_connect(
        writer,
        # With a WAL, readers do not wait for the writer. FULL: a commit is on disk when it returns; with the
        # usual NORMAL, a power cut could undo events that were sent as durable.
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=FULL",
        "PRAGMA foreign_keys=ON",
        f"PRAGMA journal_size_limit={WAL_BYTES_KEPT}",
    )
    _control_transactions(writer)
    try:
        _migrate(writer, file)
    except BaseException:
        writer.dispose()
        raise
    readers = _engine(url, poolclass=QueuePool, pool_size=readers_max, max_overflow=0, connect_args=arguments)
    _on_connect(readers, "PRAGMA query_only=ON")
    _control_transactions(readers, "BEGIN")
    return Database(writer, readers, file)


def _check_version(file: Path) -> None:
    """Check before anything is written. ConfigError for a newer database, and for one of another program."""
    if not file.exists() or file.stat().st_size == 0:
        return
    # Without a WAL the file is complete; `immutable` reads it without making files beside it.
    # With a WAL, an `immutable` connection would not see what is in it, and could report false damage.
    has_wal = file.with_name(f"{file.name}-wal").exists()
    how = "mode=ro" if has_wal else "mode=ro&immutable=1"
    with closing(
        sqlite3.connect(f"{file.absolute().as_uri()}?{how}", uri=True, timeout=BUSY_S)
    ) as connection:
        for (verdict,) in connection.execute("PRAGMA quick_check(1)"):
            if verdict != "ok":
                raise sqlite3.DatabaseError(f"malformed: {verdict}")
        tables = {
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
        if "alembic_version" in tables:
            found = [
                revision for (revision,) in connection.execute("SELECT version_num FROM alembic_version")
            ]
            refuse_newer(str(file), found)
        elif tables:
            raise ConfigError(
                f"{file} is a database, but not a record of host-stt; move it away, or choose another data "
                "folder with --set data.dir=FOLDER."
            )


def refuse_newer(name: str, found: list[str]) -> None:
    """Raise ConfigError when the database has a revision that this version does not know."""
    known = known_revisions()
    for revision in found:
        if revision not in known:
            raise ConfigError(
                f"{name} was written by a newer version of host-stt (its schema is {revision}, this version "
                f"knows up to {known[-1]}) and was left untouched; start that version, or choose another "
                "data folder with --set data.dir=FOLDER."
            )


def _rename_damaged(file: Path, error: Exception) -> Path:
    """Rename a damaged database and its WAL files; a new record is made in its place."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = file.with_name(f"{file.name}.damaged-{stamp}")
    for suffix in ("", "-wal", "-shm"):
        part = file.with_name(file.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    logger.error(
        "the record %s is damaged (%s); it was renamed to %s, and a new record was made. "
        "To recover what is readable in the old one: sqlite3 %s .recover",
        file,
        plain(error),
        aside.name,
        aside,
    )
    return aside


def _migrate(engine: Engine, file: Path | None) -> None:
    with engine.connect() as connection:
        with connection.begin():
            current = MigrationContext.configure(connection).get_current_revision()
        if current == known_revisions()[-1]:
            return
        # The migrations have no way back, so the file is copied first.
        if current is not None and file is not None:
            copy_sqlite(file, file.with_name(f"{file.stem}-before-upgrade-from-{current}{file.suffix}"))
        with connection.begin():
            upgrade(connection)
        logger.info("the record's schema: %s -> %s", current or "none", known_revisions()[-1])


def copy_sqlite(file: Path, copy: Path) -> None:
    """Make a consistent copy, also while the database is being written."""
    with (
        closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_S)) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        # In one step: it reads one snapshot, and the server's writes neither disturb it nor wait for it. A
        # copy in several steps starts again at every write of another process.
        source.backup(target, pages=-1)


def _postgresql(url: str, readers_max: int) -> Database:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigError(
            "store.url is not a database URL; write `memory`, or postgresql://USER:PASSWORD@HOST/DATABASE, "
            "or leave it empty for SQLite in the data folder."
        ) from error
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise ConfigError(
            f"store.url begins with {parsed.drivername}; the record can be in PostgreSQL (postgresql://...), "
            "in SQLite (leave it empty) or in memory (`memory`)."
        )
    parsed = parsed.set(drivername="postgresql+psycopg")
    try:
        database = _postgresql_engines(parsed, readers_max)
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise ConfigError(
            "store.url names PostgreSQL, whose driver is not installed; pip install 'host-stt[postgres]'."
        ) from error
    try:
        with database.writer.connect() as connection:
            # Before the migrations: two servers that start together must not both change the schema.
            _lock_out_others(connection)
            tables = inspect(connection)
            if tables.has_table("alembic_version"):
                found = connection.execute(text("SELECT version_num FROM alembic_version")).scalars()
                refuse_newer(database.name, list(found))
            # End the transaction, but keep the connection open: its advisory lock lasts as long as it does.
            connection.rollback()
            _migrate(database.writer, None)
    except DBAPIError as error:
        database.dispose()
        raise ConfigError(
            f"the database of store.url ({database.name}) cannot be used: {plain(error)}; "
            "repair that, or leave store.url empty for SQLite in the data folder."
        ) from error
    except BaseException:
        database.dispose()
        raise
    return database


def _postgresql_engines(url: URL, readers_max: int) -> Database:
    arguments: dict[str, Any] = {"connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5}
    writer = _engine(url, poolclass=NullPool, connect_args=arguments)
    _on_connect(writer, "SET synchronous_commit TO on", "SET lock_timeout TO '10s'")
    readers = _engine(
        url,
        poolclass=QueuePool,
        pool_size=readers_max,
        max_overflow=0,
        pool_pre_ping=True,  # a connection that the network has cut is replaced, not given to a reader
        connect_args=arguments,
    )
    _on_connect(readers, "SET default_transaction_read_only TO on", "SET statement_timeout TO '60s'")
    return Database(writer, readers, None)


def _lock_out_others(connection: Connection) -> None:
    """Lock the database for this process, for as long as the connection lives. Raises ConfigError.

    It tries for LOCK_WAIT_S: after a connection was closed, PostgreSQL may hold its lock for a moment longer.
    """
    deadline_s = time.monotonic() + LOCK_WAIT_S
    trying = text("SELECT pg_try_advisory_lock(:key)")
    while not (is_held := connection.execute(trying, {"key": ADVISORY_LOCK}).scalar()):
        if time.monotonic() > deadline_s:
            break
        time.sleep(0.02)
    if not is_held:
        raise ConfigError(
            "another host-stt uses the database of store.url for its record; stop it, or give this one a "
            "database of its own."
        )


def hold(connection: Connection) -> None:
    """Lock a writer's new connection. SQLite needs no lock: the data folder is locked instead."""
    if connection.dialect.name == "postgresql":
        with connection.begin():
            _lock_out_others(connection)


def _on_connect(engine: Engine, *statements: str) -> None:
    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _: Any) -> None:
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        cursor.close()
        connection.commit()


def _control_transactions(engine: Engine, begin_with: str = "BEGIN IMMEDIATE") -> None:
    """Let SQLAlchemy begin transactions: Python's sqlite3 begins them late and has no savepoints.

    BEGIN IMMEDIATE takes the write lock at once. A transaction that first reads and then needs the lock could
    fail when another process has written in between.
    """

    @event.listens_for(engine, "connect")
    def take_over(connection: Any, _: Any) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin_with)


class DiskFull(ConfigError):
    """The record cannot be opened because its disk is full. This may end without a change of the server."""


def _is_disk_full(folder: Path) -> bool:
    """True when the folder has no space for a few pages of a database."""
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(PROBE_BYTES))
    except OSError as error:
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return False


def _unusable(file: Path, error: Exception) -> ConfigError:
    if _is_disk_full(file.parent):
        return DiskFull(f"the record {file} cannot be used: the disk is full ({plain(error)})")
    return ConfigError(
        f"the record {file} cannot be used ({plain(error)}); repair that, choose another data folder with "
        "--set data.dir=FOLDER, or keep the record in memory with --set store.url=memory."
    )


def plain(error: Exception) -> str:
    """The database's own message, without SQLAlchemy's statement and links."""
    origin = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return " ".join(str(origin).split())[:300]
