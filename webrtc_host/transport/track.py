"""One audio track of a peer: turns its packets into blocks in the event loop, and feeds them to its channel.

This module decides which stream a packet belongs to, ends the track, limits floods, and counts. The channel
gets blocks only, and the archive gets the packets that they were decoded from. The receiver of a track
without a channel is not stopped before the peer ends: aiortc would route its packets to another track with
the same payload type. So they are counted and discarded.
Invariant: an error here ends this track, never the peer or the server; a bad packet is dropped alone.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Callable

from aiortc import RTCRtpReceiver
from aiortc.mediastreams import MediaStreamError

from webrtc_host.config import MediaConfig
from webrtc_host.media.jitter import RtpPacket
from webrtc_host.media.opus import Codec
from webrtc_host.media.rtp import RtpStream, StreamConfig
from webrtc_host.media.timeline import PacketBlock
from webrtc_host.media.timeline_limits import TimelineConfig
from webrtc_host.seams import SAMPLES_PER_MS, Block, ChannelState, ms_of
from webrtc_host.session.channel import Channel
from webrtc_host.transport.flood import PacketBudget
from webrtc_host.transport.reception import RECEPTION, Counts, TrackCondition
from webrtc_host.transport.tap import Tap, WirePacket

logger = logging.getLogger(__name__)

STOP_TIMEOUT_S = 0.5
EARLY_PACKETS_MAX = 100
"""Packets between the handshake and `start`: two seconds of speech; the oldest ones are dropped."""


class TrackFeed:
    """Feeds one channel from one receiver."""

    def __init__(
        self,
        receiver: RTCRtpReceiver,
        channel: Channel,
        config: MediaConfig,
        on_finished: Callable[[TrackFeed, str], None],
    ) -> None:
        """on_finished: called once with the reason, when the track ends or fails by itself."""
        self.receiver = receiver
        self.channel = channel
        self.is_finished = False
        self._on_finished = on_finished
        quiet_samples = round(config.no_signal_after_s * 1000) * SAMPLES_PER_MS  # ends an utterance
        self._config = StreamConfig(timeline=TimelineConfig(quiet_samples=quiet_samples))
        self._no_signal_samples = config.no_signal_samples(channel.id)
        self._has_signal = True
        self._tap = Tap(receiver, self._on_packet)
        self._budget = PacketBudget()
        self._early: deque[tuple[Codec, RtpPacket]] = deque(maxlen=EARLY_PACKETS_MAX)
        self._codec = Codec.OPUS  # the usual codec; another one is recognized by its first packet
        self._stream: RtpStream | None = None  # None before `start`
        self._earlier_counts = Counts()  # counters of earlier streams with other codecs
        self._unread = 0
        self._task: asyncio.Task[None] | None = None
        self._is_stopping = False
        self._last_packet_s = -math.inf

    @property
    def name(self) -> str:
        return f"{self.channel.session.id} {self.channel.id}"

    @property
    def place(self) -> tuple[str, str] | None:
        """(session, channel) that this track feeds; None after its end."""
        return None if self.is_finished else (self.channel.session.id, self.channel.id)

    def start(self) -> None:
        """Open the channel and begin to read. A second call changes nothing."""
        if self._task is not None:
            return
        RECEPTION.add(self)
        self._stream = self._new_stream()
        self._task = asyncio.create_task(self._wait_for_end(), name=f"read {self.name}")
        try:
            self.channel.open()
        except Exception:
            self._fail("its channel could not be opened")
        while self._early:
            self._read(*self._early.popleft())

    def is_silent_for(self, seconds: float) -> bool:
        """True when no packet came for so long, or never."""
        return time.monotonic() - self._last_packet_s > seconds

    def on_tick(self) -> None:
        """Let time pass: give up missing packets, notice that packets stopped, and fill time without them."""
        if self._task is None or self.is_finished or self._stream is None:
            return
        try:
            self._feed_channel(self._stream.on_tick(self.channel.session.now_sample()))
            if self._has_signal and self._stream.timeline.silent_samples >= self._no_signal_samples:
                self._has_signal = False
                self.channel.report(ChannelState.NO_SIGNAL, "no_packets")
        except Exception:
            self._fail("the regular check of the track failed")

    def detach(self) -> None:
        """Another connection gets the channel: pass on the last audio, then discard what comes."""
        if self._task is not None and not self.is_finished:
            try:
                self._flush()
            except Exception:
                logger.exception("%s: its last packets could not be passed on", self.name)
        self.is_finished = True

    def stop_reading(self) -> None:
        """Another feed reads this track from now on; call it after `detach`."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            RECEPTION.remove(self)

    async def stop(self) -> None:
        """Called when the peer ends: pass on what was received. Afterwards no task of this track runs."""
        self._is_stopping = True
        await self.receiver.stop()  # this ends the track
        task, self._task = self._task, None
        if task is None:
            return
        _, pending = await asyncio.wait({task}, timeout=STOP_TIMEOUT_S)
        for late in pending:  # the peer was connected, but the receiver had not started
            late.cancel()
            await asyncio.wait({late})
        RECEPTION.remove(self)

    def counts(self) -> Counts:
        counts = Counts()
        counts.add(self._earlier_counts)
        if self._stream is not None:
            counts.add(_counts_of(self._stream))
        counts.packets = self._tap.packets
        counts.ignored += self._tap.ignored
        counts.failed = self._tap.failed
        counts.refused, counts.unread = self._budget.refused, self._unread
        return counts

    def condition(self) -> TrackCondition:
        if self._stream is None:
            return TrackCondition()
        jitter, timeline = self._stream.jitter, self._stream.timeline
        return TrackCondition(
            jitter.jitter_ms,
            timeline.lag_samples / SAMPLES_PER_MS,
            jitter.wait_samples / SAMPLES_PER_MS,
            timeline.drift.ppm,
        )

    async def _wait_for_end(self) -> None:
        """Wait until aiortc reports the end of the track through `recv`; audio no longer comes that way."""
        try:
            while True:
                await self.receiver.track.recv()
        except MediaStreamError:
            self._end()

    def _on_packet(self, codec: Codec, packet: WirePacket) -> None:
        """Called by the tap, in the order of arrival."""
        now_sample = self.channel.session.now_sample()
        if not self._budget.take(now_sample):
            if self._budget.is_exhausted and not self.is_finished:
                logger.warning("%s: more packets than speech can have; the track is cut off", self.name)
                self._finish("flood")
            return
        if self.is_finished:
            self._unread += 1
            return
        taken = RtpPacket(packet.sequence_number, packet.timestamp, packet.ssrc, packet.payload, now_sample)
        if self._task is None:
            self._early.append((codec, taken))
        else:
            self._read(codec, taken)

    def _read(self, codec: Codec, packet: RtpPacket) -> None:
        self._last_packet_s = time.monotonic()
        if self.is_finished:
            return
        if codec is not self._codec:
            self._change_codec(codec)
        assert self._stream is not None
        if not self._has_signal:
            self._has_signal = True
            self.channel.report(ChannelState.IDLE)
        self._feed_channel_or_fail(self._stream.feed(packet))

    def _change_codec(self, codec: Codec) -> None:
        """Change the codec: the new stream begins where the old one ended."""
        if self._stream is not None:
            self._feed_channel_or_fail(self._stream.flush())
            self._earlier_counts.add(_counts_of(self._stream))
        self._codec = codec
        self._stream = self._new_stream()

    def _new_stream(self) -> RtpStream:
        return RtpStream(self._codec, self._config, floor_sample=self.channel.end_sample)

    def _end(self) -> None:
        if self.is_finished:
            return
        try:
            self._flush()
        except Exception:
            self._fail("its last packets could not be passed on")
        else:
            self._finish("track_ended")

    def _flush(self) -> None:
        if self._stream is not None:
            self._feed_channel(self._stream.flush())

    def _fail(self, what: str) -> None:
        """End the track after an exception: one traceback in the log, then packets are only counted."""
        logger.exception("%s: %s; the channel is closed", self.name, what)
        self._finish("failed")

    def _finish(self, reason: str) -> None:
        if not self.is_finished and not self._is_stopping:
            self.is_finished = True
            self._on_finished(self, reason)

    def _feed_channel_or_fail(self, blocks: list[Block]) -> None:
        try:
            self._feed_channel(blocks)
        except Exception:
            self._fail("a block could not be passed on")

    def _feed_channel(self, blocks: list[Block]) -> None:
        for block in blocks:
            # The packet goes first: the archive must have the audio before it is transcribed.
            if isinstance(block, PacketBlock) and block.packet is not None:
                self.channel.archive_packet(block.packet)
            self.channel.feed(block)


def _counts_of(stream: RtpStream) -> Counts:
    packets, repairs, placed = stream.jitter.statistics, stream.repairs, stream.timeline.statistics
    return Counts(
        lost=packets.lost,
        late=packets.late,
        duplicates=packets.duplicates,
        reordered=packets.reordered,
        ignored=packets.strays,
        repaired=repairs.repaired,
        undecodable=repairs.undecodable,
        concealed_ms=ms_of(repairs.concealed_samples),
        silence_ms=ms_of(placed.lost),
        paused_ms=ms_of(placed.paused),
        trimmed_ms=ms_of(placed.trimmed),
        pauses=placed.pauses,
        bursts=placed.bursts,
        restarts=placed.restarts,
    )
