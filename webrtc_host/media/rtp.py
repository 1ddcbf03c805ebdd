"""One RTP stream from packets to blocks: ordered, decoded, repaired, placed.

Pure but for the decoder's state. Owns what becomes of a hole: the copy in the next packet (FEC) for the last
lost one, concealment for up to 100 ms, exact silence of kind `lost` beyond; a hole in RTP time without a lost
packet is the sender's silence (DTX). Order is `jitter.py`'s, positions are `timeline.py`'s.
Invariant: a packet that cannot be decoded costs itself; `feed`, `on_tick` and `flush` raise nothing for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from host_stt.contract import SAMPLE_RATE, Float32Array
from webrtc_host.media.jitter import TIMESTAMPS, Frame, JitterBuffer, JitterConfig, RtpPacket
from webrtc_host.media.opus import Codec, DecodeError, Decoder, make_decoder
from webrtc_host.media.timeline import Timeline, TimelineConfig
from webrtc_host.seams import SAMPLES_PER_MS, Block, BlockKind

PAYLOAD_BYTES_MAX = 1_500
"""A packet of the network; longer ones are no packets."""


@dataclass(frozen=True, slots=True)
class StreamConfig:
    jitter: JitterConfig = field(default_factory=JitterConfig)
    timeline: TimelineConfig = field(default_factory=TimelineConfig)
    conceal_samples_max: int = 100 * SAMPLES_PER_MS  # longer holes are silence: made-up sound reads as words


@dataclass(slots=True)
class Repairs:
    """What was done about holes; samples at 16 kHz."""

    undecodable: int = 0  # packets
    repaired: int = 0  # packets that came back from the copy in the next one
    repaired_samples: int = 0
    concealed_samples: int = 0


class RtpStream:
    """One codec of one track, from its first packet to its last."""

    def __init__(
        self,
        codec: Codec,
        config: StreamConfig | None = None,
        *,
        floor_sample: int = 0,
        decoder: Decoder | None = None,
    ) -> None:
        """floor_sample: nothing is placed before it. decoder: in its initial state; None: the codec's own."""
        self._config = config or StreamConfig()
        self._codec = codec
        self._decoder = decoder or make_decoder(codec)
        self.jitter = JitterBuffer(self._config.jitter, codec.clock_rate)
        self.timeline = Timeline(
            _with_clock(self._config.timeline, codec.clock_rate), floor_sample=floor_sample
        )
        self._expected: int | None = None  # RTP time where the last packet ended; None: unknown
        self._usual_samples = 0  # length of the last packet
        self._made_up = 0  # samples concealed since something was heard
        self._broken = 0  # packets since then that could not be decoded
        self.repairs = Repairs()

    def feed(self, packet: RtpPacket) -> list[Block]:
        """Take a packet as it came; returns what can be placed now."""
        return self._hear(self.jitter.feed(packet))

    def on_tick(self, now_sample: int) -> list[Block]:
        """Let time pass: give up holes, end decisions, fill a line that went quiet."""
        blocks = self._hear(self.jitter.on_tick(now_sample))
        return blocks + self.timeline.on_tick(now_sample)

    def flush(self) -> list[Block]:
        """The stream is over: whatever waits is placed now."""
        return self._hear(self.jitter.flush()) + self.timeline.flush()

    def _hear(self, frames: list[Frame]) -> list[Block]:
        blocks: list[Block] = []
        for frame in frames:
            blocks += self._hear_one(frame)
        return blocks

    def _hear_one(self, frame: Frame) -> list[Block]:
        packet = frame.packet
        if not packet.payload:  # padding alone
            return []
        if frame.is_restart:
            self._decoder, self._expected, self._broken = make_decoder(self._codec), None, 0
        lost = frame.lost_before + self._broken
        blocks: list[Block] = []
        if lost and self._expected is not None:
            blocks = self._mend(packet)
            self._expected = packet.timestamp
        try:
            if len(packet.payload) > PAYLOAD_BYTES_MAX:
                raise DecodeError(f"a payload of {len(packet.payload)} bytes")
            samples = self._decoder.decode(packet.payload)
        except DecodeError:
            self.repairs.undecodable += 1
            self._broken += 1
            return blocks
        self._broken, self._made_up, self._usual_samples = 0, 0, len(samples)
        self._expected = (packet.timestamp + self._ticks(len(samples))) % TIMESTAMPS
        return blocks + self.timeline.feed(
            packet.timestamp,
            samples,
            packet.arrival_sample,
            payload=packet.payload if self._codec is Codec.OPUS else b"",
            gap_kind=BlockKind.LOST if lost else BlockKind.AUDIO,
            is_restart=frame.is_restart,
        )

    def _mend(self, packet: RtpPacket) -> list[Block]:
        """The hole before `packet`, as far as it can be mended, from its end backwards."""
        assert self._expected is not None
        ticks = (packet.timestamp - self._expected) % TIMESTAMPS
        missing = ticks * SAMPLE_RATE // self._codec.clock_rate
        if ticks >= TIMESTAMPS // 2 or not 0 < missing <= self._config.timeline.jump_samples:
            return []
        last = min(self._usual_samples, missing)
        blocks: list[Block] = []
        if last < missing <= self._may_make_up:
            blocks += self._conceal(packet, missing, self._decoder.conceal(missing - last))
        elif last < missing:
            self._made_up = self._config.conceal_samples_max  # too long: its end is not made up either
        return blocks + self._repair(packet, last)

    @property
    def _may_make_up(self) -> int:
        """Samples that may still be concealed before something must be heard."""
        return self._config.conceal_samples_max - self._made_up

    def _repair(self, packet: RtpPacket, last: int) -> list[Block]:
        """The last lost packet: its copy; where there is none and the hole is short, concealment."""
        samples = self._decoder.repair(packet.payload, last)
        if len(samples):
            self.repairs.repaired += 1
            self.repairs.repaired_samples += len(samples)
            return self._place_before(packet, last, samples)
        if last > self._may_make_up:
            return []
        return self._conceal(packet, last, self._decoder.conceal(last))

    def _conceal(self, packet: RtpPacket, before: int, samples: Float32Array) -> list[Block]:
        self.repairs.concealed_samples += len(samples)
        self._made_up += len(samples)
        return self._place_before(packet, before, samples)

    def _place_before(self, packet: RtpPacket, before: int, samples: Float32Array) -> list[Block]:
        """`samples` begin so many samples before the packet."""
        timestamp = (packet.timestamp - self._ticks(before)) % TIMESTAMPS
        return self.timeline.feed(timestamp, samples, packet.arrival_sample)

    def _ticks(self, samples: int) -> int:
        return samples * self._codec.clock_rate // SAMPLE_RATE


def _with_clock(config: TimelineConfig, clock_rate: int) -> TimelineConfig:
    return config if config.clock_rate == clock_rate else replace(config, clock_rate=clock_rate)
