"""Decoders of RTP payloads: turn packets of every accepted codec into 16 kHz mono float32.

This module chooses the decoder (libopus by ctypes, or PyAV when libopus fails its self-test; G.711) and holds
the decoder state of each stream. `jitter.py` orders the packets, `timeline.py` places the audio.
Invariant: a packet of t ms decodes to exactly 16·t samples, so RTP time and sample counts agree.
"""

from __future__ import annotations

import logging
from enum import StrEnum
from fractions import Fraction
from functools import cache
from typing import Protocol

import av
import numpy as np

from host_stt.contract import SAMPLE_RATE, Float32Array
from host_stt_common.frames import planes_of
from host_stt_common.mixdown import MixDown
from webrtc_host.media import libopus
from webrtc_host.media.libopus import OpusError

logger = logging.getLogger(__name__)

G711_RATE = 8_000
G711_BYTES_MAX = G711_RATE * 200 // 1000
"""200 ms; usual packets have 20 or 30 ms."""
NOTHING = np.zeros(0, np.float32)
NOTHING.setflags(write=False)


class Codec(StrEnum):
    OPUS = "opus"
    PCMU = "pcmu"
    PCMA = "pcma"

    @property
    def clock_rate(self) -> int:
        """Ticks of RTP time per second."""
        return libopus.RATE if self is Codec.OPUS else G711_RATE


class DecodeError(ValueError):
    """A payload that is not a packet of its codec. Only this packet is lost."""


class Decoder(Protocol):
    """One stream of one codec. All results are (n,) float32 in [-1, 1] at 16 kHz."""

    def decode(self, payload: bytes) -> Float32Array:
        """The audio of one packet. Raises DecodeError."""
        ...

    def repair(self, next_payload: bytes, samples: int) -> Float32Array:
        """The lost packet before `next_payload`, from the copy in it; empty when there is no copy."""
        ...

    def conceal(self, samples: int) -> Float32Array:
        """At most `samples` of audio that is estimated for a gap; empty when the decoder cannot do it."""
        ...


def make_decoder(codec: Codec) -> Decoder:
    """A new decoder in its initial state."""
    if codec is not Codec.OPUS:
        return G711Decoder(codec)
    return OpusDecoder() if libopus_works() else PyavOpusDecoder()


@cache
def libopus_works() -> bool:
    """Self-test, once per process: a tone is coded and decoded, one packet from its copy, one concealed."""
    try:
        _test_libopus()
    except Exception as error:
        logger.warning(
            "libopus failed its self-test (%s); PyAV decodes instead, and lost packets become silence", error
        )
        return False
    logger.info("%s decodes straight to %d Hz", libopus.version(), SAMPLE_RATE)
    return True


def _test_libopus() -> None:
    frame = SAMPLE_RATE // 50
    tone = (0.3 * np.sin(2 * np.pi * 440 * np.arange(10 * frame) / SAMPLE_RATE)).astype(np.float32)
    encoder = libopus.OpusEncoder(with_repair=True, expected_loss_percent=20)
    packets = [encoder.encode(piece) for piece in tone.reshape(-1, frame)]
    decoder = OpusDecoder()
    decoded = [decoder.decode(packet) for packet in packets[:7]]
    decoded += [decoder.repair(packets[8], frame), decoder.decode(packets[8]), decoder.conceal(frame)]
    for number, piece in enumerate(decoded):
        power = float(np.square(piece).mean()) if len(piece) else 0.0
        if len(piece) != frame or (number >= 3 and not 0.01 < power < 0.1):
            raise OpusError(
                f"packet {number} of a tone came out as {len(piece)} samples of power {power:.4f}"
            )


class OpusDecoder:
    """libopus decodes directly to 16 kHz: half the work of decoding to 48 kHz and resampling.

    It always decodes to two channels, and the mix-down makes one of them. libopus itself would return the
    mean of both, which is silence when they are in opposite phase. A stream may also change between mono and
    stereo.
    """

    def __init__(self) -> None:
        self._decoder = libopus.LibopusDecoder(channels=2)
        self._mixdown = MixDown(SAMPLE_RATE)

    def decode(self, payload: bytes) -> Float32Array:
        try:
            return self._mixdown.feed(self._decoder.decode(payload))
        except OpusError as error:
            raise DecodeError(str(error)) from error

    def repair(self, next_payload: bytes, samples: int) -> Float32Array:
        if not libopus.has_repair(next_payload):
            return NOTHING
        try:
            return self._mixdown.feed(self._decoder.repair(next_payload, samples))
        except OpusError:
            return NOTHING  # the copy cannot be decoded: the caller conceals instead

    def conceal(self, samples: int) -> Float32Array:
        try:
            if samples < libopus.STEP_SAMPLES:
                return NOTHING
            return self._mixdown.feed(self._decoder.conceal(samples))
        except OpusError:
            return NOTHING


