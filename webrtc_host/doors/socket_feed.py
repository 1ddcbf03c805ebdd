"""Feeds the audio of a socket to its channel: places it on the session's timeline, in real time.

This module holds the clock of the source (a count of its own samples), slows a source that sends too fast,
and notices silence on the socket. `socket_audio.py` decodes. TCP loses nothing, so after a stall the next
audio shows the reason: at the pace of real time, the source was paused (`paused`); faster, the network was
slow, and nothing is missing.
Invariant: `put` returns when the channel has the audio, so its caller is slowed down to real time.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from host_stt.contract import SAMPLE_RATE
from webrtc_host.media.pacing import Pace, PaceConfig
from webrtc_host.media.resample import MEDIA_RATE, Piece
from webrtc_host.media.stream_time import StreamTime
from webrtc_host.media.timeline import Timeline
from webrtc_host.media.timeline_limits import TimelineConfig
from webrtc_host.seams import Block, BlockKind, ChannelState, OpusPacket

if TYPE_CHECKING:
    from webrtc_host.session.channel import Channel

TICKS_PER_SAMPLE = MEDIA_RATE // SAMPLE_RATE
PIECE_SAMPLES = SAMPLE_RATE // 10
"""Longer pieces are cut: the pace and pauses are measured with pieces of at most this length."""
FRAME_COST_SAMPLES = 100
"""Each frame counts as this much audio in addition, so that one frame per sample is slowed in time."""
DECIDE_PIECES = 50
"""Pieces that decide the anchor, or all within 400 ms: of audio recorded before, one second."""
BUFFERED_SAMPLES = SAMPLE_RATE
"""Audio that a client may have recorded before it was connected; it is placed in the past."""
NAP_S = 0.1
"""A wait is checked again after this time, because the connection may be ending."""
UNPLACED_PACKETS_MAX = 500
"""Opus packets whose position is not known yet; ten are usual."""


@dataclass(frozen=True, slots=True)
class FeedConfig:
    quiet_samples: int = 10 * SAMPLE_RATE  # without audio for so long, time becomes `lost`; TCP may be late
    no_signal_samples: int = 3 * SAMPLE_RATE  # without audio for so long: channel.state no_signal
    pace: PaceConfig = PaceConfig()


class SocketFeed:
    def __init__(self, channel: Channel, config: FeedConfig, *, start_sample: int | None = None) -> None:
        """start_sample: position of the first sample; None: at its arrival."""
        self._channel = channel
        self._config = config
        self._start_sample = start_sample
        now = channel.session.now_sample()
        floor = channel.end_sample if start_sample is None else start_sample
        timeline = TimelineConfig(quiet_samples=config.quiet_samples, decide_packets=DECIDE_PIECES)
        self._timeline = Timeline(timeline, floor_sample=floor)
        self._pace = Pace(config.pace, now)
        self._shift: int | None = None  # the timeline's present is this much earlier than the session's
        self._next_sample: int | None = None  # end of the audio so far, as far as its position is known
        self._last_put_sample = now
        self._end_ticks = 0  # end of the newest piece given to the timeline
        self.time = StreamTime()  # of this feed: the session's clock as a count of its own samples
        self._packets: list[tuple[int, int, bytes]] = []  # media time, samples, payload: position unknown yet
        self._is_ending = False
        self._is_detached = False
        self.samples = 0  # received so far
        self.waits = 0  # pieces that had to wait, because the source was faster than real time

    @property
    def is_detached(self) -> bool:
        """Another connection has the channel, or it is closed: nothing is passed on."""
        return self._is_detached

    def detach(self) -> None:
        self._is_detached = True

    def hurry(self) -> None:
        """The connection ends, so pieces no longer wait for real time."""
        self._is_ending = True

    async def admit(self) -> None:
        """Count a frame: many small frames cost as much as a few large ones."""
        self._pace.pass_on(FRAME_COST_SAMPLES)
        await self._wait(0)

    async def put(self, piece: Piece, collected_samples: int = 0) -> None:
        """Place a piece and pass it on; waits when the piece is ahead of real time.

        collected_samples: the audio behind the piece that came in the same message.
        """
        for at in range(0, len(piece.samples), PIECE_SAMPLES):
            samples = piece.samples[at : at + PIECE_SAMPLES]
            await self._wait(len(samples))
            behind = len(piece.samples) - at - len(samples) + collected_samples
            self._place(Piece(piece.timestamp + at * TICKS_PER_SAMPLE, samples), behind)

    def archive_packet(self, timestamp: int, samples: int, payload: bytes) -> None:
        """Queue an Opus packet for the archive; its piece comes next, and then its position is known."""
        if len(self._packets) < UNPLACED_PACKETS_MAX:
            self._packets.append((timestamp, samples, payload))

    def on_tick(self) -> None:
        """Let time pass: end a decision about a stall, report no signal, and fill time without audio."""
        now = self._now()
        if self.is_detached:
            return
        if self._shift is not None:
            self._pass_on(self._timeline.on_tick(now - self._shift))
        if now - self._last_put_sample > self._config.no_signal_samples:
            self._channel.report(ChannelState.NO_SIGNAL, "no_packets")

    def flush(self) -> None:
        """End of the source: pass on the audio that still waits for a decision."""
        if not self.is_detached:
            self._pass_on(self._timeline.flush())

    def _now(self) -> int:
        return self._channel.session.now_sample()

    def _first_guess(self, now: int) -> int:
        """The earliest possible position of the first sample, before the timeline has decided."""
        if self._start_sample is not None:
            return self._start_sample
        return max(self._channel.end_sample, now - BUFFERED_SAMPLES)

    async def _wait(self, samples: int) -> None:
        has_waited = False
        while not self._is_ending:
            now = self._now()
            if self._next_sample is None:
                self._next_sample = self._first_guess(now)
            end = self._next_sample + samples
            wait = self._pace.wait_samples(end, now)
            if not wait:
                break
            has_waited = True
            await asyncio.sleep(min(wait / SAMPLE_RATE, NAP_S))
        self.waits += has_waited

    def _place(self, piece: Piece, collected_samples: int) -> None:
        if self.is_detached:
            return
        now = self._now()
        self._shift = self._shift_at(now, len(piece.samples))
        if self._channel.state is ChannelState.NO_SIGNAL:
            self._channel.report(ChannelState.IDLE)
        self._last_put_sample = now
        self._pace.pass_on(len(piece.samples))
        self.samples += len(piece.samples)
        self._next_sample = (self._next_sample or 0) + len(piece.samples)
        self._end_ticks = piece.timestamp + len(piece.samples) * TICKS_PER_SAMPLE
        blocks = self._timeline.feed(
            piece.timestamp, piece.samples, now - self._shift, collected_samples=collected_samples
        )
        self._pass_on(blocks)

    def _shift_at(self, now: int, samples: int) -> int:
        """How much earlier the timeline's present is, when a piece comes that is `samples` long.

        A source with a start in the past may catch up. Each piece then comes in its own present: further
        ahead, the timeline would take it for another sender.
        """
        if self._start_sample is None:
            return 0
        if self._shift is None:
            return now - self._start_sample - samples
        return min(self._shift, max(0, now - (self._next_sample or 0) - samples))

    def _pass_on(self, blocks: list[Block]) -> None:
        """Pass on placed blocks; their audio, if there is any, ends with the newest piece."""
        audio_end = next((b.end_sample for b in reversed(blocks) if b.kind is BlockKind.AUDIO), None)
        if audio_end is not None:
            self._archive_placed(audio_end)
            self.time.note(_audio_start(blocks), audio_end, self._end_ticks // TICKS_PER_SAMPLE)
        self._feed_channel(blocks)

    def _archive_placed(self, end_sample: int) -> None:
        """Archive the queued packets: the newest piece ends at `end_sample`, so their positions are known."""
        packets, self._packets = self._packets, []
        for timestamp, samples, payload in packets:
            start = end_sample + (timestamp - self._end_ticks) // TICKS_PER_SAMPLE
            self._channel.archive_packet(OpusPacket(max(0, start), samples, payload))

    def _feed_channel(self, blocks: list[Block]) -> None:
        for block in blocks:
            self._channel.feed(block)
            self._next_sample = block.end_sample


def _audio_start(blocks: list[Block]) -> int:
    """The start of the audio at the end of the blocks, after the last of another kind."""
    start = 0
    for block in reversed(blocks):
        if block.kind is BlockKind.AUDIO:
            start = block.start_sample
        elif start:
            break
    return start
