"""The level meter of a channel, in dBFS."""

from __future__ import annotations

import numpy as np
import pytest

from webrtc_host.seams import Block, BlockKind
from webrtc_host.session.level import FLOOR_DB, PERIOD_SAMPLES, Level, LevelMeter, decibels


def a_tone(samples: int, amplitude: float) -> np.ndarray:
    return (amplitude * np.sin(np.arange(samples) * 2 * np.pi / 32)).astype(np.float32)


def test_a_sine_has_its_peak_and_three_decibels_less_as_rms() -> None:
    meter = LevelMeter()
    meter.note(Block(0, a_tone(PERIOD_SAMPLES, 0.5)))
    assert meter.newest == Level(-9.0, -6.0, PERIOD_SAMPLES)


def test_a_period_is_complete_after_200_ms_of_blocks_of_any_length() -> None:
    meter = LevelMeter()
    for at in range(0, PERIOD_SAMPLES - 320, 320):
        meter.note(Block(at, a_tone(320, 0.1)))
        assert meter.newest is None
    meter.note(Block(PERIOD_SAMPLES - 320, a_tone(320, 1.0)))
    assert meter.newest is not None
    assert meter.newest.peak_db == pytest.approx(0.0, abs=0.1)


def test_lost_audio_has_no_level() -> None:
    meter = LevelMeter()
    meter.note(Block(0, np.zeros(PERIOD_SAMPLES, np.float32), BlockKind.LOST))
    assert meter.newest is None


def test_digital_silence_is_the_floor() -> None:
    meter = LevelMeter()
    meter.note(Block(0, np.zeros(PERIOD_SAMPLES, np.float32)))
    assert meter.newest == Level(FLOOR_DB, FLOOR_DB, PERIOD_SAMPLES)


@pytest.mark.parametrize(
    ("amplitude", "expected"), [(1.0, 0.0), (2.0, 0.0), (0.1, -20.0), (1e-9, FLOOR_DB), (0.0, FLOOR_DB)]
)
def test_decibels_stay_between_the_floor_and_full_scale(amplitude: float, expected: float) -> None:
    assert decibels(amplitude) == expected
