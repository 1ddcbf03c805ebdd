"""Generated audio without speech: noise, hum, tones, signals, clicks and digital silence.

Deterministic in its seed. What a radio or telephone line carries between words, at levels from -50 to
-6 dBFS over a bed of -80 to -60 dBFS, steady, in bursts and fading.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.speech.clips import NONSPEECH, Recording
from host_stt.contract import SAMPLE_RATE, Float32Array

PIECE_S = 60
Make = Callable[[np.random.Generator, int], Float32Array]
Shape = Make
"""How loud a noise is at each sample, 0 to 1."""


def noises(minutes: int, seed: int = 2026) -> list[Recording]:
    """One recording a minute, the kinds in turn."""
    kinds = list(KINDS.items())
    found: list[Recording] = []
    for number in range(minutes):
        name, make = kinds[number % len(kinds)]
        rng = np.random.default_rng([seed, number])
        raw = make(rng, PIECE_S * SAMPLE_RATE)
        samples = _levelled(raw, rng)
        found.append(Recording(Path(f"{name}-{number + 1}"), "", NONSPEECH, audio=samples))
    return found


def _levelled(samples: Float32Array, rng: np.random.Generator) -> Float32Array:
    """At a level of its own; steady, in bursts of 0.05 to 3 s, or swelling."""
    loudest = float(np.abs(samples).max())
    if loudest == 0.0:
        return samples
    level = 10 ** (rng.uniform(-50, -6) / 20)
    shapes: tuple[Shape, ...] = (_steady, _bursts, _swells)
    envelope = shapes[int(rng.integers(len(shapes)))](rng, len(samples))
    bed = rng.standard_normal(len(samples)) * 10 ** (rng.uniform(-80, -60) / 20)
    return np.clip(samples / loudest * level * envelope + bed, -1, 1).astype(np.float32)


def _steady(rng: np.random.Generator, n: int) -> Float32Array:
    return np.ones(n, np.float32)


def _bursts(rng: np.random.Generator, n: int) -> Float32Array:
    envelope = np.zeros(n)
    at = 0
    while at < n:
        length = round(rng.uniform(0.05, 3) * SAMPLE_RATE)
        envelope[at : at + length] = rng.uniform(0.3, 1)
        at += length + round(rng.uniform(0.1, 3) * SAMPLE_RATE)
    return envelope.astype(np.float32)


def _swells(rng: np.random.Generator, n: int) -> Float32Array:
    """Louder and softer up to eight times a second, as fading does; speech has four syllables in one."""
    t = _times(n)
    swing: Float32Array = np.sin(2 * np.pi * np.float32(rng.uniform(0.2, 8)) * t)
    return 0.5 + 0.5 * swing


# --- the kinds ------------------------------------------------------------------------------------------


def _times(n: int) -> Float32Array:
    return np.arange(n, dtype=np.float32) / np.float32(SAMPLE_RATE)


def _coloured(power: float) -> Make:
    """Noise whose level falls with the frequency to this power: 0 white, 0.5 pink, 1 brown."""

    def make(rng: np.random.Generator, n: int) -> Float32Array:
        spectrum = np.fft.rfft(rng.standard_normal(n))
        bins = np.maximum(1, np.arange(len(spectrum)))
        noise: Float32Array = np.fft.irfft(spectrum / bins**power, n).astype(np.float32)
        return noise

    return make


def _radio(rng: np.random.Generator, n: int) -> Float32Array:
    """Open squelch: noise of the telephone band."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    hertz = np.fft.rfftfreq(n, 1 / SAMPLE_RATE)
    return np.fft.irfft(spectrum * ((hertz > 300) & (hertz < 3000)), n).astype(np.float32)


def _hum(rng: np.random.Generator, n: int) -> Float32Array:
    """Mains hum of 50 or 60 Hz with its overtones."""
    base, t = float(rng.choice([50, 60])), _times(n)
    tones = [rng.uniform(0, 1) / k * np.sin(2 * np.pi * base * k * t) for k in range(1, 12)]
    hum: Float32Array = np.sum(tones, axis=0).astype(np.float32)
    return hum


def _tones(rng: np.random.Generator, n: int) -> Float32Array:
    """One to three steady tones at a time, for 0.1 to 2 s: dialling, ringing, signals."""
    out = np.zeros(n, np.float32)
    at = 0
    while at < n:
        length = min(n - at, round(rng.uniform(0.1, 2) * SAMPLE_RATE))
        for _ in range(int(rng.integers(1, 4))):
            out[at : at + length] += np.sin(2 * np.pi * rng.uniform(200, 3000) * _times(length))
        at += length + round(rng.uniform(0, 0.5) * SAMPLE_RATE)
    return out


def _sweeps(rng: np.random.Generator, n: int) -> Float32Array:
    """A tone that glides up and down, as a siren does."""
    t = _times(n)
    swing = rng.uniform(100, 600) * np.sin(2 * np.pi * rng.uniform(0.1, 4) * t)
    return np.sin(2 * np.pi * np.cumsum(rng.uniform(500, 1500) + swing) / SAMPLE_RATE).astype(np.float32)


def _data(rng: np.random.Generator, n: int) -> Float32Array:
    """Frequency-shift keying at 1200 and 1800 Hz, 1200 bits a second."""
    bits = np.repeat(rng.integers(0, 2, n // 13 + 1), 13)[:n]
    return np.sin(2 * np.pi * np.cumsum(1200 + 600 * bits) / SAMPLE_RATE).astype(np.float32)


def _clicks(rng: np.random.Generator, n: int) -> Float32Array:
    """Knocks and key clicks: decaying bursts of noise, up to eight a second."""
    out = np.zeros(n, np.float32)
    for at in rng.integers(0, n, round(n / SAMPLE_RATE * rng.uniform(0.5, 8))):
        length = min(n - int(at), round(rng.uniform(0.005, 0.2) * SAMPLE_RATE))
        decay = np.exp(-5 * np.arange(length) / length)
        out[at : at + length] += (rng.standard_normal(length) * decay).astype(np.float32)
    return out


def _buzz(rng: np.random.Generator, n: int) -> Float32Array:
    """A pulse train of 80 to 250 Hz, as motors and rotors make: the pitch of a voice without its vowels."""
    t = _times(n)
    pitch = rng.uniform(80, 250) * (1 + 0.05 * np.sin(2 * np.pi * rng.uniform(0.1, 3) * t))
    return np.sign(np.sin(2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE)).astype(np.float32)


def _silence(rng: np.random.Generator, n: int) -> Float32Array:
    return np.zeros(n, np.float32)


KINDS: dict[str, Make] = {
    "white noise": _coloured(0.0),
    "pink noise": _coloured(0.5),
    "brown noise": _coloured(1.0),
    "open squelch": _radio,
    "hum": _hum,
    "tones": _tones,
    "siren": _sweeps,
    "data burst": _data,
    "clicks": _clicks,
    "buzz": _buzz,
    "digital silence": _silence,
}
