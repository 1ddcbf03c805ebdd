"""The last seconds of one channel's audio, read by sample position.

Owns a fixed buffer; what is older than its length is forgotten, what never came reads as silence. Invariant:
a sample read at position p is the one written for position p, or silence, never one of another position.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from host_stt.contract import Float32Array

PCM_SCALE = 32767


class AudioRing:
    """int16 inside: half the memory and half the wire, and no codec we take carries more."""

    def __init__(self, capacity_samples: int) -> None:
        self._buffer = np.zeros(capacity_samples, dtype=np.int16)
        self._end = 0
        self._start = 0

    @property
    def start_sample(self) -> int:
        """The oldest position still held."""
        return self._start

    @property
    def end_sample(self) -> int:
        return self._end

    def write(self, samples: Float32Array, start_sample: int) -> None:
        """Append (n,) float32 in [-1, 1]; start_sample never lies before the end of what was written."""
        if start_sample < self._end:
            raise ValueError(f"audio at sample {start_sample} comes after sample {self._end}")
        capacity = len(self._buffer)
        hole = start_sample - self._end
        if self._end == 0 or hole >= capacity:
            self._start = start_sample
        else:
            self._put(np.zeros(hole, dtype=np.int16), self._end)
        pcm = (np.clip(samples, -1.0, 1.0) * PCM_SCALE).astype(np.int16)[-capacity:]
        self._end = start_sample + len(samples)
        self._put(pcm, self._end - len(pcm))
        self._start = max(self._start, self._end - capacity)

    def read(self, start_sample: int, end_sample: int) -> tuple[int, NDArray[np.int16]]:
        """What is held of [start_sample, end_sample): the position of the first sample, and a copy."""
        start = min(max(start_sample, self._start), self._end)
        end = max(start, min(end_sample, self._end))
        at = start % len(self._buffer)
        first = self._buffer[at : at + end - start]
        rest = self._buffer[: end - start - len(first)]
        return start, np.concatenate((first, rest))

    def _put(self, pcm: NDArray[np.int16], at_sample: int) -> None:
        at = at_sample % len(self._buffer)
        first = len(self._buffer) - at
        self._buffer[at : at + len(pcm)] = pcm[:first]
        if len(pcm) > first:
            self._buffer[: len(pcm) - first] = pcm[first:]
