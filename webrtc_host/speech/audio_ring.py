"""A buffer of the last seconds of one channel's audio, read by sample index.

Its size is fixed: older audio is dropped, and audio that never arrived reads as silence. Invariant: the
sample read at position p was written for position p, or it is silence.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from host_stt.contract import Float32Array

PCM_SCALE = 32767


class AudioRing:
    """Stores int16: half the memory and half the data to the engine; no accepted codec has more precision."""

    def __init__(self, capacity_samples: int) -> None:
        self._buffer = np.zeros(capacity_samples, dtype=np.int16)
        self._end = 0
        self._start = 0

    @property
    def start_sample(self) -> int:
        """The oldest position that is still in the buffer."""
        return self._start

    @property
    def end_sample(self) -> int:
        return self._end

    def write(self, samples: Float32Array, start_sample: int) -> None:
        """Append (n,) float32 in [-1, 1]. start_sample must not be before the end of the audio so far."""
        if start_sample < self._end:
            raise ValueError(f"audio at sample {start_sample} comes after sample {self._end}")
        capacity = len(self._buffer)
        gap = start_sample - self._end
        if self._end == 0 or gap >= capacity:
            self._start = start_sample
        else:
            self._put(np.zeros(gap, dtype=np.int16), self._end)
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
