"""Resume tokens in the record: their rows, read at a start and written when they change.

SQL only, on a connection that the caller passes. Only hashes of tokens are stored, so a copy of the record
gives access to no channel.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, delete, or_, select

from webrtc_host.transcript import schema


@dataclass(frozen=True, slots=True)
class SavedClaim:
    """The claim of one token. closed_wall_ms: since 1970; None: its connection is open."""

    token_hash: str
    session: str
    channels: tuple[str, ...]
    connection: str
    closed_wall_ms: int | None


def read_claims(connection: Connection) -> list[SavedClaim]:
    """All claims: in the order in which their connections closed, then the open ones."""
    table = schema.resumes
    rows = connection.execute(
        select(table).order_by(table.c.closed_wall_ms.is_(None), table.c.closed_wall_ms)
    )
    return [
        SavedClaim(
            row.token_hash, row.session, tuple(json.loads(row.channels)), row.connection, row.closed_wall_ms
        )
        for row in rows
    ]


def put_claims(connection: Connection, resumes: Iterable[SavedClaim]) -> None:
    """Insert or replace the claims. Claims of a session that is not in the record are left out."""
    rows = [asdict(one) | {"channels": json.dumps(one.channels)} for one in resumes]
    known = set(
        connection.execute(
            select(schema.sessions.c.id).where(schema.sessions.c.id.in_({row["session"] for row in rows}))
        ).scalars()
    )
    rows = [row for row in rows if row["session"] in known]
    if rows:
        connection.execute(_upsert(connection.dialect.name), rows)


def delete_claims(connection: Connection, closed_before_ms: int, token_hashes: Sequence[str] = ()) -> None:
    """Delete the claims that closed before this moment, and the named ones."""
    table = schema.resumes
    connection.execute(
        delete(table).where(
            or_(table.c.closed_wall_ms < closed_before_ms, table.c.token_hash.in_(token_hashes))
        )
    )


def _upsert(dialect: str) -> Any:
    table = schema.resumes
    statement = schema.insert_of(dialect, table)
    new = statement.excluded
    names = ("session", "channels", "connection", "closed_wall_ms")
    return statement.on_conflict_do_update(
        index_elements=[table.c.token_hash], set_={name: getattr(new, name) for name in names}
    )
