"""Insert rows into a table of the record, except those whose key is there already."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table

from webrtc_host.transcript.schema import insert_of


def insert_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert the rows that are not there yet. rows: all with the same columns; it may be empty."""
    if rows:
        connection.execute(_statement(connection.dialect.name, table), rows)


@functools.cache
def _statement(dialect: str, table: Table) -> Any:
    """Made once per table: SQLAlchemy takes longer to make a statement than SQLite takes to run it."""
    return insert_of(dialect, table).on_conflict_do_nothing()
