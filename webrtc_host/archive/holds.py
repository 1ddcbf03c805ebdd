"""Holds: the sessions and channels whose audio may not be removed, as the record has them now.

Owns the two ways of asking: from the event loop (`read`), and from the archive's writer thread when the disk
is full (`read_from_thread`). Which file goes is `retention`'s.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import CancelledError

from sqlalchemy import Connection, select

from webrtc_host.archive.retention import Holds
from webrtc_host.archive.writer import Place
from webrtc_host.errors import Overloaded, StoreError
from webrtc_host.transcript import schema
from webrtc_host.transcript.store import Store

logger = logging.getLogger(__name__)

WAIT_S = 2.0
"""How long the writer's thread waits for the event loop and the record."""


class HoldsReader:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """On the event loop that other threads may ask from now on."""
        self._loop = asyncio.get_running_loop()

    async def read(self) -> Holds:
        """Raises StoreError and Overloaded."""
        return await self._store.read(_holds)

    def read_from_thread(self) -> Holds | None:
        """The same, blocking, from any thread but the loop's. None: not known now, so nothing may go."""
        if self._loop is None or self._loop.is_closed():
            return None
        reading = asyncio.run_coroutine_threadsafe(self.read(), self._loop)
        try:
            return reading.result(WAIT_S)
        except (StoreError, Overloaded, TimeoutError, CancelledError) as error:
            reading.cancel()
            logger.warning("the disk is full and the holds are not known, so no sound is removed: %s", error)
            return None


def _holds(connection: Connection) -> Holds:
    sessions, channels = schema.sessions, schema.channels
    held = connection.execute(select(sessions.c.id).where(sessions.c.is_held)).scalars()
    places = connection.execute(
        select(channels.c.session, channels.c.channel).where(channels.c.is_held)
    ).all()
    return Holds(frozenset(held), frozenset(Place(row.session, row.channel) for row in places))
