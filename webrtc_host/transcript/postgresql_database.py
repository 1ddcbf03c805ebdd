"""The record in PostgreSQL: opens the database of `store.url`, and locks it for this process."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import URL, Connection, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.pool import NullPool, QueuePool

from host_stt_common.extras import install_command
from webrtc_host.errors import ConfigError
from webrtc_host.transcript.engines import Database, make_engine, on_connect, plain
from webrtc_host.transcript.schema_upgrade import migrate, refuse_newer

LOCK_WAIT_S = 2.0
ADVISORY_LOCK = 0x686F7374737474  # "hoststt": one server for each PostgreSQL database


def open_postgresql(url: str, readers_max: int) -> Database:
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
            "store.url names PostgreSQL, whose driver is not installed; install it with: "
            + install_command("postgres")
        ) from error
    try:
        with database.writer.connect() as connection:
            # Before the migrations: two servers that start together must not both change the schema.
            lock_out_others(connection)
            tables = inspect(connection)
            if tables.has_table("alembic_version"):
                found = connection.execute(text("SELECT version_num FROM alembic_version")).scalars()
                refuse_newer(database.name, list(found))
            # End the transaction, but keep the connection open: its advisory lock lasts as long as it does.
            connection.rollback()
            migrate(database.writer)
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
    writer = make_engine(url, poolclass=NullPool, connect_args=arguments)
    on_connect(writer, "SET synchronous_commit TO on", "SET lock_timeout TO '10s'")
    readers = make_engine(
        url,
        poolclass=QueuePool,
        pool_size=readers_max,
        max_overflow=0,
        pool_pre_ping=True,  # a connection that the network has cut is replaced, not given to a reader
        connect_args=arguments,
    )
    on_connect(readers, "SET default_transaction_read_only TO on", "SET statement_timeout TO '60s'")
    return Database(writer, readers, None)


def lock_out_others(connection: Connection) -> None:
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
