"""Replay: reads pages of a session's earlier events from the record, for watchers that reconnect.

A page has at most PAGE_EVENTS events, and the query reads at most SCAN_EVENTS. So a thousand watchers that
reconnect at once take turns, and a channel with few events does not block the others. The stored JSON is
passed on unchanged, also for an event of a type that this version does not know.
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
    """The events of a part of the log, in order. up_to: no event up to this seq is missing."""

    events: tuple[EncodedEvent, ...]
    up_to: int


class History(Protocol):
    """Reads events that a log no longer has in memory. `Replay` reads them from the record."""

    async def page(self, session: str, after: int, last: int, channels: frozenset[str] | None) -> Page:
        """The earliest events in (after, last] of these channels. Raises StoreError, Overloaded."""
        ...


class Replay:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def page(self, session: str, after: int, last: int, channels: frozenset[str] | None) -> Page:
        """The earliest events in (after, last] of these channels.

        Raises StoreError when the record cannot be read, Overloaded when too many reads are waiting.
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
