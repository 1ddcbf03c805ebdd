"""Find the loud parts of a window.

Pure numpy. Measures loudness, not speech: frames of 10 ms, compared with the loudest ones of the same window.
Positions are samples from the window's start.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from host_stt.contract import SAMPLE_RATE, Float32Array

FRAME_SAMPLES = SAMPLE_RATE // 100
PAUSE_FRAMES = 30
"""A word does not contain 300 ms of silence."""
# below the window's 99th percentile; 26 dB finds the word times of our recordings within 250 ms
_LOUD_DB = 28.0
_KEEP_FRAMES = 4  # kept around loud frames, because soft starts and ends are below the threshold
_LEVEL_FRAME = SAMPLE_RATE * 30 // 1000
_Frames = NDArray[np.bool_]


def loudest_dbfs(samples: Float32Array) -> float:
    """Level of the loudest 30 ms. samples: (n,) float32; -200 for no samples, or for digital silence."""
    if len(samples) < _LEVEL_FRAME:
        power = float(np.mean(np.square(samples))) if len(samples) else 0.0
    else:
        whole = len(samples) // _LEVEL_FRAME * _LEVEL_FRAME
        power = float(np.square(samples[:whole]).reshape(-1, _LEVEL_FRAME).mean(axis=1).max())
    return float(10 * np.log10(max(power, 1e-20)))


def loud_frames(samples: Float32Array) -> _Frames:
    """(n // 160,): True for each 10 ms frame that is loud for this window. samples: (n,) float32."""
    whole = len(samples) // FRAME_SAMPLES * FRAME_SAMPLES
    if not whole:
        return np.zeros(0, dtype=np.bool_)
    power = np.square(samples[:whole]).reshape(-1, FRAME_SAMPLES).mean(axis=1)
    level = 10 * np.log10(np.maximum(power, 1e-12))
    loud: _Frames = level > max(float(np.percentile(level, 99)) - _LOUD_DB, -90.0)
    return loud


def loud_range(
    start: int, end: int, loud: _Frames, pause_frames: int | None = PAUSE_FRAMES
) -> tuple[int, int]:
    """The longest loud part of [start, end) without a pause, and a little audio around it.

    pause_frames: length of a pause; None: pauses are allowed. Unchanged if no frame is loud.
    """
    first, last = start // FRAME_SAMPLES, -(-end // FRAME_SAMPLES)
    frames = np.flatnonzero(loud[first:last]) + first
    if not len(frames):
        return start, end
    if pause_frames is not None:
        runs = np.split(frames, np.flatnonzero(np.diff(frames) > pause_frames) + 1)
        frames = max(runs, key=len)
    return (
        max(start, (int(frames[0]) - _KEEP_FRAMES) * FRAME_SAMPLES),
        min(end, (int(frames[-1]) + 1 + _KEEP_FRAMES) * FRAME_SAMPLES),
    )
