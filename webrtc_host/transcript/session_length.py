"""How long a session is, as a column of a query.

The session of a recording is as long as the part of the recording that was read, however long that took.
Every other one is as long as the clock ran.
"""

from __future__ import annotations

from sqlalchemy import case, func, select

from webrtc_host.transcript.schema import feeds, sessions

JOB = "job"
"""`feeds.door` of a recording."""

_READ_MS = (
    select(func.max(func.coalesce(feeds.c.closed_ms, feeds.c.opened_ms)))
    .where(feeds.c.session == sessions.c.id, feeds.c.door == JOB)
    .scalar_subquery()
)
_CLOCK_MS = case(
    (sessions.c.ended_wall_ms.is_(None), sessions.c.alive_ms),
    (sessions.c.ended_wall_ms < sessions.c.t0_wall_ms, 0),
    else_=sessions.c.ended_wall_ms - sessions.c.t0_wall_ms,
)
LENGTH_MS = func.coalesce(_READ_MS, _CLOCK_MS).label("length_ms")
"""Milliseconds of a session that has ended; of one that has not, up to when the server was last known to run.
"""
