"""Timeline: where on the session's timeline a piece of media belongs.

Pure. Turns RTP time (a 32-bit counter of captured samples that wraps, jumps and stands still) into sample
indices at 16 kHz. Owns the anchor, the wrap, gaps, overlaps, pauses, restarts; not the order of packets
(`jitter.py`'s), not decoding, and drift (`drift.py`) only to measure it. Positions come from RTP time by one
integer division, never by adding.
Invariant: from its first sample on, the blocks of a timeline are contiguous; no sample is handed on twice.
How and why: docs/explanation/time.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from host_stt.contract import SAMPLE_RATE, Float32Array
from webrtc_host.media.drift import Drift
from webrtc_host.seams import Block, BlockKind, OpusPacket

RTP_TICKS = 1 << 32
SILENCE = np.zeros(SAMPLE_RATE, np.float32)
SILENCE.setflags(write=False)


@dataclass(frozen=True, slots=True)
class TimelineConfig:
    """Samples are at 16 kHz."""

    clock_rate: int = 48_000  # ticks of RTP time per second; for Opus always this (RFC 7587)
    receive_delay_samples: int = 0  # held back by the receiver before it hands the first piece on
    stall_samples: int = 300 * 16  # later than usual by more: pause or burst? The next packets tell
    decide_packets: int = 10  # looked at for that, and for the anchor; three were misled on a busy machine
    decide_samples: int = 400 * 16  # no decision takes longer
    jump_samples: int = 30 * SAMPLE_RATE  # a longer step of RTP time is a restart of the sender;
    back_samples: int = SAMPLE_RATE  # so is a longer step back: a shorter one is overlap, and trimmed;
    lead_samples: int = SAMPLE_RATE  # so is a step that lands this far ahead of its arrival,
    drift_ppm_max: int = 1000  # and what the sender's clock may have gained since it began
    quiet_samples: int = 3 * SAMPLE_RATE  # no packets for so long: `on_tick` begins to fill,
    quiet_margin_samples: int = SAMPLE_RATE // 2  # so far behind the present, but at first no more than
    quiet_tail_samples: int = SAMPLE_RATE  # this: it ends the utterance, and packets held up may still come,
    outage_samples: int = 12 * SAMPLE_RATE  # until nothing came for so long
    tick_samples_max: int = SAMPLE_RATE  # a longer time between two ticks was a stall of ours, not quiet
    envelope_samples: int = 30 * SAMPLE_RATE  # where the usual lateness is looked for; follows clock drift


@dataclass(slots=True)
class TimelineStatistics:
    """Samples at 16 kHz handed on or cut, then how often something happened."""

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
    """A block that is one whole packet."""

    packet: OpusPacket | None = None


@dataclass(frozen=True, slots=True)
class _Piece:
    ticks: int  # unrolled RTP time of its first sample
    samples: Float32Array
    now_sample: int  # when it arrived
    payload: bytes
    gap_kind: BlockKind
    is_restart: bool


class Timeline:
    """One stream of one connection. The next connection of the channel begins a new one."""

    def __init__(self, config: TimelineConfig | None = None, *, floor_sample: int = 0) -> None:
        """floor_sample: nothing is placed before it."""
        self._config = config or TimelineConfig()
        self._floor_sample = floor_sample
        self._anchor_ticks = 0  # this RTP time
        self._anchor_sample = 0  # is at this sample
        self._began_sample = 0  # when the first piece came
        self._heard_to_sample = 0  # end of the last piece placed
        self._next_sample: int | None = None  # end of what was handed on; None before the first piece
        self._unrolled: int | None = None  # RTP time of the last piece fed
        self._last_end_ticks = 0  # where the newest piece placed in this epoch ended
        self._last_arrival_sample = 0
        self._held: list[_Piece] = []  # the first ones, or those after a break, until there are enough
        self._is_anchoring = True  # these will say where RTP time lies; else whether the source paused
        self._usual_lag = _Envelope(self._config.envelope_samples, self._config.receive_delay_samples)
        self._last_tick_sample: int | None = None
        self._quiet_samples = 0  # without packets, as far as the ticks saw it
        self.drift = Drift()
        self.statistics = TimelineStatistics()

    @property
    def lag_samples(self) -> int:
        """The usual lateness: from the end of a piece on the timeline to its arrival."""
        return self._usual_lag.value

    @property
    def is_quiet(self) -> bool:
        """True when no packet came for `quiet_samples`."""
        return self._quiet_samples >= self._config.quiet_samples

    def feed(
        self,
        timestamp: int,
        samples: Float32Array,
        now_sample: int,
        *,
        payload: bytes = b"",
        gap_kind: BlockKind = BlockKind.LOST,
        is_restart: bool = False,
    ) -> list[Block]:
        """Place the next piece of media.

        timestamp: RTP time of samples[0]; 32 bits or already unrolled, both are right.
        samples: (n,) float32 at 16 kHz. now_sample: when it came, on the session's timeline.
        payload: the packet it was decoded from; comes back in a PacketBlock unless something was cut off.
        gap_kind: what a hole in RTP time before it is. is_restart: another sender begins here.
        """
        if not len(samples):
            return []
        self._quiet_samples = 0
        piece = _Piece(self._unroll(timestamp), samples, now_sample, payload, gap_kind, is_restart)
        if self._is_restart(piece):
            blocks = self._settle()
            self._is_anchoring = True
            self._last_arrival_sample = max(self._last_arrival_sample, now_sample)
            self._held.append(piece)
            return blocks + self._decide(now_sample)
        is_late = self._came_late(piece)
        self._last_arrival_sample = max(self._last_arrival_sample, now_sample)
        if not self._held and not is_late and not self._is_anchoring:
            return self._place(piece, gap_kind)
        self._held.append(piece)
        return self._decide(now_sample)

    def on_tick(self, now_sample: int) -> list[Block]:
        """Let time pass: end a decision that takes too long, fill when nothing comes any more."""
        blocks = self._decide(now_sample) if self._held else []
        if self._last_tick_sample is not None:
            step = now_sample - self._last_tick_sample
            self._quiet_samples += min(step, self._config.tick_samples_max)
        self._last_tick_sample = now_sample
        if self.is_quiet and self._next_sample is not None and not self._held:
            blocks += self._fill(self._quiet_until(now_sample), BlockKind.LOST)
        return blocks

    def _quiet_until(self, now_sample: int) -> int:
        """How far a line without packets is filled: TCP and some access points deliver seconds late."""
        until = now_sample - self._usual_lag.value - self._config.quiet_margin_samples
        if self._quiet_samples < self._config.outage_samples:
            until = min(until, self._heard_to_sample + self._config.quiet_tail_samples)
        return until

    def flush(self) -> list[Block]:
        """The stream is over: hand on what still waits."""
        return self._settle()

    def _unroll(self, timestamp: int) -> int:
        """RTP time without wraps: the nearest to the one before it."""
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
        """From the end of the piece on the timeline to its arrival."""
        return piece.now_sample - self._position(piece) - len(piece.samples)

    def _came_late(self, piece: _Piece) -> bool:
        """True after a silence of packets that RTP time does not account for."""
        if self._is_anchoring:
            return False
        stall = self._config.stall_samples
        waited = piece.now_sample - self._last_arrival_sample
        return waited > stall and self._lag(piece) - self._usual_lag.value > stall

    def _decide(self, now_sample: int) -> list[Block]:
        """Enough packets or no more time: release what is held."""
        is_enough = len(self._held) >= self._config.decide_packets
        waited = now_sample - self._held[0].now_sample
        if not is_enough and waited < self._config.decide_samples:
            return []
        return self._settle()

    def _settle(self) -> list[Block]:
        """Release what is held by what is known of it."""
        if not self._held:
            return []
        return self._anchor() if self._is_anchoring else self._resume()

    def _pace(self) -> tuple[int, int]:
        """How long the held pieces took to arrive, and how much time they cover."""
        first, last = self._held[0], self._held[-1]
        return last.now_sample - first.now_sample, self._samples_of(last.ticks - first.ticks)

    def _anchor(self) -> list[Block]:
        """Anchor by the promptest of the first pieces: each may have come late, none can have come early."""
        held, self._held = self._held, []
        first, offsets = held[0], [self._samples_of(piece.ticks - held[0].ticks) for piece in held]
        by_arrival = min(
            piece.now_sample - len(piece.samples) - offset
            for piece, offset in zip(held, offsets, strict=True)
            if 0 <= offset <= self._config.back_samples
        )
        if self._next_sample is not None:
            self.statistics.restarts += 1
        # Never before what was handed on; but senders that start over all the time push nothing ahead.
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

    def _resume(self) -> list[Block]:
        """At pace: the source stood still, so the missing time goes in. Faster: they were only held up."""
        (wall, media), held, self._held = self._pace(), self._held, []
        is_pause = wall * 5 >= media * 4
        if is_pause:
            self.statistics.pauses += 1
            self._anchor_sample += max(0, self._lag(held[0]) - self._usual_lag.value)
            self.drift.restart()
        else:
            self.statistics.bursts += 1
        kind = BlockKind.PAUSED if is_pause else held[0].gap_kind
        blocks = self._place(held[0], kind)
        for piece in held[1:]:
            blocks += self._place(piece, piece.gap_kind)
        return blocks

    def _is_restart(self, piece: _Piece) -> bool:
        """True when RTP time does not go on from what came before it."""
        if self._next_sample is None and not self._held:
            return False
        if piece.is_restart:
            return True
        if self._is_anchoring:  # there is no position yet to judge by, but there are the others
            first = self._held[0]
            elapsed, step = piece.now_sample - first.now_sample, self._samples_of(piece.ticks - first.ticks)
            return step < -self._config.back_samples or step > elapsed + self._config.lead_samples
        step = self._samples_of(piece.ticks - self._last_end_ticks)
        if step < -self._config.back_samples:
            return True
        elapsed = piece.now_sample - self._began_sample
        lead = -self._lag(piece)
        allowed = self._config.lead_samples + elapsed * self._config.drift_ppm_max // 1_000_000
        if step > self._config.jump_samples:
            # An outage that long moved RTP time and our clock alike; a sender that starts over did not.
            return abs(lead + self._usual_lag.value) > self._config.lead_samples
        return step > 0 and lead > allowed

    def _place(self, piece: _Piece, gap_kind: BlockKind) -> list[Block]:
        start = self._position(piece)
        self._usual_lag.add(self._lag(piece), piece.now_sample)
        self.drift.feed(start + len(piece.samples), piece.now_sample)
        end_ticks = piece.ticks + len(piece.samples) * self._config.clock_rate // SAMPLE_RATE
        self._last_end_ticks = max(self._last_end_ticks, end_ticks)
        blocks = self._fill(start, gap_kind)
        return blocks + self._hand_on(start, piece)

    def _fill(self, until_sample: int, kind: BlockKind) -> list[Block]:
        """Silence up to there, in blocks of a second."""
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

    def _hand_on(self, start_sample: int, piece: _Piece) -> list[Block]:
        """The piece without what was handed on before."""
        samples, next_sample = piece.samples, self._next_sample or 0
        cut = min(next_sample - start_sample, len(samples))
        if cut > 0:
            self.statistics.trimmed += cut
            samples = samples[cut:]
        if not len(samples):
            return []
        self._next_sample = self._heard_to_sample = next_sample + len(samples)
        self.statistics.audio += len(samples)
        if cut <= 0 and piece.payload:
            packet = OpusPacket(next_sample, len(samples), piece.payload)
            return [PacketBlock(next_sample, samples, packet=packet)]
        return [Block(next_sample, samples)]


class _Envelope:
    """The smallest of the values of the last one to two spans of time."""

    def __init__(self, span_samples: int, first: int) -> None:
        self._span_samples = span_samples
        self._since: int | None = None
        self._older = first
        self._newer = first

    @property
    def value(self) -> int:
        return min(self._older, self._newer)

    def add(self, value: int, now_sample: int) -> None:
        if self._since is None or now_sample - self._since >= self._span_samples:
            self._older = self._newer if self._since is not None else value
            self._newer = value
            self._since = now_sample
        else:
            self._newer = min(self._newer, value)
