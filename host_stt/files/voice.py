"""Silero's speech detector, as included in faster-whisper, for samples that arrive in parts.

Quiet speech is raised first (`leveling`).
"""

from __future__ import annotations

import numpy as np
from faster_whisper.vad import get_vad_model

from host_stt.contract import Float32Array
from host_stt_common.cutting import FRAME
from host_stt_common.leveling import levelled

_CONTEXT = 32  # earlier frames that are repeated, because the model's state is reset at each call
_WARM_UP = 8
"""Frames of silence (256 ms) before the first samples. A model that starts inside speech finds less of it:
158.5 s in 50 Korean clips, and 160.7 s with silence before them (2026-11-29).
"""


class WindowDetector:
    """Probabilities of speech in one window, independent of earlier ones. Safe from several threads at
    once.
    """

    frame_samples = FRAME

    def __init__(self) -> None:
        self._model = get_vad_model()

    def probabilities(self, samples: Float32Array) -> Float32Array:
        """(k,) in [0, 1], one for each 512 samples of (n,); the last frame is filled with silence."""
        whole = np.pad(samples, (_WARM_UP * FRAME, -len(samples) % FRAME))
        return np.asarray(self._model(whole), np.float32).reshape(-1)[_WARM_UP : len(whole) // FRAME]


class Detector:
    """Probabilities of speech for samples that arrive in parts. Not safe from two threads at once."""

    def __init__(self) -> None:
        self._model = get_vad_model()
        self._before: Float32Array = np.zeros(_WARM_UP * FRAME, np.float32)

    def __call__(self, samples: Float32Array) -> Float32Array:
        """(k,) for (k * 512,) samples."""
        heard = np.concatenate([self._before, samples])
        skipped = len(self._before) // FRAME
        # A copy, made before the call: the model's code writes zeros into the end of its input.
        self._before = heard[max(0, len(heard) - _CONTEXT * FRAME) :].copy()
        probabilities: Float32Array = np.asarray(self._model(levelled(heard)), np.float32).reshape(-1)
        return probabilities[skipped : skipped + len(samples) // FRAME]
