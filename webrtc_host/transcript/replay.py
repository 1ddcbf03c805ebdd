"""Replay: pages of a session's earlier events, read from the record for watchers that come back.

The stored JSON is passed on as it is, so also an event of a type that this version does not know.
Owns the query and its bounds: a page holds PAGE_EVENTS at most and looks at SCAN_EVENTS at most, so that
a thousand watchers coming back at once take a turn each and a rare channel holds nobody up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection, or_, select

from webrtc_host.transcript.event_log import EncodedEvent
from webrtc_host.transcript.schema import events
from webrtc_host.transcript.store import Store

PAGE_EVENTS = 64
SCAN_EVENTS = 5000


@dataclass(frozen=True, slots=True)
class Page:
    """The events of a stretch of the log, in order. up_to: nothing is missing up to this seq."""

    events: tuple[EncodedEvent, ...]
    up_to: int


class History(Protocol):
    """Reads events that a log no longer holds in memory. `Replay` is the one that reads the record."""

    async def page(self, session: str, after: int, last: int, channels: frozenset[str] | None) -> Page:
        """The earliest events in (after, last] that concern these channels. Raises StoreError, Overloaded."""
        ...


class Replay:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def page(self, session: str, after: int, last: int, channels: frozenset[str] | None) -> Page:
        """Events in (after, last] that concern these channels, the earliest of them.

        Raises StoreError when the record cannot be read, Overloaded when too many reads wait.
        """
        return await self._store.read(lambda connection: _page(connection, session, after, last, channels))


def _page(
    connection: Connection, session: str, after: int, last: int, channels: frozenset[str] | None
) -> Page:
    last = min(last, after + SCAN_EVENTS)
    statement = (
        select(events.c.seq, events.c.channel, events.c.data)
        .where(events.c.session == session, events.c.seq > after, events.c.seq <= last)
        .order_by(events.c.seq)
        .limit(PAGE_EVENTS)
    )
    if channels is not None:
        statement = statement.where(or_(events.c.channel.is_(None), events.c.channel.in_(sorted(channels))))
    found = tuple(
        EncodedEvent(session, row.seq, row.seq, row.channel, row.data.encode())
        for row in connection.execute(statement)
    )
    is_full = len(found) == PAGE_EVENTS
    return Page(found, found[-1].seq or last if is_full else last)
