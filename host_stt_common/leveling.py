"""Raise quiet speech to the level that speech detectors were trained on. Only for detection, not for
decoding.

Pure numpy. The gain follows the loudest 32 ms within two seconds before and after, so a quiet speaker between
loud ones is raised too. The gain is interpolated from frame to frame.
Invariant: the gain is never below 1, and digital silence stays silence.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]

FRAME = 512  # samples: 32 ms
REACH_FRAMES = 63  # two seconds to either side
TARGET = 0.05
"""RMS of the loudest frame, -26 dBFS: speech at a normal level. Silero begins to miss words below a peak of
-46 dBFS (measured with a recorded sentence at -52 dBFS: the first half of it was missed).
"""
GAIN_MAX = 100.0  # 40 dB
FLOOR = 1e-4
"""-80 dBFS RMS. A quieter signal is the noise of a converter; its gain is that of a signal at this level."""


def levelled(samples: Float32Array) -> Float32Array:
    """samples: (n,) float32. Returns (n,) float32 in [-1, 1]."""
    if not len(samples):
        return samples
    padded = np.pad(samples, (0, -len(samples) % FRAME))
    power = np.square(padded.reshape(-1, FRAME)).mean(axis=1, dtype=np.float64)
    reach = np.pad(np.sqrt(power), REACH_FRAMES)
    loudest = np.lib.stride_tricks.sliding_window_view(reach, 2 * REACH_FRAMES + 1).max(axis=1)
    gains = np.clip(TARGET / np.maximum(loudest, FLOOR), 1.0, GAIN_MAX)
    if (gains == 1.0).all():
        return samples
    middles = np.arange(len(gains)) * FRAME + FRAME / 2
    gain = np.interp(np.arange(len(samples)), middles, gains).astype(np.float32)
    raised: Float32Array = np.clip(samples * gain, -1.0, 1.0)
    return raised
