"""The event log with a way to wait until an event is saved.

Only the waiting is here. `event_log.py` stays a pure core without an event loop.
"""

from __future__ import annotations

import asyncio
from typing import Any

from webrtc_host.transcript.event_log import EventLog


class SavedLog(EventLog):
    """Implements `session.channel_seams.SessionLog`."""

    def __init__(self, session: str, **more: Any) -> None:
        """more: the arguments of `EventLog`."""
        super().__init__(session, **more)
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []

    async def settled(self, seq: int | None = None) -> int:
        """Wait until event `seq` (None: the newest) is saved, or passed on as not durable. Returns it."""
        wanted = self.head_seq if seq is None else seq
        if wanted > self.visible_seq:
            future = asyncio.get_running_loop().create_future()
            self._waiters.append((wanted, future))
            await future
        return wanted

    def _on_visible(self, seq: int) -> None:
        for wanted, future in self._waiters:
            if wanted <= seq and not future.done():
                future.set_result(None)
        self._waiters = [(wanted, future) for wanted, future in self._waiters if wanted > seq]
