"""Cuts a long recording into windows at its quietest places.

Pure. Invariant: the windows cover the recording without gap or overlap; each has at most `longest_samples`.
"""

from __future__ import annotations

import numpy as np

from host_stt.contract import SAMPLE_RATE, WINDOW_SAMPLES_MAX, Float32Array

HOP_SAMPLES = SAMPLE_RATE // 50
SMOOTH_HOPS = 10  # a pause between words lasts about 200 ms; silence inside a word is shorter


def cut_at_quiet(samples: Float32Array, longest_samples: int = WINDOW_SAMPLES_MAX) -> list[tuple[int, int]]:
    """[start, end) of each window, in samples. A cut lies in the last third of the longest window possible.

    samples: (n,) at 16 kHz.
    """
    cuts, start = [0], 0
    while len(samples) - start > longest_samples:
        earliest = start + longest_samples * 2 // 3
        start = earliest + _quietest(samples[earliest : start + longest_samples])
        cuts.append(start)
    return list(zip(cuts, [*cuts[1:], len(samples)], strict=True))


def _quietest(samples: Float32Array) -> int:
    """The middle of the quietest 200 ms; of several equal ones the last, so that windows are long."""
    hops = len(samples) // HOP_SAMPLES
    if hops <= SMOOTH_HOPS:
        return len(samples)
    power = np.square(samples[: hops * HOP_SAMPLES].reshape(hops, HOP_SAMPLES)).mean(axis=1, dtype=np.float64)
    smooth = np.convolve(power, np.ones(SMOOTH_HOPS), "valid")
    quietest = len(smooth) - 1 - int(smooth[::-1].argmin())
    return quietest * HOP_SAMPLES + SMOOTH_HOPS * HOP_SAMPLES // 2
