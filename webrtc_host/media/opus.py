"""Decoders of RTP payloads: every codec this server takes becomes 16 kHz mono float32 behind one Protocol.

Owns the choice (libopus by itself, PyAV where that fails its self-test, G.711) and each stream's decoder
state. Not the order of packets (`jitter.py`) and not their place (`timeline.py`).
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
"""200 ms; senders use 20 or 30."""
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
    """A payload that is no packet of its codec; costs that packet alone."""


class Decoder(Protocol):
    """One stream of one codec. All results are (n,) float32 in [-1, 1] at 16 kHz."""

    def decode(self, payload: bytes) -> Float32Array:
        """Raises DecodeError."""
        ...

    def repair(self, next_payload: bytes, samples: int) -> Float32Array:
        """The packet lost just before `next_payload`, when that carries a copy; else nothing."""
        ...

    def conceal(self, samples: int) -> Float32Array:
        """Up to `samples` of what may have stood there; nothing when this decoder cannot."""
        ...


def make_decoder(codec: Codec) -> Decoder:
    """A new decoder in its initial state."""
    if codec is not Codec.OPUS:
        return G711Decoder(codec)
    return OpusDecoder() if libopus_works() else PyavOpusDecoder()


@cache
def libopus_works() -> bool:
    """The start-up self-test, once per process: a tone survives coding, a lost packet its repair."""
    try:
        _test_libopus()
    except Exception as error:
        logger.warning("libopus cannot be used by itself (%s); PyAV decodes, lost packets are silence", error)
        return False
    logger.info("%s decodes straight to %d Hz", libopus.version(), SAMPLE_RATE)
    return True


def _test_libopus() -> None:
    frame = SAMPLE_RATE // 50
    tone = (0.3 * np.sin(2 * np.pi * 440 * np.arange(10 * frame) / SAMPLE_RATE)).astype(np.float32)
    encoder = libopus.OpusEncoder(with_repair=True, expected_loss_percent=20)
    packets = [encoder.encode(piece) for piece in tone.reshape(-1, frame)]
    decoder = OpusDecoder()
    heard = [decoder.decode(packet) for packet in packets[:7]]
    heard += [decoder.repair(packets[8], frame), decoder.decode(packets[8]), decoder.conceal(frame)]
    for number, piece in enumerate(heard):
        power = float(np.square(piece).mean()) if len(piece) else 0.0
        if len(piece) != frame or (number >= 3 and not 0.01 < power < 0.1):
            raise OpusError(
                f"packet {number} of a tone came out as {len(piece)} samples of power {power:.4f}"
            )


class OpusDecoder:
    """libopus straight to 16 kHz: half the work of decoding to 48 kHz and resampling.

    Always to two channels, whatever a packet holds: asked for one, libopus gives the mean of both, which is
    silence when they are in opposite phase; and a stream may change from mono to stereo and back.
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
            return NOTHING  # the copy cannot be read: the caller conceals instead

    def conceal(self, samples: int) -> Float32Array:
        try:
            if samples < libopus.STEP_SAMPLES:
                return NOTHING
            return self._mixdown.feed(self._decoder.conceal(samples))
        except OpusError:
            return NOTHING


class PyavOpusDecoder:
    """The fallback: FFmpeg decodes to 48 kHz, its resampler goes to 16 kHz. No repair, no concealment.

    Its libopus, as aiortc uses it: FFmpeg's own decoder was measured wrong on packets of 40 and 60 ms.
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
            raise DecodeError(f"an Opus packet of {len(payload)} bytes gave no sound")
        mono = [self._mixdown.feed(planes_of(frame)) for frame in frames]
        return self._resampler.feed(np.concatenate(mono))

    def repair(self, next_payload: bytes, samples: int) -> Float32Array:
        return NOTHING

    def conceal(self, samples: int) -> Float32Array:
        return NOTHING


class G711Decoder:
    """PCMU and PCMA: a table, then 8 to 16 kHz. The resampler delays the sound by 2 ms."""

    def __init__(self, codec: Codec) -> None:
        self._table = g711_table(codec)
        self._resampler = _SteadyResampler(G711_RATE)

    def decode(self, payload: bytes) -> Float32Array:
        if not 0 < len(payload) <= G711_BYTES_MAX:
            raise DecodeError(f"a G.711 packet of {len(payload)} bytes; 1 to {G711_BYTES_MAX} are read")
        return self._resampler.feed(self._table[np.frombuffer(payload, np.uint8)])

    def repair(self, next_payload: bytes, samples: int) -> Float32Array:
        return NOTHING

    def conceal(self, samples: int) -> Float32Array:
        return NOTHING


@cache
def g711_table(codec: Codec) -> Float32Array:
    """(256,) float32: what each byte of µ-law or A-law stands for (ITU-T G.711)."""
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
    """FFmpeg's resampler made to give as much as it takes, for the price of a constant delay.

    By itself it keeps the first samples back until more comes; RTP time would not agree with what it gave.
    """

    PRIMED_MS = {G711_RATE: 2, libopus.RATE: 1}  # what it keeps back, as measured; a test holds it

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
