from __future__ import annotations

import numpy as np
import pytest

from host_stt.contract import Float32Array
from host_stt.noise import SHORTEST_SAMPLES, signal_to_noise_db, with_less_noise
from tests.support.speech import padded, say

RATE = 16_000


def hiss(n: int, level: float, seed: int = 1) -> Float32Array:
    return (level * np.random.default_rng(seed).standard_normal(n)).astype(np.float32)


def spoken() -> Float32Array:
    """A phrase with half a second of silence at both ends."""
    return padded(say("alpha one proceed to gate seven"), 0.5, 0.5)


def decibels(samples: Float32Array) -> float:
    return 20 * float(np.log10(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))))


def with_hiss(samples: Float32Array, snr_db: float) -> Float32Array:
    level = float(np.sqrt(np.mean(np.square(samples)))) / 10 ** (snr_db / 20)
    return samples + hiss(len(samples), level)


@pytest.mark.parametrize("n", [SHORTEST_SAMPLES, 20_011, 5 * RATE, 30 * RATE])
def test_steady_noise_is_lowered_by_about_twenty_decibels(n: int) -> None:
    noise = hiss(n, 0.05)
    quieter = with_less_noise(noise)
    assert quieter.shape == noise.shape and quieter.dtype == np.float32
    assert -26 < decibels(quieter) - decibels(noise) < -15


def test_speech_in_noise_comes_closer_to_the_speech_alone() -> None:
    speech = spoken()
    for snr_db in (0.0, 5.0, 10.0):
        noisy = with_hiss(speech, snr_db)
        left = decibels(with_less_noise(noisy) - speech)
        assert left < decibels(noisy - speech) - 3, f"at {snr_db} dB"


def test_speech_without_noise_stays() -> None:
    speech = spoken()
    assert decibels(with_less_noise(speech) - speech) < decibels(speech) - 20


def test_less_than_half_a_second_and_silence_stay_as_they_are() -> None:
    short = hiss(SHORTEST_SAMPLES - 1, 0.1)
    assert np.array_equal(with_less_noise(short), short)
    silence = np.zeros(RATE, np.float32)
    assert np.array_equal(with_less_noise(silence), silence)
    assert signal_to_noise_db(short) == signal_to_noise_db(silence) == np.inf


@pytest.mark.parametrize("level", [1e-4, 1.0])
def test_the_distance_to_the_noise_does_not_depend_on_the_loudness(level: float) -> None:
    speech = spoken()
    found = [signal_to_noise_db((level * with_hiss(speech, db)).astype(np.float32)) for db in (30, 20, 10, 0)]
    assert found == sorted(found, reverse=True)
    assert found[2] == pytest.approx(10, abs=4) and found[3] == pytest.approx(2, abs=3)
