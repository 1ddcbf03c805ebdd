"""The rows of links: SQL only, on a connection that the caller passes.

Only hashes of tokens are stored, so a copy of the record opens no link.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from webrtc_host.transcript.schema import sessions, shares

Rows = Sequence[Row[Any]]


def add(connection: Connection, values: dict[str, Any]) -> int:
    """Insert a link; returns its id."""
    done = connection.execute(insert(shares).values(**values))
    assert done.inserted_primary_key is not None, "an insert of one row"
    return int(done.inserted_primary_key[0])


def valid_count(connection: Connection, now_wall_ms: int) -> int:
    query = select(func.count()).select_from(shares).where(*_is_valid(now_wall_ms))
    return int(connection.execute(query).scalar_one())


def page(connection: Connection, limit: int, before: int | None = None) -> Rows:
    """Links with the names of their sessions, newest first."""
    query = (
        select(shares, sessions.c.name.label("session_name"))
        .outerjoin(sessions, sessions.c.id == shares.c.session)
        .order_by(shares.c.id.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(shares.c.id < before)
    return connection.execute(query).all()


def find(connection: Connection, number: int) -> Row[Any] | None:
    return connection.execute(select(shares).where(shares.c.id == number)).first()


def find_by_hash(connection: Connection, token_hash: str) -> Row[Any] | None:
    return connection.execute(select(shares).where(shares.c.token_hash == token_hash)).first()


def valid_walls(connection: Connection, now_wall_ms: int) -> Rows:
    """The links to the wall that can be used now."""
    return connection.execute(select(shares).where(shares.c.kind == "wall", *_is_valid(now_wall_ms))).all()


def revoke(connection: Connection, number: int, who: str, now_wall_ms: int) -> bool:
    """False: the link was revoked before, or there is none."""
    done = connection.execute(
        update(shares)
        .where(shares.c.id == number, shares.c.revoked_wall_ms.is_(None))
        .values(revoked_wall_ms=now_wall_ms, revoked_by=who)
    )
    return done.rowcount > 0


def note_use(connection: Connection, number: int, now_wall_ms: int) -> None:
    connection.execute(update(shares).where(shares.c.id == number).values(used_wall_ms=now_wall_ms))


def forget_old(connection: Connection, ended_before_wall_ms: int) -> int:
    """Delete links that expired before this time; returns their number."""
    return connection.execute(delete(shares).where(shares.c.expires_wall_ms < ended_before_wall_ms)).rowcount


def _is_valid(now_wall_ms: int) -> tuple[Any, ...]:
    return (shares.c.revoked_wall_ms.is_(None), shares.c.expires_wall_ms > now_wall_ms)