class PyavOpusDecoder:
    """The fallback: FFmpeg decodes to 48 kHz and its resampler converts to 16 kHz. No repair, no concealment.

    It uses FFmpeg's libopus, as aiortc does: FFmpeg's own Opus decoder was measured wrong on packets of 40
    and 60 ms.
    """

    def __init__(self) -> None:
        context = av.CodecContext.create("libopus", "r")
        assert isinstance(context, av.AudioCodecContext)
        context.sample_rate, context.layout = libopus.RATE, "stereo"
        self._context = context
        self._mixdown = MixDown(libopus.RATE)
        self._resampler = _SteadyResampler(libopus.RATE)

    def decode(self, payload: bytes) -> Float32Array:
        try:
            frames = self._context.decode(av.Packet(payload)) if payload else []
        except av.FFmpegError as error:
            raise DecodeError(f"FFmpeg cannot read an Opus packet of {len(payload)} bytes") from error
        if not frames:
            raise DecodeError(f"an Opus packet of {len(payload)} bytes contains no audio")
        mono = [self._mixdown.feed(planes_of(frame)) for frame in frames]
        return self._resampler.feed(np.concatenate(mono))

    def repair(self, next_payload: bytes, samples: int) -> Float32Array:
        return NOTHING

    def conceal(self, samples: int) -> Float32Array:
        return NOTHING


class G711Decoder:
    """PCMU and PCMA: a table look-up, then 8 to 16 kHz. The resampler delays the audio by 2 ms."""

    def __init__(self, codec: Codec) -> None:
        self._table = g711_table(codec)
        self._resampler = _SteadyResampler(G711_RATE)

    def decode(self, payload: bytes) -> Float32Array:
        if not 0 < len(payload) <= G711_BYTES_MAX:
            raise DecodeError(f"a G.711 packet has {len(payload)} bytes; it must have 1 to {G711_BYTES_MAX}")
        return self._resampler.feed(self._table[np.frombuffer(payload, np.uint8)])

    def repair(self, next_payload: bytes, samples: int) -> Float32Array:
        return NOTHING

    def conceal(self, samples: int) -> Float32Array:
        return NOTHING


@cache
def g711_table(codec: Codec) -> Float32Array:
    """(256,) float32: the sample value of each byte of µ-law or A-law (ITU-T G.711)."""
    codes = np.arange(256, dtype=np.int32)
    if codec is Codec.PCMU:
        inverted = ~codes & 0xFF
        sign, exponent, mantissa = inverted & 0x80, (inverted >> 4) & 7, inverted & 0x0F
        size = ((mantissa << 3) + 0x84 << exponent) - 0x84
    else:
        toggled = codes ^ 0x55
        sign, exponent, mantissa = ~toggled & 0x80, (toggled >> 4) & 7, toggled & 0x0F
        size = np.where(
            exponent == 0, (mantissa << 4) + 8, (mantissa << 4) + 0x108 << np.maximum(exponent - 1, 0)
        )
    table: Float32Array = (np.where(sign != 0, -size, size) / 32768).astype(np.float32)
    table.setflags(write=False)
    return table


class _SteadyResampler:
    """FFmpeg's resampler with an output as long as its input. The price is a constant delay.

    The resampler alone holds back the first samples until more audio comes; then the sample counts would not
    agree with RTP time. So it is filled with silence first.
    """

    PRIMED_MS = {G711_RATE: 2, libopus.RATE: 1}  # how much it holds back, as measured; a test checks it

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
        self.feed(np.zeros(rate * self.PRIMED_MS[rate] // 1000, np.float32))

    def feed(self, samples: Float32Array) -> Float32Array:
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis, :], format="flt", layout="mono")
        frame.sample_rate, frame.time_base = self._rate, Fraction(1, self._rate)
        pieces = [out.to_ndarray()[0] for out in self._resampler.resample(frame)]
        out: Float32Array = np.concatenate(pieces) if pieces else NOTHING
        return np.clip(out, -1.0, 1.0)
