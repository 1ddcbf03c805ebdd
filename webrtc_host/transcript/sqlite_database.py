"""The record in a SQLite file: opens it, checks it first, and renames a damaged one.

Invariant: the file is not written before its version was checked.
"""

from __future__ import annotations

import errno
import logging
import sqlite3
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool, QueuePool

from webrtc_host.errors import ConfigError
from webrtc_host.transcript.engines import Database, control_transactions, make_engine, on_connect, plain
from webrtc_host.transcript.schema_upgrade import migrate, refuse_newer

logger = logging.getLogger(__name__)

FILE_NAME = "record.sqlite3"
BUSY_S = 10.0
"""SQLite waits so long for the lock of another process (a backup, a person's sqlite3 shell)."""
WAL_BYTES_KEPT = 64 * 1024 * 1024
"""A longer WAL file is cut to this length after a checkpoint."""
PROBE_BYTES = 64 * 1024
"""The first page of a database, the first frames of its WAL, and the index file of the WAL."""

EMPTY_WAL_S = 30.0
SECURE_DELETE_SINCE = "0006"
"""The schema of the first version that overwrites what is deleted."""

_BROKEN = ("malformed", "not a database", "file is encrypted", "unsupported file format")


def open_sqlite(file: Path, readers_max: int) -> Database:
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
    writer = make_engine(url, poolclass=NullPool, connect_args=arguments)
    on_connect(
        writer,
        # With a WAL, readers do not wait for the writer. FULL: a commit is on disk when it returns; with the
        # usual NORMAL, a power cut could undo events that were sent as durable.
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=FULL",
        "PRAGMA foreign_keys=ON",
        # What is deleted or replaced is overwritten with zeros: a redacted text must not stay in free space.
        "PRAGMA secure_delete=ON",
        f"PRAGMA journal_size_limit={WAL_BYTES_KEPT}",
    )
    control_transactions(writer)

    former: list[str] = []

    def copy(revision: str) -> None:
        # The migrations have no way back, so the file is copied first.
        copy_sqlite(file, file.with_name(f"{file.stem}-before-upgrade-from-{revision}{file.suffix}"))
        former.append(revision)

    try:
        migrate(writer, copy)
        if former and former[0] < SECURE_DELETE_SINCE:
            _compact(file)
    except BaseException:
        writer.dispose()
        raise
    readers = make_engine(
        url, poolclass=QueuePool, pool_size=readers_max, max_overflow=0, connect_args=arguments
    )
    on_connect(readers, "PRAGMA query_only=ON")
    control_transactions(readers, "BEGIN")
    return Database(writer, readers, file)


def _compact(file: Path) -> None:
    """Rewrite a file that was made without `secure_delete`: its free space holds pieces of old pages."""
    began_s = time.monotonic()
    try:
        with closing(sqlite3.connect(file, timeout=BUSY_S, isolation_level=None)) as connection:
            connection.execute("VACUUM")
    except sqlite3.Error as error:
        logger.warning("the record was not rewritten, so redacted text may stay in it: %s", plain(error))
    else:
        logger.info("the record was rewritten in %.1f s", time.monotonic() - began_s)


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


def is_broken(error: BaseException) -> bool:
    """True when SQLite reports that the file is damaged."""
    text_of_it = str(error).lower()
    return isinstance(error, DBAPIError | sqlite3.DatabaseError) and any(
        word in text_of_it for word in _BROKEN
    )


def copy_sqlite(file: Path, copy: Path) -> None:
    """Make a consistent copy, also while the database is being written."""
    with (
        closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_S)) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        # In one step: it reads one snapshot, and the server's writes neither disturb it nor wait for it. A
        # copy in several steps starts again at every write of another process.
        source.backup(target, pages=-1)


def empty_wal(file: Path) -> None:
    """Write the WAL into the database and cut it to nothing: its old frames hold text that was replaced.

    Waits for readers. Raises sqlite3.OperationalError when one stays for EMPTY_WAL_S.
    """
    deadline_s = time.monotonic() + EMPTY_WAL_S
    with closing(sqlite3.connect(file, timeout=BUSY_S)) as connection:
        while True:
            is_busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if not is_busy:
                return
            if time.monotonic() > deadline_s:
                raise sqlite3.OperationalError("another program reads the record all the time")
            time.sleep(0.05)


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
