"""Encodes audio that came without Opus packets (PCM sockets, uploads) into Opus, once.

It holds the encoder of one contiguous run of blocks; the next run has another encoder. Blocking: use a
thread.
Invariant: audio at sample p of the blocks is at sample p of the packets' timeline, to within 1 ms.
"""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np

from host_stt.contract import SAMPLE_RATE, Float32Array
from webrtc_host.seams import Block, OpusPacket

FRAME_SAMPLES = 320
"""20 ms."""
LOOKAHEAD_SAMPLES = 104
"""Delay of libopus: 6.5 ms at 16 kHz (OPUS_GET_LOOKAHEAD)."""
BIT_RATE = 24_000
"""Wideband speech needs 16 to 20 kb/s (RFC 7587, 3.1.1); a little more keeps the last consonants clear."""


class RunEncoder:
    """The encoder of one contiguous run of blocks. `feed` raises ValueError for a block elsewhere."""

    def __init__(self, start_sample: int) -> None:
        encoder = av.CodecContext.create("libopus", "w")
        assert isinstance(encoder, av.AudioCodecContext)
        encoder.sample_rate, encoder.layout, encoder.format = SAMPLE_RATE, "mono", "flt"
        encoder.bit_rate, encoder.time_base = BIT_RATE, Fraction(1, SAMPLE_RATE)
        # 3 of 10: half the encoding time of the default, and no audible difference for speech at this rate.
        encoder.options = {"application": "voip", "compression_level": "3"}
        self._encoder = encoder
        self._rest = np.zeros(0, np.float32)
        self._next_packet = max(0, start_sample - LOOKAHEAD_SAMPLES)
        self.end_sample = start_sample

    def feed(self, block: Block) -> list[OpusPacket]:
        if block.start_sample != self.end_sample:
            raise ValueError(f"a block at {block.start_sample} does not follow a run to {self.end_sample}")
        self.end_sample = block.end_sample
        samples = np.concatenate((self._rest, block.samples))
        whole = len(samples) // FRAME_SAMPLES * FRAME_SAMPLES
        self._rest = samples[whole:].copy()
        return self._encoded(samples[:whole])

    def flush(self) -> list[OpusPacket]:
        """The last packets of the run, padded with silence."""
        left = len(self._rest) + LOOKAHEAD_SAMPLES
        frames = -(-left // FRAME_SAMPLES)
        samples = np.pad(self._rest, (0, frames * FRAME_SAMPLES - len(self._rest)))
        self._rest = np.zeros(0, np.float32)
        return self._encoded(samples)

    def _encoded(self, samples: Float32Array) -> list[OpusPacket]:
        packets: list[OpusPacket] = []
        for at in range(0, len(samples), FRAME_SAMPLES):
            frame = av.AudioFrame.from_ndarray(
                np.clip(samples[np.newaxis, at : at + FRAME_SAMPLES], -1.0, 1.0), format="flt", layout="mono"
            )
            frame.sample_rate = SAMPLE_RATE
            for packet in self._encoder.encode(frame):
                packets.append(OpusPacket(self._next_packet, FRAME_SAMPLES, bytes(packet)))
                self._next_packet += FRAME_SAMPLES
        return packets
