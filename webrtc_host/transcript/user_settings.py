"""The rows of users' settings: SQL only, on a connection that the caller passes."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from webrtc_host.transcript.schema import user_settings


def find(connection: Connection, user: str) -> Row[Any] | None:
    return connection.execute(select(user_settings).where(user_settings.c.user == user)).first()


def put(connection: Connection, user: str, version: int, now_wall_ms: int, body: str) -> None:
    """Insert or replace the settings of a user."""
    values = {"version": version, "changed_wall_ms": now_wall_ms, "body": body}
    done = connection.execute(update(user_settings).where(user_settings.c.user == user).values(**values))
    if done.rowcount == 0:
        connection.execute(insert(user_settings).values(user=user, **values))


def forget_oldest(connection: Connection, keep: int) -> int:
    """Delete the settings that were changed longest ago, except `keep` of them; returns their number."""
    count = int(connection.execute(select(func.count()).select_from(user_settings)).scalar_one())
    if count <= keep:
        return 0
    oldest = (
        select(user_settings.c.user)
        .order_by(user_settings.c.changed_wall_ms, user_settings.c.user)
        .limit(count - keep)
    )
    return connection.execute(delete(user_settings).where(user_settings.c.user.in_(oldest))).rowcount
