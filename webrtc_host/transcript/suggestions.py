"""The rows of suggestions for the glossary: SQL only, on a connection that the caller passes.

Invariant: one row for each key; a decision (`accepted`, `dismissed`) is not undone by counting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Row, case, delete, func, select, update

from webrtc_host.transcript.schema import insert_of, segments, suggestions

State = Literal["counting", "open", "accepted", "dismissed"]
Rows = Sequence[Row[Any]]
COUNTING_MAX = 5_000
"""Words that are counted and not suggested yet; the ones that were not seen for longest are dropped."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A word or a spelling in one line. times: lines since it was last written."""

    key: str
    text: str
    term: str | None
    times: int
    wall_ms: int
    channel: str | None
    segment: str | None
    who: str | None = None


def count(connection: Connection, seen: Sequence[Seen], open_from: int) -> None:
    """Add sightings. A row is `open` when it was seen in `open_from` lines or more."""
    for one in seen:
        statement = insert_of(connection.dialect.name, suggestions).values(
            key=one.key,
            text=one.text,
            term=one.term,
            state="open" if one.times >= open_from else "counting",
            times=one.times,
            first_wall_ms=one.wall_ms,
            last_wall_ms=one.wall_ms,
            channel=one.channel,
            segment=one.segment,
            who=one.who,
        )
        times = suggestions.c.times + one.times
        is_open = (suggestions.c.state == "counting") & (times >= open_from)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=[suggestions.c.key],
                set_={
                    "times": times,
                    "state": case((is_open, "open"), else_=suggestions.c.state),
                    "last_wall_ms": one.wall_ms,
                    "channel": one.channel,
                    "segment": one.segment,
                    "text": one.text,
                },
            )
        )
    _drop_oldest(connection)


def page(connection: Connection, state: State, limit: int) -> Rows:
    """Suggestions with the text of their newest line, most frequent first.

    The text is None when the line was removed.
    """
    query = (
        select(suggestions, segments.c.text.label("line"), segments.c.session, segments.c.start_ms)
        .outerjoin(segments, segments.c.id == suggestions.c.segment)
        .where(suggestions.c.state == state)
        .order_by(suggestions.c.times.desc(), suggestions.c.id.desc())
        .limit(limit)
    )
    return connection.execute(query).all()


def find(connection: Connection, number: int) -> Row[Any] | None:
    return connection.execute(select(suggestions).where(suggestions.c.id == number)).first()


def decide(connection: Connection, number: int, state: State, who: str) -> bool:
    """Accept or dismiss an open suggestion. False: it is not open."""
    done = connection.execute(
        update(suggestions)
        .where(suggestions.c.id == number, suggestions.c.state.in_(("open", "counting")))
        .values(state=state, who=who)
    )
    return done.rowcount > 0


def _drop_oldest(connection: Connection) -> None:
    counting = suggestions.c.state == "counting"
    total = connection.execute(select(func.count()).select_from(suggestions).where(counting)).scalar_one()
    if total <= COUNTING_MAX:
        return
    oldest = (
        select(suggestions.c.id)
        .where(counting)
        .order_by(suggestions.c.last_wall_ms)
        .limit(int(total) - COUNTING_MAX)
    )
    numbers = connection.execute(oldest).scalars().all()
    connection.execute(delete(suggestions).where(suggestions.c.id.in_(numbers)))
