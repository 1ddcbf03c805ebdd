"""What a socket decoded: put in its place on the session's timeline, handed to its channel at its own pace.

Owns the source's clock (a count of its own samples, never of what arrived), the pace and the quiet; not the
decoding. TCP loses nothing, so a stall is read by what follows it: at pace, the source stood still
(`paused`); faster, the network held it up and nothing is missing.
Invariant: `put` returns only when what it was given is with the channel, so whoever waits for it is slowed.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from host_stt.contract import SAMPLE_RATE
from webrtc_host.media.pacing import Pace, PaceConfig
from webrtc_host.media.resample import MEDIA_RATE, Piece
from webrtc_host.media.timeline import Timeline, TimelineConfig
from webrtc_host.seams import Block, BlockKind, ChannelState, OpusPacket

if TYPE_CHECKING:
    from webrtc_host.session.channel import Channel

TICKS_PER_SAMPLE = MEDIA_RATE // SAMPLE_RATE
PIECE_SAMPLES = SAMPLE_RATE // 10
"""Longer pieces are cut: pace and pauses are judged by pieces of this length at most."""
FRAME_COST_SAMPLES = 100
"""What a frame counts besides its sound, so that a frame for each sample is slowed before it is a burden."""
DECIDE_PIECES = 50
"""Looked at for the anchor, unless 400 ms are over before: a second of what was recorded beforehand."""
BUFFERED_SAMPLES = SAMPLE_RATE
"""What a client may have recorded before it was connected; it is placed in the past."""
NAP_S = 0.1
"""A wait is looked at again after this long; the connection may be ending."""
UNPLACED_PACKETS_MAX = 500
"""Opus packets whose place is not known yet; ten are usual."""


@dataclass(frozen=True, slots=True)
class FeedConfig:
    quiet_samples: int = 10 * SAMPLE_RATE  # no sound for so long: the time is `lost`; TCP brings a lot late
    no_signal_samples: int = 3 * SAMPLE_RATE  # and for so long: the channel says so
    pace: PaceConfig = PaceConfig()


class SocketFeed:
    def __init__(self, channel: Channel, config: FeedConfig, *, start_sample: int | None = None) -> None:
        """start_sample: where the first sample lies; None: where it arrives."""
        self._channel = channel
        self._config = config
        self._start_sample = start_sample
        now = channel.session.now_sample()
        floor = channel.end_sample if start_sample is None else start_sample
        timeline = TimelineConfig(quiet_samples=config.quiet_samples, decide_packets=DECIDE_PIECES)
        self._timeline = Timeline(timeline, floor_sample=floor)
        self._pace = Pace(config.pace, now)
        self._shift: int | None = None  # the timeline's present is so much before ours
        self._next_sample: int | None = None  # end of what was put, as far as its place is known
        self._last_put_sample = now
        self._end_ticks = 0  # of the newest piece given to the timeline
        self._packets: list[tuple[int, int, bytes]] = []  # RTP-like time, samples, payload: not yet placed
        self.is_hurried = False  # the connection ends: nothing waits for its pace any more
        self.is_over = False  # the channel is somebody else's: nothing reaches it any more
        self.samples = 0  # put so far
        self.waits = 0  # pieces that had to wait: the source was faster than real time

    async def admit(self) -> None:
        """A frame came; many small ones cost as much as a few large ones."""
        self._pace.pass_on(FRAME_COST_SAMPLES)
        await self._wait(0)

    async def put(self, piece: Piece) -> None:
        """Place a piece and hand it on; waits when it is ahead of its time."""
        for at in range(0, len(piece.samples), PIECE_SAMPLES):
            samples = piece.samples[at : at + PIECE_SAMPLES]
            await self._wait(len(samples))
            self._place(Piece(piece.timestamp + at * TICKS_PER_SAMPLE, samples))

    def archive_packet(self, timestamp: int, samples: int, payload: bytes) -> None:
        """An Opus packet whose decoded piece will be put next; the keeper gets it once its place is known."""
        if self._channel.archive is not None and len(self._packets) < UNPLACED_PACKETS_MAX:
            self._packets.append((timestamp, samples, payload))

    def on_tick(self) -> None:
        """Let time pass: end a decision about a stall, say that nothing comes, account for the time."""
        now = self._now()
        if self.is_over:
            return
        if self._shift is not None:
            self._take(self._timeline.on_tick(now - self._shift))
        if now - self._last_put_sample > self._config.no_signal_samples:
            self._channel.report(ChannelState.NO_SIGNAL, "no_packets")

    def flush(self) -> None:
        """The source is at its end: hand on what still waits for a decision."""
        if not self.is_over:
            self._take(self._timeline.flush())

    def _now(self) -> int:
        return self._channel.session.now_sample()

    def _first_guess(self, now: int) -> int:
        """Where the first sample may come to lie at the earliest, until the timeline has decided."""
        if self._start_sample is not None:
            return self._start_sample
        return max(self._channel.end_sample, now - BUFFERED_SAMPLES)

    async def _wait(self, samples: int) -> None:
        has_waited = False
        while not self.is_hurried:
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

    def _place(self, piece: Piece) -> None:
        if self.is_over:
            return
        now = self._now()
        if self._shift is None:
            start = self._start_sample
            self._shift = 0 if start is None else now - start - len(piece.samples)
        if self._channel.state is ChannelState.NO_SIGNAL:
            self._channel.report(ChannelState.IDLE)
        self._last_put_sample = now
        self._pace.pass_on(len(piece.samples))
        self.samples += len(piece.samples)
        self._next_sample = (self._next_sample or 0) + len(piece.samples)
        self._end_ticks = piece.timestamp + len(piece.samples) * TICKS_PER_SAMPLE
        self._take(self._timeline.feed(piece.timestamp, piece.samples, now - self._shift))

    def _take(self, blocks: list[Block]) -> None:
        """What the timeline has placed: sound, when there is any, up to the end of the newest piece."""
        heard_to = next((b.end_sample for b in reversed(blocks) if b.kind is BlockKind.AUDIO), None)
        if heard_to is not None:
            self._keep_placed(heard_to)
        self._hand_on(blocks)

    def _keep_placed(self, end_sample: int) -> None:
        """The newest piece ends at `end_sample`: so the packets up to there have their places."""
        packets, self._packets = self._packets, []
        for timestamp, samples, payload in packets:
            start = end_sample + (timestamp - self._end_ticks) // TICKS_PER_SAMPLE
            self._channel.archive_packet(OpusPacket(max(0, start), samples, payload))

    def _hand_on(self, blocks: list[Block]) -> None:
        for block in blocks:
            self._channel.feed(block)
            self._next_sample = block.end_sample
