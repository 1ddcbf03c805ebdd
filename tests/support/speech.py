"""Speech for tests, made by espeak-ng at test time and cached for the test run; no recorded voice is used.

It replaces a microphone. `say` returns float32 samples at 16 kHz; `say_words` adds the true position of
each word.
"""

from __future__ import annotations

import io
import subprocess
import wave
from dataclasses import dataclass
from functools import cache

import numpy as np

from host_stt.contract import SAMPLE_RATE, Float32Array

VOICES = {"en": "en-gb", "ko": "ko"}
"""espeak-ng's voice per language."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """Samples, and each word with its first and last sample in them."""

    samples: Float32Array
    words: tuple[tuple[str, int, int], ...]


def say(text: str, lang: str = "en", voice: str | None = None, wpm: int = 150) -> Float32Array:
    """(n,) float32 at 16 kHz: `text` spoken, without silence at the ends. A fresh copy; cached per
    session.
    """
    return _log_limited(text, voice or VOICES[lang], wpm).copy()


def say_words(
    text: str, lang: str = "en", voice: str | None = None, wpm: int = 150, pause_ms: int = 120
) -> Spoken:
    """`text` spoken word by word with pauses, so that the true times are known to the sample."""
    pieces: list[Float32Array] = []
    words: list[tuple[str, int, int]] = []
    at = 0
    for word in text.split():
        spoken = say(word, lang, voice, wpm)
        words.append((word, at, at + len(spoken)))
        pieces += [spoken, np.zeros(pause_ms * SAMPLE_RATE // 1000, np.float32)]
        at += len(pieces[-2]) + len(pieces[-1])
    return Spoken(np.concatenate(pieces[:-1]), tuple(words))


def silence(seconds: float) -> Float32Array:
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


def padded(samples: Float32Array, before_s: float = 0.5, after_s: float = 0.5) -> Float32Array:
    """The samples with silence around them."""
    return np.concatenate([silence(before_s), samples, silence(after_s)])


@cache
def _log_limited(text: str, voice: str, wpm: int) -> Float32Array:
    spoken = subprocess.run(
        ["espeak-ng", "-v", voice, "-s", str(wpm), "--stdout", "--", text],
        check=True,
        capture_output=True,
        timeout=60,
    )
    with wave.open(io.BytesIO(spoken.stdout)) as file:
        rate, width, channels = file.getframerate(), file.getsampwidth(), file.getnchannels()
        # On stdout the length in the header is a placeholder: read all bytes.
        data = file.readframes(len(spoken.stdout))
    if (width, channels) != (2, 1):
        raise RuntimeError(f"espeak-ng gave {channels} channels of {width} bytes, not one of 2")
    samples = np.frombuffer(data[: len(data) // 2 * 2], np.int16).astype(np.float32) / np.float32(32768)
    return _trimmed(_resampled(samples, rate))


def _resampled(samples: Float32Array, rate: int) -> Float32Array:
    """To 16 kHz by dropping the bins above 8 kHz of one long Fourier transform: exact, and slow only
    on long clips.
    """
    n = round(len(samples) * SAMPLE_RATE / rate)
    spectrum = np.fft.rfft(samples)
    bins = n // 2 + 1
    spectrum = spectrum[:bins] if len(spectrum) >= bins else np.pad(spectrum, (0, bins - len(spectrum)))
    return (np.fft.irfft(spectrum, n) * (n / len(samples))).astype(np.float32)


def _trimmed(samples: Float32Array) -> Float32Array:
    loud = np.flatnonzero(np.abs(samples) > 0.005)
    return samples[loud[0] : loud[-1] + 1] if len(loud) else samples
