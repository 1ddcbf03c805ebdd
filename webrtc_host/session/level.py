"""The loudness of a channel's newest audio, for the meters of the pages.

Pure. Audio is measured in periods of 200 ms of audio; a reader gets the last complete period, so each reader
gets the same value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from host_stt.contract import Float32Array
from webrtc_host.seams import SAMPLES_PER_MS, Block, BlockKind

PERIOD_SAMPLES = 200 * SAMPLES_PER_MS
FLOOR_DB = -90.0
"""Digital silence, and everything below it."""


@dataclass(frozen=True, slots=True)
class Level:
    """rms_db, peak_db: dBFS, from FLOOR_DB to 0. end_sample: end of the measured period on the timeline."""

    rms_db: float
    peak_db: float
    end_sample: int


class LevelMeter:
    def __init__(self) -> None:
        self._parts: list[Float32Array] = []
        self._samples = 0
        self._newest: Level | None = None

    @property
    def newest(self) -> Level | None:
        """None: no complete period yet."""
        return self._newest

    def note(self, block: Block) -> None:
        """Measure a block. Audio that was lost or paused has no level, so it is not measured."""
        if block.kind is not BlockKind.AUDIO:
            return
        self._parts.append(block.samples)
        self._samples += len(block.samples)
        if self._samples >= PERIOD_SAMPLES:
            # Once for each period: numpy frees the interpreter lock for each of these three calculations, and
            # the event loop then waits until another thread gives the lock back.
            audio = np.concatenate(self._parts)
            rms = math.sqrt(float(np.dot(audio, audio)) / self._samples)
            peak = max(float(audio.max()), -float(audio.min()))
            self._newest = Level(decibels(rms), decibels(peak), block.end_sample)
            self._parts, self._samples = [], 0


def decibels(amplitude: float) -> float:
    """amplitude: 0 to 1. Returns dBFS, at least FLOOR_DB, with one decimal."""
    if amplitude <= 0:
        return FLOOR_DB
    return round(min(0.0, max(FLOOR_DB, 20 * math.log10(amplitude))), 1)
