"""Pacing: when the next window of a job may go to the engine. Live channels always go first.

The engine decodes windows of jobs only while no live window waits, but it cannot break off a decode. So while
there is live speech, one window of all jobs is decoded at a time, with pauses in between, and jobs use at
most `live_share` of the engine's time. While a live channel is only open, there are no pauses, but still one
window at a time: when its speech begins, the engine has at most one window of a job. Invariant: without live
channels, jobs use the whole engine.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack

from host_stt.contract import Transcript, Window
from webrtc_host.errors import EngineError
from webrtc_host.recovery.known import WANT_OF_ENGINE
from webrtc_host.seams import ChannelState, Clock, Transcriber
from webrtc_host.session.registry import SessionRegistry

IN_FLIGHT = 4
"""Windows of all jobs in the engine at one time."""
POLL_S = 0.05
RETRY_S = 1.0
TRIES_MAX = 3
"""Of a window that the engine had and failed on."""


class PacedTranscriber:
    """The engine for jobs. Implements `seams.Transcriber`."""

    def __init__(
        self,
        engine: Transcriber,
        is_live: Callable[[], bool],
        live_share: float,
        clock: Clock = time.monotonic,
        has_channels: Callable[[], bool] = lambda: False,
    ) -> None:
        """is_live: whether there is speech on a live channel now. has_channels: whether one is open.

        live_share: 0 to 1.
        """
        self._engine, self._is_live, self._live_share, self._clock = engine, is_live, live_share, clock
        self._has_channels = has_channels
        self._places = asyncio.Semaphore(IN_FLIGHT)
        self._alone = asyncio.Lock()
        self._not_before_s = float("-inf")

    async def transcribe(self, window: Window) -> Transcript:
        """Waits for an engine as long as it takes. Raises EngineError when the engine had the window and
        could not decode it.
        """
        tries_left = TRIES_MAX
        while True:
            try:
                return await self._transcribe(window)
            except EngineError as error:
                is_want = error.code in WANT_OF_ENGINE
                tries_left -= not is_want
                if not is_want and not (error.is_retryable and tries_left):
                    raise
            await asyncio.sleep(RETRY_S)

    async def _transcribe(self, window: Window) -> Transcript:
        async with AsyncExitStack() as held:
            await held.enter_async_context(self._places)
            if self._is_live() or self._has_channels():
                await held.enter_async_context(self._alone)
                await self._pause()
            transcript = await self._engine.transcribe(window)
            pause_s = transcript.decode_ms / 1000 * (1 - self._live_share) / self._live_share
            self._not_before_s = self._clock() + pause_s
            return transcript

    async def _pause(self) -> None:
        """Wait until jobs may use the engine again, or until the live speech ends."""
        while True:
            left_s = self._not_before_s - self._clock()
            if left_s <= 0 or not self._is_live():
                return
            await asyncio.sleep(min(left_s, POLL_S))


def is_speech_live(registry: SessionRegistry) -> bool:
    """Whether there is speech on a live channel now."""
    return any(
        channel.state in (ChannelState.TALKING, ChannelState.BEHIND)
        for connection in registry.connections.values()
        for channel in connection.channels
    )


def has_live_channels(registry: SessionRegistry) -> bool:
    """Whether a live channel is open now, also one without speech."""
    return any(connection.channels for connection in registry.connections.values())
