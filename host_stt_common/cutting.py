"""Cut a long recording at pauses into windows that a model can decode. Both ports use it.

Pure: samples in, windows out; the speech detector is passed in as a function (`voice`). Positions are samples
from the recording's start. Invariant: windows come in order, never overlap, are never longer than the limit,
and what is outside of them counts as silence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]
SAMPLE_RATE = 16_000
"""Hz, of the input."""

FRAME = 512
"""Samples per probability: Silero's own step at 16 kHz (32 ms)."""
ON, OFF = 0.35, 0.2
"""Thresholds for the start and the end of speech. Lower than Silero's 0.5, because the model in
faster-whisper 1.2 finds weak voices late (52 % of the frames of a clip, its successor 58 %), and an extra
window costs little.
"""
ROOM = 8  # frames of margin on both sides of speech: 256 ms
_QUIET = 5  # frames (160 ms) over which the quietest place is averaged

Probabilities = Callable[[Float32Array], Float32Array]


class CutLimits(Protocol):
    """The limits of a cut, in samples."""

    @property
    def window_samples(self) -> int:
        """The longest window."""
        ...

    @property
    def pause_samples(self) -> int:
        """A pause this long always ends a window."""
        ...


@dataclass(frozen=True, slots=True)
class Piece:
    """A range with speech. samples: (n,) float32; start_sample: position of samples[0] in the recording."""

    samples: Float32Array
    start_sample: int

    @property
    def end_sample(self) -> int:
        return self.start_sample + len(self.samples)


class Cutter:
    """Feed samples in order. A window is returned when its end is certain; `flush` returns the rest."""

    def __init__(self, limits: CutLimits, probabilities: Probabilities) -> None:
        self._longest = limits.window_samples // FRAME  # frames
        self._pause = max(1, limits.pause_samples // FRAME)
        self._probabilities = probabilities
        self._unheard: Float32Array = np.zeros(0, np.float32)
        self._samples: Float32Array = np.zeros(0, np.float32)  # whole frames with probabilities, not cut yet
        self._heard: Float32Array = np.zeros(0, np.float32)  # their probabilities
        self._first = 0  # frame number of the first of these frames

    @property
    def decided_sample(self) -> int:
        """Up to here, everything was returned in a window or is silence."""
        return self._first * FRAME

    def feed(self, samples: Float32Array) -> list[Piece]:
        self._unheard = np.concatenate([self._unheard, samples])
        whole = len(self._unheard) // FRAME * FRAME
        if whole < 4 * SAMPLE_RATE:
            return []
        self._hear(whole)
        return self._cut(is_end=False)

    def flush(self) -> list[Piece]:
        short = -len(self._unheard) % FRAME
        self._unheard = np.pad(self._unheard, (0, short))
        if len(self._unheard):
            self._hear(len(self._unheard))
        if short:
            self._samples = self._samples[: len(self._samples) - short]
        return self._cut(is_end=True)

    def _hear(self, n: int) -> None:
        new, self._unheard = self._unheard[:n], self._unheard[n:]
        self._samples = np.concatenate([self._samples, new])
        self._heard = np.concatenate([self._heard, self._probabilities(new)])

    def _cut(self, *, is_end: bool) -> list[Piece]:
        pieces: list[Piece] = []
        while len(self._heard):
            found = self._next(is_end)
            if found is None:
                break
            start, end, resume = found
            if end > start:
                samples = self._samples[start * FRAME : end * FRAME].copy()
                pieces.append(Piece(samples, (self._first + start) * FRAME))
            self._drop(resume)
        return pieces

    def _next(self, is_end: bool) -> tuple[int, int, int] | None:
        """(first frame, end, frame to continue from) of the next window; None if more audio is needed
        first.
        """
        loud = np.flatnonzero(self._heard >= ON)
        if not len(loud):
            # A word may begin in the last frames, so keep them until more audio is known.
            keep = 0 if is_end else min(ROOM, len(self._heard))
            resume = len(self._heard) - keep
            return (0, 0, resume) if resume else None
        start = max(0, int(loud[0]) - ROOM)
        limit = start + self._longest
        heard = self._heard[start : min(limit, len(self._heard))]
        spoken = np.flatnonzero(heard >= OFF) + start
        spoken = spoken[spoken >= loud[0]]
        pauses = np.flatnonzero(np.diff(spoken) > self._pause)
        if len(pauses):
            last = int(spoken[pauses[0]])
        else:
            last = int(spoken[-1])
            is_over = min(limit, len(self._heard)) - last > self._pause
            if not is_over and limit < len(self._heard):
                end = start + self._quietest(heard)
                return start, end, end
            if not is_over and not is_end:
                return None
        end = min(last + 1 + ROOM, len(self._heard), limit)
        return start, end, end

    def _quietest(self, heard: Float32Array) -> int:
        """The middle frame of the quietest part in the second half; the last one of several."""
        half = len(heard) // 2
        level = np.convolve(heard[half:], np.ones(_QUIET) / _QUIET, mode="valid")
        latest = len(level) - 1 - int(np.argmin(level[::-1]))
        return half + latest + _QUIET // 2

    def _drop(self, frames: int) -> None:
        self._samples = self._samples[frames * FRAME :]
        self._heard = self._heard[frames:]
        self._first += frames
