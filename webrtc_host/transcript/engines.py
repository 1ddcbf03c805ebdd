"""Parts that all kinds of databases of the record share: engines, transactions, messages of errors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError


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


def make_engine(url: str | URL, **more: Any) -> Engine:
    """An engine whose errors do not show the values of a statement: they are logged, and text is private."""
    return create_engine(url, hide_parameters=True, **more)


def on_connect(engine: Engine, *statements: str) -> None:
    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _: Any) -> None:
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        cursor.close()
        connection.commit()


def control_transactions(engine: Engine, begin_with: str = "BEGIN IMMEDIATE") -> None:
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


def plain(error: Exception) -> str:
    """The database's own message, without SQLAlchemy's statement and links."""
    origin = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return " ".join(str(origin).split())[:300]
