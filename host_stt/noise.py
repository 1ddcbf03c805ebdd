"""Noise: how loud steady noise is beside the speech of a window, and the window with less of it.

Pure numpy. A Wiener filter: the audio is split into short spectra, the noise of each frequency is taken from
the quietest of them, and each value is lowered by the share of noise that it most likely has. The share
follows from the value itself and from the spectrum before it, the "decision-directed" way of Ephraim and
Malah (1984), which leaves no musical tones. Helps against hiss, hum and fans; not against other voices or
single noises. Figures: docs/explanation/noise.md.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from host_stt.contract import SAMPLE_RATE, Float32Array

FRAME_SAMPLES = 512
"""32 ms: shorter than a sound of speech, long enough to part the harmonics of a voice."""
HOP_SAMPLES = 128
EDGE_FRAMES = FRAME_SAMPLES // HOP_SAMPLES
SHORTEST_SAMPLES = SAMPLE_RATE // 2
"""In less audio there is too little without speech to know the noise from."""
QUIET_SHARE = 0.1
"""The noise of a frequency is known from the value that this share of the spectra stays below."""
BAND_HZ = (190, 4000)
"""Where the noise is compared with the speech. Rumble below it disturbs no word."""
PREVIOUS_SHARE = 0.96
"""The share of the spectrum before in the estimate; the rest is from the value itself."""
GAIN_MIN = 10 ** (-25 / 20)
"""Noise is lowered by 25 dB at most. A filter that lowers it more cuts into the speech."""
NEIGHBOURS = 5
"""The noise of a frequency is the mean of so many frequencies around it, because noise is smooth."""
POWER_MIN = 1e-12

Spectra = NDArray[np.complex128]
"""(frames, FRAME_SAMPLES / 2 + 1)"""
Powers = NDArray[np.float64]

_WINDOW = np.hanning(FRAME_SAMPLES + 1)[:-1]


def signal_to_noise_db(samples: Float32Array) -> float:
    """Level of the whole audio over that of its steady noise, in dB, between 190 and 4000 Hz.

    samples: (n,) float32. Infinite for less than half a second, whose noise cannot be known, and for silence.
    """
    if len(samples) < SHORTEST_SAMPLES:
        return float("inf")
    powers = _powers(_spectra(samples))
    low, high = (hz * FRAME_SAMPLES // SAMPLE_RATE for hz in BAND_HZ)
    noise = float(_noise(powers)[low:high].sum())
    whole = float(powers[:, low:high].mean(axis=0).sum())
    return float("inf") if noise <= POWER_MIN or whole <= POWER_MIN else 10 * float(np.log10(whole / noise))


def with_less_noise(samples: Float32Array) -> Float32Array:
    """The audio with its steady noise lowered. samples: (n,) float32; returns as many.

    Less than half a second is returned as it is.
    """
    if len(samples) < SHORTEST_SAMPLES:
        return samples
    spectra = _spectra(samples)
    return _audio(spectra * _gains(_powers(spectra)), len(samples))


def _gains(powers: Powers) -> Powers:
    """By what each value of the spectra is multiplied: GAIN_MIN to 1."""
    over_noise = powers / np.maximum(_noise(powers), POWER_MIN)
    own = np.maximum(over_noise - 1, 0)
    gains = np.empty_like(powers)
    before = own[0]
    for frame, here in enumerate(own):
        # How much speech there is, as a multiple of the noise: mostly what was left of the spectrum before.
        speech = PREVIOUS_SHARE * before + (1 - PREVIOUS_SHARE) * here
        gain = np.maximum(speech / (1 + speech), GAIN_MIN)
        gains[frame] = gain
        before = gain * gain * over_noise[frame]
    return gains


def _noise(powers: Powers) -> Powers:
    """(frequencies,): power of the steady noise."""
    # Without the frames that begin before the audio or end behind it: they have zeros.
    quiet = np.quantile(powers[EDGE_FRAMES:-EDGE_FRAMES], QUIET_SHARE, axis=0)
    # The power of noise has an exponential distribution, so its mean follows from any of its quantiles.
    mean = quiet / -np.log(1 - QUIET_SHARE)
    around = np.pad(mean, NEIGHBOURS // 2, mode="edge")
    smooth: Powers = np.convolve(around, np.full(NEIGHBOURS, 1 / NEIGHBOURS), "valid")
    return smooth


def _powers(spectra: Spectra) -> Powers:
    return spectra.real**2 + spectra.imag**2


def _spectra(samples: Float32Array) -> Spectra:
    # A whole frame of zeros before and behind, so that each sample is in FRAME_SAMPLES / HOP_SAMPLES frames.
    behind = FRAME_SAMPLES + -len(samples) % HOP_SAMPLES
    padded = np.pad(samples.astype(np.float64), (FRAME_SAMPLES, behind))
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME_SAMPLES)[::HOP_SAMPLES]
    return np.fft.rfft(frames * _WINDOW, axis=1)


def _audio(spectra: Spectra, n: int) -> Float32Array:
    """The first n samples of the audio with these spectra: the inverse of `_spectra`."""
    frames = np.fft.irfft(spectra, axis=1) * _WINDOW
    hops = FRAME_SAMPLES // HOP_SAMPLES
    pieces = np.zeros((len(frames) + hops - 1, HOP_SAMPLES))
    weights = np.zeros_like(pieces)
    for hop in range(hops):
        part = slice(hop * HOP_SAMPLES, (hop + 1) * HOP_SAMPLES)
        pieces[hop : hop + len(frames)] += frames[:, part]
        weights[hop : hop + len(frames)] += _WINDOW[part] ** 2
    whole = pieces.ravel()[FRAME_SAMPLES : FRAME_SAMPLES + n]
    return (whole / weights.ravel()[FRAME_SAMPLES : FRAME_SAMPLES + n]).astype(np.float32)
