"""Holds: reads from the record which sessions and channels must keep their audio.

Two ways to read them: on the event loop (`read`), and in the archive's writer thread when the disk is full
(`read_from_thread`). `retention` chooses the files to remove.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import CancelledError

from sqlalchemy import Connection

from webrtc_host.archive.retention import Holds
from webrtc_host.archive.segment_file import ChannelKey
from webrtc_host.errors import Overloaded, StoreError
from webrtc_host.transcript import records
from webrtc_host.transcript.store import Store

logger = logging.getLogger(__name__)

WAIT_S = 2.0
"""How long the writer's thread waits for the event loop and the record."""


class HoldsReader:
    """Reads the holds of all sessions and channels."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Call it on the event loop that `read_from_thread` will use."""
        self._loop = asyncio.get_running_loop()

    async def read(self) -> Holds:
        """Raises StoreError and Overloaded."""
        return await self._store.read(_holds)

    def read_from_thread(self) -> Holds | None:
        """As `read`, but blocking, for any thread except the loop's.

        None: the holds are not known now, so no audio may be removed.
        """
        if self._loop is None or self._loop.is_closed():
            return None
        reading = asyncio.run_coroutine_threadsafe(self.read(), self._loop)
        try:
            return reading.result(WAIT_S)
        except (StoreError, Overloaded, TimeoutError, CancelledError) as error:
            reading.cancel()
            logger.warning("the disk is full and the holds are not known, so no audio is removed: %s", error)
            return None


def _holds(connection: Connection) -> Holds:
    channels = (ChannelKey(session, channel) for session, channel in records.held_channels(connection))
    return Holds(frozenset(records.held_sessions(connection)), frozenset(channels))
