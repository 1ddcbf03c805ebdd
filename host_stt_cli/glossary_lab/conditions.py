"""Conditions of a channel: clean, telephone, radio with noise. Pure; samples in, samples out.

Radio: 300 to 3000 Hz, soft clipping as of an overdriven transmitter, and noise in the same band. The signal
to noise ratio is that of the whole clip, with the silence at its ends.
"""

from __future__ import annotations

import numpy as np

from host_stt.contract import SAMPLE_RATE, Float32Array

PEAK = 0.5  # of every clip, so that the level does not decide
TELEPHONE_HZ = (300.0, 3400.0)
RADIO_HZ = (300.0, 3000.0)
RADIO_DRIVE = 3.0
"""Samples are clipped by tanh after they were raised to this multiple of full scale."""
CONDITIONS = ("clean", "telephone", "radio 20 dB", "radio 10 dB", "radio 5 dB", "radio 4 dB")


def in_condition(samples: Float32Array, condition: str, seed: int) -> Float32Array:
    """The clip as the channel carries it. samples: (n,) at 16 kHz. seed: of the noise.

    Raises ValueError for an unknown condition.
    """
    if condition not in CONDITIONS:
        raise ValueError(f"{condition!r} is not a condition; there are {', '.join(CONDITIONS)}")
    if condition == "clean":
        return _at_peak(samples)
    if condition == "telephone":
        return _at_peak(_mu_law(_at_peak(band(samples, *TELEPHONE_HZ))))
    return _at_peak(radio(samples, float(condition.split()[1]), seed))


def radio(samples: Float32Array, snr_db: float, seed: int) -> Float32Array:
    clipped = np.tanh(RADIO_DRIVE * _at_peak(band(samples, *RADIO_HZ)) / PEAK).astype(np.float32)
    noise = np.random.default_rng(seed).standard_normal(len(samples)).astype(np.float32)
    hiss = band(noise, *RADIO_HZ)
    power = float((clipped**2).mean())
    gain = np.sqrt(power / float((hiss**2).mean()) / 10 ** (snr_db / 10))
    noisy: Float32Array = (clipped + gain * hiss).astype(np.float32)
    return noisy


def band(samples: Float32Array, low_hz: float, high_hz: float) -> Float32Array:
    """Only these frequencies, with edges 100 Hz wide."""
    spectrum = np.fft.rfft(samples)
    hz = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)
    keep = np.clip((hz - low_hz) / 100 + 1, 0, 1) * np.clip((high_hz - hz) / 100 + 1, 0, 1)
    return np.fft.irfft(spectrum * keep, len(samples)).astype(np.float32)


def resampled(samples: Float32Array, rate: int) -> Float32Array:
    """samples: (n,) at `rate`. Returns them at 16 kHz."""
    if rate == SAMPLE_RATE:
        return samples.astype(np.float32)
    wanted = len(samples) * SAMPLE_RATE // rate
    spectrum = np.fft.rfft(samples)[: wanted // 2 + 1]
    return (np.fft.irfft(spectrum, wanted) * wanted / len(samples)).astype(np.float32)


def _mu_law(samples: Float32Array) -> Float32Array:
    """The rounding of G.711: 8 bits for each sample."""
    mu = 255.0
    squeezed = np.sign(samples) * np.log1p(mu * np.abs(samples)) / np.log1p(mu)
    rounded = np.round(squeezed * 127) / 127
    expanded: Float32Array = np.sign(rounded) * np.expm1(np.abs(rounded) * np.log1p(mu)) / mu
    return expanded.astype(np.float32)


def _at_peak(samples: Float32Array) -> Float32Array:
    peak = float(np.abs(samples).max()) if len(samples) else 0.0
    return (samples * (PEAK / peak)).astype(np.float32) if peak else samples.astype(np.float32)
