"""The rows of the usual figures: one for each channel and five minutes, kept for 24 hours.

SQL only, on a connection that the caller passes. A channel is known by its id and its label: the next session
continues with its figures, but another radio at the same place of the desk has another label and starts anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select

from webrtc_host.transcript.insert_new import insert_new
from webrtc_host.transcript.schema import usual_points


@dataclass(frozen=True, slots=True)
class UsualPoint:
    """The columns of a row. delay_ms and confidence are None when no line told them."""

    channel: str
    label: str
    wall_ms: int
    words: float
    delay_ms: float | None
    confidence: float | None
    level_db: float


def put(connection: Connection, points: Sequence[UsualPoint], forget_before_ms: int) -> None:
    """Add points, and remove those that begin before a moment. A point that is there already stays."""
    connection.execute(delete(usual_points).where(usual_points.c.wall_ms < forget_before_ms))
    rows = [{name: getattr(point, name) for name in UsualPoint.__dataclass_fields__} for point in points]
    insert_new(connection, usual_points, rows)


def newest(connection: Connection, since_ms: int, limit: int) -> list[UsualPoint]:
    """The points since a moment, oldest first; when there are more than `limit`, the newest of them."""
    query = (
        select(usual_points)
        .where(usual_points.c.wall_ms >= since_ms)
        .order_by(usual_points.c.wall_ms.desc())
        .limit(limit)
    )
    return [UsualPoint(*row) for row in connection.execute(query)][::-1]
