"""Resampling: decoded frames of any rate and layout become 16 kHz mono float32 with their media time.

Owns the filter state, the mix-down and their delay; nothing of the session's timeline. FFmpeg's resampler
makes up for its own delay: output sample k is the input at k / 16000 s, only 16 samples stay inside until
more comes (measured with an impulse; a test holds it). So positions stay true and `flush` returns the rest.
Invariant: the pieces of one run (no gap in media time, no change of format) are contiguous in media time.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from host_stt.contract import SAMPLE_RATE, Float32Array

MEDIA_RATE = 48_000
"""Ticks per second of the timestamps this module hands on: RTP time of Opus."""
STEP_TICKS = MEDIA_RATE // 1000
"""A smaller step of media time is rounding of a container's time base, not a gap."""
RATE_MIN, RATE_MAX = 4_000, 384_000
CHANNELS_MAX = 64


@dataclass(frozen=True, slots=True)
class Piece:
    """samples: (n,) float32 in [-1, 1] at 16 kHz; timestamp: of samples[0], in ticks of MEDIA_RATE."""

    timestamp: int
    samples: Float32Array


class FrameError(ValueError):
    """A frame that cannot be mixed down or resampled; the text says why."""


class Resampler:
    """One stream. Frames may change rate, layout and sample format on the way."""

    def __init__(self) -> None:
        self._mixdown = MixDown()
        self._rate = 0
        self._resampler: av.AudioResampler | None = None
        self._run_start = 0  # timestamp of the first frame of this run
        self._fed = 0  # samples of this run at the input rate
        self._emitted = 0  # and at 16 kHz

    def feed(self, frame: av.AudioFrame) -> list[Piece]:
        """Take the next frame. A frame without pts follows the one before it.

        Raises FrameError when its rate or layout is out of bounds.
        """
        rate = frame.sample_rate
        if not RATE_MIN <= rate <= RATE_MAX:
            raise FrameError(f"a sample rate of {rate} Hz is outside {RATE_MIN} to {RATE_MAX} Hz")
        expected = self._run_start + self._fed * MEDIA_RATE // (self._rate or rate)
        timestamp = expected if frame.pts is None else _ticks(frame.pts, frame.time_base, rate)
        pieces: list[Piece] = []
        if self._resampler is None or rate != self._rate or abs(timestamp - expected) > STEP_TICKS:
            pieces = self.flush()
            self._begin(rate, timestamp)
        samples = self._mixdown.feed(planes_of(frame))
        self._fed += len(samples)
        return pieces + self._through(_mono_frame(samples, rate))

    def flush(self) -> list[Piece]:
        """The end of a run: what the filter still holds."""
        if self._resampler is None:
            return []
        pieces = self._through(None)
        self._resampler = None
        return pieces

    def _begin(self, rate: int, timestamp: int) -> None:
        self._resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
        self._rate, self._run_start = rate, timestamp
        self._fed = self._emitted = 0

    def _through(self, frame: av.AudioFrame | None) -> list[Piece]:
        assert self._resampler is not None
        pieces: list[Piece] = []
        for out in self._resampler.resample(frame):
            samples = out.to_ndarray()[0]
            if len(samples):
                np.minimum(np.maximum(samples, -1.0, out=samples), 1.0, out=samples)
                at = self._run_start + self._emitted * MEDIA_RATE // SAMPLE_RATE
                pieces.append(Piece(at, samples))
                self._emitted += len(samples)
        return pieces


def _ticks(pts: int, time_base: Fraction | None, rate: int) -> int:
    base = time_base or Fraction(1, rate)
    return pts * base.numerator * MEDIA_RATE // base.denominator


def _mono_frame(samples: Float32Array, rate: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(samples[np.newaxis, :], format="flt", layout="mono")
    frame.sample_rate = rate
    frame.time_base = Fraction(1, rate)
    return frame


def planes_of(frame: av.AudioFrame) -> Float32Array:
    """(channels, n) float32 in [-1, 1] of a packed or planar frame in any sample format of FFmpeg's.

    Two sides that are the same come out as one.
    """
    channels = frame.layout.nb_channels
    if not 1 <= channels <= CHANNELS_MAX:
        raise FrameError(f"a frame with {channels} channels; 1 to {CHANNELS_MAX} can be mixed down")
    raw = frame.to_ndarray()
    planes = raw if frame.format.is_planar else raw.reshape(-1, channels).T
    if channels == 2 and np.array_equal(planes[0], planes[1]):
        planes = planes[:1]  # mono sound in a stereo frame, as aiortc decodes it: half the work
    return _as_float(planes)


def _as_float(planes: NDArray[np.generic]) -> Float32Array:
    if planes.dtype == np.uint8:
        return (planes.astype(np.float32) - np.float32(128)) / np.float32(128)
    if np.issubdtype(planes.dtype, np.signedinteger):
        full_scale = 2.0 ** (8 * planes.dtype.itemsize - 1)
        return planes.astype(np.float32) * np.float32(1 / full_scale)
    return np.nan_to_num(planes.astype(np.float32), nan=0.0, posinf=1.0, neginf=-1.0)


class MixDown:
    """Many channels to one: their mean, unless they cancel; then the loudest alone.

    A stereo cable wired in anti-phase has a mean of exactly nothing, a single live side one of half its size;
    both are taken from the louder side. Powers are smoothed over about half a second and the way back needs a
    clearer case, so that speech does not switch sides word by word.
    """

    CANCELS_BELOW = 0.3  # power of the mean against the loudest: 0 anti-phase, 0.25 one side only,
    AGREES_ABOVE = 0.4  # 0.5 two unrelated sides, 1 the same on both
    SMOOTHING_SAMPLES = 24_000

    def __init__(self) -> None:
        self._powers: NDArray[np.float64] = np.zeros(0)
        self._mean_power = 0.0
        self._is_single = False

    def feed(self, planes: Float32Array) -> Float32Array:
        """planes: (channels, n). Returns (n,)."""
        if len(planes) == 1:
            return np.ascontiguousarray(planes[0])
        mean = planes.mean(axis=0, dtype=np.float32)
        if len(self._powers) != len(planes):
            self._powers, self._mean_power, self._is_single = np.zeros(len(planes)), 0.0, False
        self._learn(planes, mean)
        loudest = float(self._powers.max())
        if loudest > 0.0:
            limit = self.AGREES_ABOVE if self._is_single else self.CANCELS_BELOW
            self._is_single = self._mean_power < limit * loudest
        return np.ascontiguousarray(planes[int(self._powers.argmax())]) if self._is_single else mean

    def _learn(self, planes: Float32Array, mean: Float32Array) -> None:
        share = min(1.0, planes.shape[1] / self.SMOOTHING_SAMPLES)
        if not self._powers.any():
            share = 1.0
        self._powers += share * (np.square(planes).mean(axis=1, dtype=np.float64) - self._powers)
        self._mean_power += share * (float(np.square(mean).mean(dtype=np.float64)) - self._mean_power)
