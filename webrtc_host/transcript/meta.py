"""Notes of the server for its next start: rows of the table `meta`, text by key.

SQL only, on a connection that the caller passes. The module that writes a note defines its key and its value.
"""

from __future__ import annotations

import functools
from typing import Any

from sqlalchemy import Connection, delete, select

from webrtc_host.transcript.schema import insert_of, meta


def put_meta(connection: Connection, values: dict[str, str]) -> None:
    """Insert or replace the values."""
    connection.execute(
        _upsert(connection.dialect.name), [{"key": key, "value": value} for key, value in values.items()]
    )


def get_meta(connection: Connection, key: str) -> str | None:
    return connection.execute(select(meta.c.value).where(meta.c.key == key)).scalar()


def meta_with_prefix(connection: Connection, prefix: str) -> dict[str, str]:
    """All notes whose key begins with `prefix`."""
    query = select(meta.c.key, meta.c.value).where(meta.c.key.startswith(prefix, autoescape=True))
    return {row.key: row.value for row in connection.execute(query)}


def delete_meta(connection: Connection, key: str) -> None:
    connection.execute(delete(meta).where(meta.c.key == key))


@functools.cache
def _upsert(dialect: str) -> Any:
    statement = insert_of(dialect, meta)
    replaced = {"value": statement.excluded.value}
    return statement.on_conflict_do_update(index_elements=[meta.c.key], set_=replaced)
