"""Timeline: computes where each piece of decoded audio belongs on the session's timeline.

RTP time (a 32-bit count of captured samples, which wraps and jumps) becomes a sample index at 16 kHz. This
module decides the anchor (which RTP time is which sample), unrolls the counter, fills gaps, cuts overlaps,
and separates pauses and restarts of the sender from delays of the network. `jitter.py` orders the packets and
`opus.py` decodes them. `drift.py` measures clock drift; the result is shown and changes no position.
A position is computed from the piece's own RTP time by one integer division, not from a sum over the pieces
before it: a sum would drift with every loss. Pure: no clock, no I/O.
Invariant: from the first sample on, each block starts where the block before it ended.
Explanation: docs/explanation/time.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from host_stt.contract import SAMPLE_RATE, Float32Array
from webrtc_host.media.drift import Drift
from webrtc_host.media.recent_minimum import RecentMinimum
from webrtc_host.media.timeline_limits import TimelineConfig
from webrtc_host.seams import Block, BlockKind, OpusPacket

RTP_TICKS = 1 << 32
SILENCE = np.zeros(SAMPLE_RATE, np.float32)
SILENCE.setflags(write=False)


@dataclass(slots=True)
class TimelineStatistics:
    """Samples at 16 kHz that were passed on or cut off, then counts of pauses, bursts and restarts."""

    audio: int = 0
    lost: int = 0
    paused: int = 0
    silent: int = 0  # the sender had nothing to send (DTX)
    trimmed: int = 0
    pauses: int = 0
    bursts: int = 0
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class PacketBlock(Block):
    """A block that holds the audio of exactly one packet, uncut."""

    packet: OpusPacket | None = None


@dataclass(frozen=True, slots=True)
class _Piece:
    ticks: int  # unrolled RTP time of its first sample
    samples: Float32Array
    now_sample: int  # its arrival, on the session's timeline
    payload: bytes
    gap_kind: BlockKind
    is_restart: bool
    collected_samples: int

    @property
    def ready_sample(self) -> int:
        """When it would have arrived if its sender had not collected more audio for the same message."""
        return self.now_sample - self.collected_samples


class Timeline:
    """The timeline of one RTP stream. The next connection of the channel makes a new one."""

    def __init__(self, config: TimelineConfig | None = None, *, floor_sample: int = 0) -> None:
        """floor_sample: no block starts before it (the end of the channel's earlier audio)."""
        self._config = config or TimelineConfig()
        self._floor_sample = floor_sample
        self._anchor_ticks = 0  # RTP time of the anchor
        self._anchor_sample = 0  # sample index of the anchor
        self._began_sample = 0  # arrival of the first piece
        self._audio_end_sample = 0  # end of the last piece placed; filled silence does not move it
        self._next_sample: int | None = None  # end of the last block returned; None before the first piece
        self._unrolled: int | None = None  # RTP time of the last piece fed
        self._last_end_ticks = 0  # RTP time at which the newest piece of this epoch ended
        self._last_arrival_sample = 0
        self._held: list[_Piece] = []  # pieces that wait for a decision: the anchor, or pause against burst
        self._is_anchoring = True  # True: the held pieces decide the anchor; False: pause against burst
        self._message_samples = 0  # length of the longest message
        self._usual_lag = RecentMinimum(self._config.envelope_samples, self._config.receive_delay_samples)
        self._last_tick_sample: int | None = None
        self._quiet_samples = 0  # time without packets, as the ticks measured it
        self.drift = Drift()
        self.statistics = TimelineStatistics()

    @property
    def lag_samples(self) -> int:
        """The usual lag: the time from the end of a piece on the timeline to its arrival."""
        return self._usual_lag.value

    @property
    def is_quiet(self) -> bool:
        """True when no packet came for `quiet_samples`."""
        return self._quiet_samples >= self._config.quiet_samples

    @property
    def silent_samples(self) -> int:
        """The time without packets, as the ticks measured it."""
        return self._quiet_samples

    def feed(
        self,
        timestamp: int,
        samples: Float32Array,
        now_sample: int,
        *,
        payload: bytes = b"",
        gap_kind: BlockKind = BlockKind.LOST,
        is_restart: bool = False,
        collected_samples: int = 0,
    ) -> list[Block]:
        """Place the next piece of audio; returns the blocks that can be passed on now.

        timestamp: RTP time of samples[0], 32 bits or already unrolled.
        samples: (n,) float32 at 16 kHz. now_sample: arrival, on the session's timeline.
        payload: the packet of these samples; returned in a PacketBlock unless a part was cut off.
        gap_kind: the kind of a gap in RTP time before this piece. is_restart: another sender begins here.
        collected_samples: the audio behind this piece in the same message, all of which arrived together.
        """
        if not len(samples):
            return []
        self._quiet_samples = 0
        piece = _Piece(
            self._unroll(timestamp), samples, now_sample, payload, gap_kind, is_restart, collected_samples
        )
        if collected_samples:
            length = min(len(samples) + collected_samples, self._config.message_samples_max)
            self._message_samples = max(self._message_samples, length)
        if self._is_restart(piece):
            blocks = self._release_held()
            self._is_anchoring = True
            self._last_arrival_sample = max(self._last_arrival_sample, now_sample)
            self._held.append(piece)
            return blocks + self._release_when_decided(now_sample)
        is_late = self._is_late(piece)
        self._last_arrival_sample = max(self._last_arrival_sample, now_sample)
        if not self._held and not is_late and not self._is_anchoring:
            return self._place(piece, gap_kind)
        self._held.append(piece)
        return self._release_when_decided(now_sample)

    def on_tick(self, now_sample: int) -> list[Block]:
        """Let time pass: end a decision that takes too long, and fill a line without packets."""
        blocks = self._release_when_decided(now_sample) if self._held else []
        if self._last_tick_sample is not None:
            step = now_sample - self._last_tick_sample
            self._quiet_samples += min(step, self._config.tick_samples_max)
        self._last_tick_sample = now_sample
        if self.is_quiet and self._next_sample is not None and not self._held:
            blocks += self._fill(self._quiet_until(now_sample), BlockKind.LOST)
        return blocks

    def _quiet_until(self, now_sample: int) -> int:
        """The sample up to which a line without packets is filled.

        TCP and some access points deliver packets seconds late. A packet for a time that is filled already
        is cut off, so only `quiet_tail_samples` are filled until `outage_samples` have passed. The audio
        of the message that a sender is collecting began up to the length of a message ago.
        """
        margin = self._config.quiet_margin_samples + self._message_samples
        until = now_sample - self._usual_lag.value - margin
        if self._quiet_samples < self._config.outage_samples:
            until = min(until, self._audio_end_sample + self._config.quiet_tail_samples)
        return until

    def flush(self) -> list[Block]:
        """End of the stream: return the blocks of the pieces that still wait."""
        return self._release_held()

    def _unroll(self, timestamp: int) -> int:
        """RTP time without wraps: of all values that fit the 32 bits, the one nearest to the last."""
        if self._unrolled is None:
            self._unrolled = timestamp
        step = (timestamp - self._unrolled) % RTP_TICKS
        self._unrolled += step if step < RTP_TICKS // 2 else step - RTP_TICKS
        return self._unrolled

    def _samples_of(self, ticks: int) -> int:
        return ticks * SAMPLE_RATE // self._config.clock_rate

    def _position(self, piece: _Piece) -> int:
        return self._anchor_sample + self._samples_of(piece.ticks - self._anchor_ticks)

    def _lag(self, piece: _Piece) -> int:
        """The time from the end of the piece on the timeline to its arrival."""
        return piece.now_sample - self._position(piece) - len(piece.samples)

    def _lateness(self, piece: _Piece) -> int:
        """By how much the piece is later than usual. The time in which its message was collected is usual."""
        return max(0, self._lag(piece) - self._usual_lag.value - piece.collected_samples)

    def _is_late(self, piece: _Piece) -> bool:
        """True when no packet came for a while and RTP time does not explain the wait."""
        if self._is_anchoring:
            return False
        stall = self._config.stall_samples
        waited = piece.now_sample - self._last_arrival_sample
        return waited > stall and self._lateness(piece) > stall

    def _is_one_message(self) -> bool:
        """Whether all held pieces came in one message; an RTP packet is a message of one piece."""
        return sum(piece.collected_samples == 0 for piece in self._held) <= 1

    def _release_when_decided(self, now_sample: int) -> list[Block]:
        """Release the held pieces when there are enough, or when the decision has taken the longest time.

        One message has no pace, so the next one is waited for: a sender that collects audio for a second
        sends it a second later.
        """
        is_enough, limit = len(self._held) >= self._config.decide_packets, self._config.decide_samples
        if self._is_one_message() and not self._is_anchoring:
            length = sum(len(piece.samples) for piece in self._held)
            is_enough = length >= self._config.message_samples_max
            limit += length
        if not is_enough and now_sample - self._held[0].now_sample < limit:
            return []
        return self._release_held()

    def _release_held(self) -> list[Block]:
        """Release the held pieces by what is known now."""
        if not self._held:
            return []
        return self._anchor() if self._is_anchoring else self._place_after_wait()

    def _pace(self) -> tuple[int, int]:
        """The time in which the held pieces became ready, and the time that their audio covers."""
        first, last = self._held[0], self._held[-1]
        return last.ready_sample - first.ready_sample, self._samples_of(last.ticks - first.ticks)

    def _anchor(self) -> list[Block]:
        """Anchor by the piece with the smallest delay: each may have come late, none can have come early."""
        held, self._held = self._held, []
        first, offsets = held[0], [self._samples_of(piece.ticks - held[0].ticks) for piece in held]
        # Only pieces that follow the first one: after a step back or a long step, a piece has the RTP time of
        # another sender, and would put the anchor anywhere.
        by_arrival = min(
            piece.now_sample - len(piece.samples) - offset
            for piece, offset in zip(held, offsets, strict=True)
            if 0 <= offset <= self._config.back_samples
        )
        if self._next_sample is not None:
            self.statistics.restarts += 1
        # A new epoch does not start before audio that was passed on. `latest` limits this: a sender that
        # restarts again and again would otherwise move the channel further into the future each time.
        latest = by_arrival + self._config.lead_samples
        floor = self._floor_sample if self._next_sample is None else min(self._next_sample, latest)
        self._anchor_ticks = self._last_end_ticks = first.ticks
        self._anchor_sample = max(by_arrival - self._usual_lag.value, floor, 0)
        if self._next_sample is None:
            self._next_sample, self._began_sample = self._anchor_sample, first.now_sample
        self._is_anchoring = False
        self.drift.restart()
        blocks = self._place(first, BlockKind.LOST)
        for piece in held[1:]:
            blocks += self._place(piece, piece.gap_kind)
        return blocks

    def _place_after_wait(self) -> list[Block]:
        """Decide between a pause of the sender and a burst of the network, and place the held pieces.

        Pieces that arrive at the pace of their audio follow a pause: the missing time is inserted. Pieces
        that arrive faster were queued in the network: nothing is missing.

        One message alone has no pace. It is placed by its RTP time if it fits there, because that can be
        corrected: if the sender did pause, the next message is late too, and then both decide. A pause that
        did not happen would put all later audio too far ahead, where no piece is late and nothing corrects
        it. Where it does not fit, it would be cut off: so it is placed after a pause.
        """
        first = self._held[0]
        fits = self._position(first) >= (self._next_sample or 0)
        if self._is_one_message() and fits:
            held, self._held = self._held, []
            return [block for piece in held for block in self._place(piece, piece.gap_kind)]
        (wall, media), held, self._held = self._pace(), self._held, []
        # 4/5 of the audio's time is enough: the first packets after a pause may arrive pushed together.
        is_pause = wall * 5 >= media * 4
        if is_pause:
            self.statistics.pauses += 1
            # RTP time stood still during the pause, so the anchor moves on by the time that passed.
            self._anchor_sample += self._lateness(first)
            self.drift.restart()
        else:
            self.statistics.bursts += 1
        kind = BlockKind.PAUSED if is_pause else held[0].gap_kind
        blocks = self._place(held[0], kind)
        for piece in held[1:]:
            blocks += self._place(piece, piece.gap_kind)
        return blocks

    def _is_restart(self, piece: _Piece) -> bool:
        """True when the RTP time of `piece` does not continue the time of the pieces before it."""
        if self._next_sample is None and not self._held:
            return False
        if piece.is_restart:
            return True
        if self._is_anchoring:  # there is no anchor yet, so compare with the first held piece
            first = self._held[0]
            elapsed = max(piece.now_sample - first.now_sample, piece.ready_sample - first.ready_sample)
            step = self._samples_of(piece.ticks - first.ticks)
            return step < -self._config.back_samples or step > elapsed + self._config.lead_samples
        step = self._samples_of(piece.ticks - self._last_end_ticks)
        if step < -self._config.back_samples:
            return True
        elapsed = piece.now_sample - self._began_sample
        lead = -self._lag(piece)
        allowed = self._config.lead_samples + elapsed * self._config.drift_ppm_max // 1_000_000
        if step > self._config.jump_samples:
            # In a long outage, RTP time and the server's clock move on by the same time, so the piece lies
            # where it did before. After a restart of the sender it does not.
            return abs(lead + self._usual_lag.value) > self._config.lead_samples
        # A piece ahead of its arrival is impossible: audio cannot arrive before it was captured.
        return step > 0 and lead > allowed

    def _place(self, piece: _Piece, gap_kind: BlockKind) -> list[Block]:
        start = self._position(piece)
        # Late pieces, too: the usual lag is a minimum, so they do not change it.
        self._usual_lag.add(self._lag(piece), piece.now_sample)
        self.drift.feed(start + len(piece.samples), piece.now_sample)
        end_ticks = piece.ticks + len(piece.samples) * self._config.clock_rate // SAMPLE_RATE
        self._last_end_ticks = max(self._last_end_ticks, end_ticks)
        blocks = self._fill(start, gap_kind)
        return blocks + self._without_overlap(start, piece)

    def _fill(self, until_sample: int, kind: BlockKind) -> list[Block]:
        """Silence up to `until_sample`, in blocks of at most one second."""
        blocks: list[Block] = []
        start = self._next_sample or 0
        while start < until_sample:
            block = Block(start, SILENCE[: until_sample - start], kind)
            blocks.append(block)
            start = block.end_sample
        filled = max(0, start - (self._next_sample or 0))
        if kind is BlockKind.PAUSED:
            self.statistics.paused += filled
        elif kind is BlockKind.AUDIO:
            self.statistics.silent += filled
        else:
            self.statistics.lost += filled
        self._next_sample = start
        return blocks

    def _without_overlap(self, start_sample: int, piece: _Piece) -> list[Block]:
        """The piece without the samples that earlier blocks covered."""
        samples, next_sample = piece.samples, self._next_sample or 0
        cut = min(next_sample - start_sample, len(samples))
        if cut > 0:
            self.statistics.trimmed += cut
            samples = samples[cut:]
        if not len(samples):
            return []
        self._next_sample = self._audio_end_sample = next_sample + len(samples)
        self.statistics.audio += len(samples)
        # The archive keeps packets as they came. The length of a cut one would not fit its samples.
        if cut <= 0 and piece.payload:
            packet = OpusPacket(next_sample, len(samples), piece.payload)
            return [PacketBlock(next_sample, samples, packet=packet)]
        return [Block(next_sample, samples)]
