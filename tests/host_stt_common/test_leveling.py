"""Quiet speech is raised for the detector; loud speech, noise and silence are left alone."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from host_stt_common.leveling import FRAME, TARGET, levelled

S = 16_000


def tone(dbfs: float, seconds: float = 5) -> NDArray[np.float32]:
    wave: NDArray[np.float32] = np.sin(np.arange(round(seconds * S)) * 0.17).astype(np.float32)
    return wave * np.float32(10 ** (dbfs / 20))


def rms(samples: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.square(samples).mean()))


@pytest.mark.parametrize("dbfs", [-40, -52, -60])
def test_quiet_audio_is_raised_to_the_target(dbfs: float) -> None:
    assert rms(levelled(tone(dbfs))) == pytest.approx(TARGET, rel=0.05)


def test_loud_audio_and_silence_do_not_change() -> None:
    for samples in (tone(-6), np.zeros(5 * S, np.float32), np.zeros(0, np.float32)):
        assert np.array_equal(levelled(samples), samples)


def test_a_quiet_speaker_between_loud_ones_is_raised() -> None:
    out = levelled(np.concatenate((tone(-10), tone(-52, 8), tone(-10))))
    assert rms(out[8 * S : 10 * S]) == pytest.approx(TARGET, rel=0.1)
    assert np.abs(out).max() <= 1


def test_the_noise_of_a_converter_stays_quiet() -> None:
    noise = np.random.default_rng(0).normal(0, 1e-5, 5 * S).astype(np.float32)
    assert rms(levelled(noise)) < 0.1 * TARGET


@pytest.mark.parametrize("n", [1, FRAME - 1, FRAME, FRAME + 1, 4 * S + 7])
def test_the_number_of_samples_does_not_change(n: int) -> None:
    assert len(levelled(np.full(n, 1e-3, np.float32))) == n
