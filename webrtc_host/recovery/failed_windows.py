"""Failed windows: windows that were not decoded because there was no engine, now and before a restart.

This module has the queue between the event logs and recovery, and decides which failed windows of the record
still have to be read. Invariant: a failed window is left out only when coverage says that it was read.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from sqlalchemy import Connection

from webrtc_host.archive.segment_file import ChannelKey
from webrtc_host.events import WindowFailed
from webrtc_host.recovery.known import WANT_OF_ENGINE
from webrtc_host.transcript.event_codec import decode_readable
from webrtc_host.transcript.event_log import LoggedEvent
from webrtc_host.transcript.past import windows_failed

FAILED_MAX = 1024  # failed windows that recovery has not taken yet; it takes them at once


@dataclass(frozen=True, slots=True)
class Failed:
    """A window that failed because there was no engine."""

    channel_key: ChannelKey
    utterance: str
    start_ms: int


class FailedWindows:
    """Windows that fail because there is no engine, while the server runs, in order.

    This queue connects the event logs with recovery. It is made before both, because the logs need it as
    their listener, and recovery needs the sessions, which have the logs.
    """

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[Failed] = asyncio.Queue(FAILED_MAX)
        self.refused = 0
        """Windows for which the queue had no place. The next start finds them."""

    def observe(self, logged: LoggedEvent) -> None:
        """A listener of every event log. Never waits."""
        event = logged.event
        if not isinstance(event, WindowFailed) or event.code not in WANT_OF_ENGINE:
            return
        channel_key = ChannelKey(logged.session, event.channel)
        try:
            self._waiting.put_nowait(Failed(channel_key, event.utterance, event.start_ms))
        except asyncio.QueueFull:
            self.refused += 1

    async def next(self) -> Failed:
        """The oldest window in the queue; waits until there is one."""
        return await self._waiting.get()


def still_failed(connection: Connection, channel_key: ChannelKey) -> list[Failed]:
    """One for each utterance with a window that is `failed` in the coverage, because there was no engine."""
    runs, stored = windows_failed(connection, channel_key.session, channel_key.channel, WANT_OF_ENGINE)
    found: dict[str, Failed] = {}
    for event in (envelope.event for envelope in decode_readable(stored)):
        if not isinstance(event, WindowFailed) or event.code not in WANT_OF_ENGINE:
            continue
        if any(low < event.end_ms and event.start_ms < high for low, high in runs):
            found.setdefault(event.utterance, Failed(channel_key, event.utterance, event.start_ms))
    return list(found.values())
