"""The events that wait for the alert rules: bounded, filled by the event log, emptied by one task."""

from __future__ import annotations

import asyncio
from collections import deque

from webrtc_host.seams import EventType
from webrtc_host.transcript.event_log import LoggedEvent

WAITING_MAX = 5_000
WANTED = frozenset(
    {
        EventType.SESSION_ENDED,
        EventType.CHANNEL_OPENED,
        EventType.CHANNEL_CLOSED,
        EventType.CHANNEL_STATE,
        EventType.SPEECH_STARTED,
        EventType.SPEECH_ENDED,
        EventType.SEGMENT_INTERIM,
        EventType.SEGMENT_FINAL,
        EventType.SEGMENT_REVISED,
        EventType.SEGMENT_MARKED,
    }
)


class AlertInbox:
    """`observe` is a listener of every event log. It only queues: a listener must not write events itself."""

    def __init__(self) -> None:
        self._waiting: deque[LoggedEvent] = deque()
        self._wake = asyncio.Event()
        self.dropped = 0

    def observe(self, logged: LoggedEvent) -> None:
        if logged.kind not in WANTED:
            return
        if len(self._waiting) >= WAITING_MAX:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(logged)
        self._wake.set()

    async def wait(self, timeout_s: float) -> None:
        """Return when an event waits, at the latest after timeout_s."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        except TimeoutError:
            return

    def pop(self) -> LoggedEvent | None:
        """The oldest event; None: there is none."""
        if self._waiting:
            return self._waiting.popleft()
        self._wake.clear()
        return None

    def __len__(self) -> int:
        return len(self._waiting)
