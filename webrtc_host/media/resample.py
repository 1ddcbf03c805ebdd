"""Resampling: turns decoded frames of any rate and layout into 16 kHz mono float32 with their media time.

This module holds the filter state and its delay. The mix-down (`host_stt_common.mixdown`) adds no delay, and
the session's timeline is not known here. FFmpeg's resampler compensates its own delay: output sample k is the
input at k / 16000 s. Only 16 samples stay inside until more audio comes (measured with an impulse; a test
checks it). So positions are exact, and `flush` returns the rest.
Invariant: the pieces of one run (no gap in media time, no change of format) are contiguous in media time.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np

from host_stt.contract import SAMPLE_RATE, Float32Array
from host_stt_common.frames import FrameError, planes_of
from host_stt_common.mixdown import MixDown

MEDIA_RATE = 48_000
"""Ticks per second of the timestamps that this module returns: RTP time of Opus."""
STEP_TICKS = MEDIA_RATE // 1000
"""A smaller step of media time is a rounding error of a container's time base, not a gap."""
RATE_MIN, RATE_MAX = 4_000, 384_000


@dataclass(frozen=True, slots=True)
class Piece:
    """samples: (n,) float32 in [-1, 1] at 16 kHz; timestamp: of samples[0], in ticks of MEDIA_RATE."""

    timestamp: int
    samples: Float32Array


class Resampler:
    """The resampler of one stream. Frames may change their rate, layout and sample format."""

    def __init__(self) -> None:
        self._mixdown: MixDown | None = None
        self._rate = 0
        self._resampler: av.AudioResampler | None = None
        self._run_start = 0  # timestamp of the first frame of this run
        self._fed = 0  # input samples of this run
        self._emitted = 0  # output samples of this run, at 16 kHz

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
        assert self._mixdown is not None
        samples = self._mixdown.feed(planes_of(frame))
        self._fed += len(samples)
        return pieces + self._resample(_mono_frame(samples, rate))

    def flush(self) -> list[Piece]:
        """End of a run: the samples that the filter still holds."""
        if self._resampler is None:
            return []
        pieces = self._resample(None)
        self._resampler = None
        return pieces

    def _begin(self, rate: int, timestamp: int) -> None:
        self._resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
        # After a gap, the mix-down keeps what it learnt about the channels
        if self._mixdown is None or rate != self._rate:
            self._mixdown = MixDown(rate)
        self._rate, self._run_start = rate, timestamp
        self._fed = self._emitted = 0

    def _resample(self, frame: av.AudioFrame | None) -> list[Piece]:
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
