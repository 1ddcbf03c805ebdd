"""One audio track of a peer: read it without waiting on anything slow, place it, hand it to its channel.

Owns the read loop and what becomes of it. Downstream sees only Blocks: another way to receive changes this
file alone. An unread track grows by 1.2 MB/s, so it is read to its end whatever happens. Its receiver is not
stopped before the peer is: aiortc would route this track's packets to another one of the same payload type.
Invariant: an error here costs this track, never the peer or the server.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable

import av
from aiortc import RTCRtpReceiver
from aiortc.mediastreams import MediaStreamError

from webrtc_host.channel import Channel
from webrtc_host.config import MediaConfig
from webrtc_host.media.resample import Piece, Resampler
from webrtc_host.media.timeline import Timeline, TimelineConfig
from webrtc_host.seams import SAMPLES_PER_MS, Block, ChannelState

logger = logging.getLogger(__name__)

JITTER_BUFFER_SAMPLES = 80 * SAMPLES_PER_MS
"""aiortc hands out the first packet when the fifth arrives (JitterBuffer prefetch=4; 20 ms packets)."""
STOP_TIMEOUT_S = 0.5


class TrackFeed:
    def __init__(
        self,
        receiver: RTCRtpReceiver,
        channel: Channel,
        config: MediaConfig,
        on_over: Callable[[TrackFeed, str], None],
    ) -> None:
        """on_over: called once with the reason when the track ends or fails by itself."""
        self.receiver = receiver
        self.channel = channel
        self.is_over = False
        self._on_over = on_over
        self._resampler = Resampler()
        self._timeline = Timeline(
            TimelineConfig(
                receive_delay_samples=JITTER_BUFFER_SAMPLES,
                quiet_samples=round(config.no_signal_after_s * 1000) * SAMPLES_PER_MS,
            ),
            floor_sample=channel.end_sample,
        )
        self._task: asyncio.Task[None] | None = None
        self._is_stopping = False
        self._last_frame_s = -math.inf

    @property
    def name(self) -> str:
        return f"{self.channel.session.id} {self.channel.id}"

    def start(self) -> None:
        """Open the channel and begin to read. Starting twice changes nothing."""
        if self._task is not None:
            return
        self._task = asyncio.create_task(self._read(), name=f"read {self.name}")
        try:
            self.channel.open()
        except Exception:
            self._fail("its channel could not be opened")

    def is_silent_for(self, seconds: float) -> bool:
        """True when no frame came for so long, or none ever."""
        return time.monotonic() - self._last_frame_s > seconds

    def on_tick(self) -> None:
        """Let time pass: notice that packets stopped, account for the time without them."""
        if self._task is None or self.is_over:
            return
        was_quiet = self._timeline.is_quiet
        try:
            self._hand_on(self._timeline.on_tick(self.channel.session.now_sample()))
            if self._timeline.is_quiet and not was_quiet:
                self.channel.report(ChannelState.NO_SIGNAL, "no_packets")
        except Exception:
            self._fail("letting time pass failed")

    def let_go(self) -> None:
        """Its channel is another connection's from now on: hand on what was placed, then read for nothing."""
        if self._task is not None and not self.is_over:
            try:
                self._hand_on(self._timeline.flush())
            except Exception:
                logger.exception("%s: its last frames could not be handed on", self.name)
        self.is_over = True

    async def stop(self) -> None:
        """With the peer: hand on what was received so far. Afterwards nothing of this track runs."""
        self._is_stopping = True
        await self.receiver.stop()  # its decoder finishes first, then the track ends
        task, self._task = self._task, None
        if task is None:
            return
        _, pending = await asyncio.wait({task}, timeout=STOP_TIMEOUT_S)
        for late in pending:  # connected, but its receiver had not begun
            late.cancel()
            await asyncio.wait({late})

    async def _read(self) -> None:
        try:
            while True:
                frame = await self.receiver.track.recv()
                if isinstance(frame, av.AudioFrame) and not self.is_over:
                    self._take(frame)
        except MediaStreamError:
            self._end()

    def _take(self, frame: av.AudioFrame) -> None:
        self._last_frame_s = time.monotonic()
        try:
            if self._timeline.is_quiet:
                self.channel.report(ChannelState.IDLE)
            self._place(self._resampler.feed(frame))
        except Exception:
            self._fail("a frame could not be handed on")

    def _end(self) -> None:
        if self.is_over:
            return
        try:
            self._place(self._resampler.flush())
            self._hand_on(self._timeline.flush())
        except Exception:
            self._fail("its last frames could not be handed on")
        else:
            self._be_over("track_ended")

    def _fail(self, what: str) -> None:
        """Called while an exception is handled: one traceback, then the track is read for nothing."""
        logger.exception("%s: %s, the channel is closed", self.name, what)
        self._be_over("failed")

    def _be_over(self, reason: str) -> None:
        if not self.is_over and not self._is_stopping:
            self.is_over = True
            self._on_over(self, reason)

    def _place(self, pieces: list[Piece]) -> None:
        now_sample = self.channel.session.now_sample()
        for piece in pieces:
            self._hand_on(self._timeline.feed(piece.timestamp, piece.samples, now_sample))

    def _hand_on(self, blocks: list[Block]) -> None:
        for block in blocks:
            self.channel.feed(block)
