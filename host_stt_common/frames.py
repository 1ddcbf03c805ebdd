"""Convert PyAV frames of any sample format and layout to float32 arrays for the mix-down."""

from __future__ import annotations

import av
import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]

CHANNELS_MAX = 64


class FrameError(ValueError):
    """The frame cannot be mixed down or resampled; the text says why."""


def planes_of(frame: av.AudioFrame) -> Float32Array:
    """(channels, n) float32 in [-1, 1] of a packed or planar frame in any sample format of FFmpeg.

    NaN becomes 0. Raises FrameError for more channels than CHANNELS_MAX.
    """
    channels = frame.layout.nb_channels
    if not 1 <= channels <= CHANNELS_MAX:
        raise FrameError(f"a frame with {channels} channels; 1 to {CHANNELS_MAX} can be mixed down")
    raw = frame.to_ndarray()
    return as_float(raw if frame.format.is_planar else raw.reshape(-1, channels).T)


def as_float(samples: NDArray[np.generic]) -> Float32Array:
    """Convert integers of any width (unsigned: 8 bits) or floats to float32 in [-1, 1]."""
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - np.float32(128)) / np.float32(128)
    if np.issubdtype(samples.dtype, np.signedinteger):
        full_scale = 2.0 ** (8 * samples.dtype.itemsize - 1)
        return samples.astype(np.float32) * np.float32(1 / full_scale)
    floats: Float32Array = np.nan_to_num(samples.astype(np.float32), nan=0.0, posinf=1.0, neginf=-1.0)
    return np.clip(floats, -1.0, 1.0)
