"""Sounds that are not speech, as background or alone.

Everything is drawn from the random generator that is passed in, so a seed gives the same audio everywhere.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import signal

from training.synthesis import SAMPLE_RATE

Samples = npt.NDArray[np.float32]


def _full_scale(sound: npt.NDArray[np.floating[Any]]) -> Samples:
    scaled: Samples = (sound / (np.abs(sound).max() + 1e-9)).astype(np.float32)
    return scaled


def noise(rng: np.random.Generator, count: int) -> Samples:
    """Noise from white to brown: like hiss, air, or a distant motor."""
    white = rng.standard_normal(count, dtype=np.float32)
    colour = rng.uniform(0, 0.98) if rng.random() < 0.6 else 0.0
    coloured = signal.lfilter([1.0], [1.0, -colour], white)
    return _full_scale(coloured)


def hum(rng: np.random.Generator, count: int) -> Samples:
    """Mains hum: 50 or 60 Hz, a little off, with harmonics."""
    base, time = rng.choice([50.0, 60.0]) * rng.uniform(0.995, 1.005), np.arange(count) / SAMPLE_RATE
    sound = np.zeros(count)
    for harmonic in range(1, int(rng.integers(1, 16)) + 1):
        level = rng.uniform(0.2, 1) / harmonic ** rng.uniform(0, 1.5)
        sound += level * np.sin(2 * np.pi * base * harmonic * time + rng.uniform(0, 6.28))
    return _full_scale(sound)


def tones(rng: np.random.Generator, count: int) -> Samples:
    """Steady or keyed tones, two-tone calls, sweeps."""
    time, kind = np.arange(count) / SAMPLE_RATE, rng.random()
    low, high = rng.uniform(150, 3_500, 2)
    if kind < 0.35:
        sound = np.sin(2 * np.pi * low * time)
    elif kind < 0.6:
        sound = np.sin(2 * np.pi * low * time) + np.sin(2 * np.pi * high * time)
    elif kind < 0.8:
        sound = np.sin(
            2
            * np.pi
            * (low + (high - low) * 0.5 * (1 + np.sin(2 * np.pi * rng.uniform(0.1, 2) * time)))
            * time
        )
    else:
        alternating = np.where((time * rng.uniform(1, 6)).astype(int) % 2, low, high)
        sound = np.sin(2 * np.pi * np.cumsum(alternating) / SAMPLE_RATE)
    if rng.random() < 0.5:
        sound = sound * ((time * rng.uniform(0.5, 10)) % 1 < rng.uniform(0.1, 0.9))
    return _full_scale(sound)


def clicks(rng: np.random.Generator, count: int) -> Samples:
    """Clicks, knocks and key noise: short decaying bursts."""
    sound = np.zeros(count, np.float32)
    for start in rng.integers(0, count, int(count / SAMPLE_RATE * rng.uniform(0.3, 12)) + 1):
        length = int(rng.uniform(1, 1_600))
        burst = rng.standard_normal(length, dtype=np.float32) * np.exp(
            -np.arange(length) / (length * 0.2 + 1)
        )
        piece = sound[start : start + length]
        piece += burst[: len(piece)] * rng.uniform(0.2, 1)
    if rng.random() < 0.3:  # single samples, like a digital fault
        sound = (rng.random(count) < rng.uniform(1e-5, 1e-3)).astype(np.float32)
    return _full_scale(sound)


def music(rng: np.random.Generator, count: int) -> Samples:
    """Chords and a melody of decaying harmonic notes."""
    sound = np.zeros(count + SAMPLE_RATE)
    beat = int(SAMPLE_RATE * rng.uniform(0.15, 0.6))
    root = rng.uniform(80, 300)
    scale = np.array([0, 2, 4, 5, 7, 9, 11, 12, 14, 16])
    for start in range(0, count, beat):
        length = min(int(beat * rng.uniform(0.8, 2.5)), SAMPLE_RATE)
        time = np.arange(length) / SAMPLE_RATE
        for step in rng.choice(scale, int(rng.integers(1, 4))):
            pitch = root * 2 ** (step / 12)
            note = sum(np.sin(2 * np.pi * pitch * k * time) / k ** rng.uniform(0.8, 2) for k in range(1, 6))
            sound[start : start + length] += (
                note * np.exp(-time * rng.uniform(1, 8)) * np.minimum(1, time / 0.01)
            )
    return _full_scale(sound[:count])


def bursts(rng: np.random.Generator, count: int) -> Samples:
    """Noise that starts and stops: squelch tails, wind, breath."""
    edges = np.interp(np.arange(count), np.sort(rng.integers(0, count, 16)), rng.choice([0.0, 0.02, 1.0], 16))
    sound: Samples = (noise(rng, count) * edges).astype(np.float32)
    return sound


_KINDS = (noise, noise, hum, hum, tones, clicks, music, bursts)


class SoundBank:
    """Many sounds of half a minute, made once; pieces are cut from them."""

    SECONDS = 31
    SILENT = 6

    def __init__(self, seed: int, count: int = 96) -> None:
        rng = np.random.default_rng(seed)
        length = self.SECONDS * SAMPLE_RATE
        self._steady = [noise(rng, length) for _ in range(12)]
        self._sounds = [_KINDS[index % len(_KINDS)](rng, length) for index in range(count)]

    def background(self, rng: np.random.Generator, count: int) -> Samples:
        """Noise alone, peak 1."""
        return self._piece(rng, self._steady, count)

    def not_speech(self, rng: np.random.Generator, count: int) -> Samples:
        """Any sound without words, at any level down to digital silence."""
        if rng.random() < 0.2:
            return np.zeros(count, np.float32)
        sound = self._piece(rng, self._sounds, count) * _gain(rng.uniform(-60, 0))
        if rng.random() < 0.4:
            sound = sound + self._piece(rng, self._sounds, count) * _gain(rng.uniform(-60, -6))
        return sound

    def other(self, rng: np.random.Generator, count: int) -> Samples:
        """A sound to add to speech, peak 1."""
        return self._piece(rng, self._sounds, count)

    @staticmethod
    def _piece(rng: np.random.Generator, bank: list[Samples], count: int) -> Samples:
        sound = bank[int(rng.integers(len(bank)))]
        start = int(rng.integers(0, len(sound) - count + 1))
        return sound[start : start + count]


def _gain(decibels: float) -> np.float32:
    return np.float32(math.pow(10, decibels / 20))
