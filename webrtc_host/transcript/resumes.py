"""Resume tokens on disk: their rows, read at a start and written as they change.

Pure SQL on a connection handed in. Knows hashes alone; a record that somebody copies opens no channel.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, delete, or_, select

from webrtc_host.transcript import schema


@dataclass(frozen=True, slots=True)
class KeptResume:
    """What one token stands for. closed_wall_ms: since 1970; None: its connection stands."""

    token_hash: str
    session: str
    channels: tuple[str, ...]
    connection: str
    closed_wall_ms: int | None


def read_resumes(connection: Connection) -> list[KeptResume]:
    """Those that closed first, first; then those that had not closed."""
    table = schema.resumes
    rows = connection.execute(
        select(table).order_by(table.c.closed_wall_ms.is_(None), table.c.closed_wall_ms)
    )
    return [
        KeptResume(
            row.token_hash, row.session, tuple(json.loads(row.channels)), row.connection, row.closed_wall_ms
        )
        for row in rows
    ]


def put_resumes(connection: Connection, resumes: Iterable[KeptResume]) -> None:
    """Write them, over what is there. Those of a session that is not in the record are left out."""
    rows = [asdict(one) | {"channels": json.dumps(one.channels)} for one in resumes]
    known = set(
        connection.execute(
            select(schema.sessions.c.id).where(schema.sessions.c.id.in_({row["session"] for row in rows}))
        ).scalars()
    )
    rows = [row for row in rows if row["session"] in known]
    if rows:
        connection.execute(_putting(connection.dialect.name), rows)


def forget_resumes(connection: Connection, closed_before_ms: int, token_hashes: Sequence[str] = ()) -> None:
    """Those that closed before this moment, and those named."""
    table = schema.resumes
    connection.execute(
        delete(table).where(
            or_(table.c.closed_wall_ms < closed_before_ms, table.c.token_hash.in_(token_hashes))
        )
    )


def _putting(dialect: str) -> Any:
    table = schema.resumes
    statement = schema.insert_of(dialect, table)
    new = statement.excluded
    names = ("session", "channels", "connection", "closed_wall_ms")
    return statement.on_conflict_do_update(
        index_elements=[table.c.token_hash], set_={name: getattr(new, name) for name in names}
    )
