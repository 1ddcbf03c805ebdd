"""One RTP stream: turns packets into blocks of audio (order, decode, repair, place).

This module decides how a gap is filled: the last lost packet from its copy in the next packet (in-band FEC),
up to 100 ms by concealment, more by exact silence of kind `lost`. A gap in RTP time without a lost packet is
silence of the sender (DTX). `jitter.py` orders the packets; `timeline.py` gives them their positions.
Pure, except for the decoder's state.
Invariant: a packet that cannot be decoded counts as a lost one; `feed`, `on_tick` and `flush` do not raise.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from host_stt.contract import SAMPLE_RATE, Float32Array
from webrtc_host.media.jitter import TIMESTAMPS, Frame, JitterBuffer, JitterConfig, RtpPacket
from webrtc_host.media.opus import Codec, DecodeError, Decoder, make_decoder
from webrtc_host.media.timeline import Timeline
from webrtc_host.media.timeline_limits import TimelineConfig
from webrtc_host.seams import SAMPLES_PER_MS, Block, BlockKind

PAYLOAD_BYTES_MAX = 1_500
"""The largest packet of an Ethernet network; a larger payload is not decoded."""


@dataclass(frozen=True, slots=True)
class StreamConfig:
    jitter: JitterConfig = field(default_factory=JitterConfig)
    timeline: TimelineConfig = field(default_factory=TimelineConfig)
    conceal_samples_max: int = 100 * SAMPLES_PER_MS  # longer gaps are silence: the model makes up words else


@dataclass(slots=True)
class Repairs:
    """How gaps were filled. Samples are at 16 kHz."""

    undecodable: int = 0  # packets
    repaired: int = 0  # packets restored from the copy in the next packet
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
        """floor_sample: no block starts before it. decoder: in its initial state; None: by the codec."""
        self._config = config or StreamConfig()
        self._codec = codec
        self._decoder = decoder or make_decoder(codec)
        self.jitter = JitterBuffer(self._config.jitter, codec.clock_rate)
        self.timeline = Timeline(
            _with_clock(self._config.timeline, codec.clock_rate), floor_sample=floor_sample
        )
        self._expected: int | None = None  # RTP time where the last packet ended; None: unknown
        self._usual_samples = 0  # length of the last packet
        self._concealed_run = 0  # samples concealed since the last decoded packet
        self._undecodable_run = 0  # packets since then that could not be decoded
        self.repairs = Repairs()

    def feed(self, packet: RtpPacket) -> list[Block]:
        """Take a packet as it came; returns the blocks that can be placed now."""
        return self._decode_frames(self.jitter.feed(packet))

    def on_tick(self, now_sample: int) -> list[Block]:
        """Let time pass: give up missing packets, end decisions, fill a line without packets."""
        blocks = self._decode_frames(self.jitter.on_tick(now_sample))
        return blocks + self.timeline.on_tick(now_sample)

    def flush(self) -> list[Block]:
        """End of the stream: place everything that waits."""
        return self._decode_frames(self.jitter.flush()) + self.timeline.flush()

    def _decode_frames(self, frames: list[Frame]) -> list[Block]:
        blocks: list[Block] = []
        for frame in frames:
            blocks += self._decode_frame(frame)
        return blocks

    def _decode_frame(self, frame: Frame) -> list[Block]:
        packet = frame.packet
        if not packet.payload:  # a packet with padding only
            return []
        if frame.is_restart:
            self._decoder, self._expected, self._undecodable_run = make_decoder(self._codec), None, 0
        # A packet that could not be decoded is a lost one: the next packet may carry its copy.
        lost = frame.lost_before + self._undecodable_run
        blocks: list[Block] = []
        if lost and self._expected is not None:
            blocks = self._fill_gap(packet)
            self._expected = packet.timestamp
        try:
            if len(packet.payload) > PAYLOAD_BYTES_MAX:
                raise DecodeError(f"a payload of {len(packet.payload)} bytes")
            samples = self._decoder.decode(packet.payload)
        except DecodeError:
            self.repairs.undecodable += 1
            self._undecodable_run += 1
            return blocks
        self._undecodable_run, self._concealed_run, self._usual_samples = 0, 0, len(samples)
        self._expected = (packet.timestamp + self._ticks(len(samples))) % TIMESTAMPS
        return blocks + self.timeline.feed(
            packet.timestamp,
            samples,
            packet.arrival_sample,
            payload=packet.payload if self._codec is Codec.OPUS else b"",
            gap_kind=BlockKind.LOST if lost else BlockKind.AUDIO,
            is_restart=frame.is_restart,
        )

    def _fill_gap(self, packet: RtpPacket) -> list[Block]:
        """Fill the gap before `packet`: first by concealment, then its last packet from the copy.

        This is the order of time, so the decoder's state and the timeline only move forward.
        """
        assert self._expected is not None
        ticks = (packet.timestamp - self._expected) % TIMESTAMPS
        missing = ticks * SAMPLE_RATE // self._codec.clock_rate
        if ticks >= TIMESTAMPS // 2 or not 0 < missing <= self._config.timeline.jump_samples:
            return []
        last = min(self._usual_samples, missing)
        blocks: list[Block] = []
        if last < missing <= self._conceal_allowance:
            blocks += self._conceal(packet, missing, self._decoder.conceal(missing - last))
        elif last < missing:
            # The gap is too long to conceal, so its last packet is not concealed either.
            self._concealed_run = self._config.conceal_samples_max
        return blocks + self._repair(packet, last)

    @property
    def _conceal_allowance(self) -> int:
        """Samples that may still be concealed before the next decoded packet."""
        return self._config.conceal_samples_max - self._concealed_run

    def _repair(self, packet: RtpPacket, last: int) -> list[Block]:
        """The last lost packet: from its copy; without one, and in a short gap, by concealment."""
        samples = self._decoder.repair(packet.payload, last)
        if len(samples):
            self.repairs.repaired += 1
            return self._place_before(packet, last, samples)
        if last > self._conceal_allowance:
            return []
        return self._conceal(packet, last, self._decoder.conceal(last))

    def _conceal(self, packet: RtpPacket, before: int, samples: Float32Array) -> list[Block]:
        self.repairs.concealed_samples += len(samples)
        self._concealed_run += len(samples)
        return self._place_before(packet, before, samples)

    def _place_before(self, packet: RtpPacket, before: int, samples: Float32Array) -> list[Block]:
        """Place `samples` so that they begin `before` samples ahead of the packet."""
        timestamp = (packet.timestamp - self._ticks(before)) % TIMESTAMPS
        return self.timeline.feed(timestamp, samples, packet.arrival_sample)

    def _ticks(self, samples: int) -> int:
        return samples * self._codec.clock_rate // SAMPLE_RATE


def _with_clock(config: TimelineConfig, clock_rate: int) -> TimelineConfig:
    return config if config.clock_rate == clock_rate else replace(config, clock_rate=clock_rate)
