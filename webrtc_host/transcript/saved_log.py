"""The event log with somebody who waits: until an event is saved.

Owns the waiting alone; all else is `event_log`'s, which stays a pure core without an event loop.
"""

from __future__ import annotations

import asyncio
from typing import Any

from webrtc_host.transcript.event_log import EventLog


class SavedLog(EventLog):
    """Implements `channel.SessionLog`."""

    def __init__(self, session: str, **more: Any) -> None:
        """more: as `EventLog` takes it."""
        super().__init__(session, **more)
        self._settling: list[tuple[int, asyncio.Future[None]]] = []

    async def settled(self, seq: int | None = None) -> int:
        """Until event `seq` (None: the newest) is saved, or was handed on marked. Returns that seq."""
        wanted = self.head_seq if seq is None else seq
        if wanted > self.visible_seq:
            future = asyncio.get_running_loop().create_future()
            self._settling.append((wanted, future))
            await future
        return wanted

    def _became_visible(self, seq: int) -> None:
        for wanted, future in self._settling:
            if wanted <= seq and not future.done():
                future.set_result(None)
        self._settling = [(wanted, future) for wanted, future in self._settling if wanted > seq]
