"""Speaks a phrase with a synthetic voice, and makes the audio worse: telephone, and radio with noise.

Needs `hibari-tts` (natural English voices) and the program `espeak-ng` (English and Korean). Audio is float32
mono at 16 kHz.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, resample_poly, sosfilt

from bench.mishearings.phrases import CALL_SIGNS, ENGLISH_DIGITS, LOAN_DIGITS
from host_stt_cli.glossary_lab.korean_sounds import english_sounds

Audio = NDArray[np.float32]
RATE = 16_000
PAD_S = 0.5
CONDITIONS = {
    "en": ("clean", "telephone", "radio 20 dB", "radio 10 dB", "radio 5 dB"),
    # base understands almost nothing of the Korean formant voice in more noise than this.
    "ko": ("clean", "clean", "telephone"),
}
VOICES = {
    "en": (*["hibari heart"] * 5, "espeak en-us+m3", "espeak en-gb", "espeak en-us+f2"),
    "ko": (*["hibari-sounds heart"] * 9, "hibari-mixed heart", "hibari-ko heart", "espeak ko"),
}


def speak(text: str, voice: str, speed: float) -> Audio:
    """The text, spoken, with half a second of silence on both sides. speed: 1.0 is the voice's usual one."""
    engine, name = voice.split(" ", 1)
    if engine == "espeak":
        audio, rate = _espeak(text, name, speed), 22_050
    elif engine == "hibari":
        audio, rate = _hibari()(text, speed=speed), 24_000
    else:
        phonemes = _PHONEMES[engine](text)
        audio, rate = _hibari().from_phonemes(phonemes, speed=speed), 24_000
    at_16k = resample_poly(np.asarray(audio, dtype=np.float64), RATE, rate)
    at_16k *= 0.5 / (np.abs(at_16k).max() + 1e-9)
    return np.pad(at_16k, round(PAD_S * RATE)).astype(np.float32)


def worsen(audio: Audio, condition: str, seed: int) -> Audio:
    """The audio as it sounds in one of CONDITIONS."""
    if condition == "clean":
        return audio
    band = butter(4, [300, 3400 if condition == "telephone" else 3000], "band", fs=RATE, output="sos")
    narrow = sosfilt(band, audio)
    if condition == "telephone":
        return _mu_law(narrow)
    decibels = float(condition.split()[1])
    clipped = np.tanh(3 * narrow / (np.abs(narrow).max() + 1e-9))
    noise = sosfilt(band, np.random.default_rng(seed).standard_normal(len(audio)))
    gain = np.sqrt((clipped**2).mean() / (noise**2).mean() / 10 ** (decibels / 10))
    mixed: Audio = (0.4 * (clipped + gain * noise)).astype(np.float32)
    return mixed


def _mu_law(audio: NDArray[np.float64]) -> Audio:
    """8 kHz and eight bits, as on a telephone line."""
    low = resample_poly(audio, 1, 2)
    low = np.clip(low / (np.abs(low).max() + 1e-9), -1, 1)
    coded = np.round(np.sign(low) * np.log1p(255 * np.abs(low)) / np.log(256) * 127) / 127
    decoded = np.sign(coded) * (256 ** np.abs(coded) - 1) / 255
    return np.asarray(0.5 * resample_poly(decoded, 2, 1), dtype=np.float32)


@cache
def _hibari() -> Any:
    from hibari import Hibari  # type: ignore[import-not-found]  # only here: it is not always installed

    return Hibari()


def _english_phonemes(korean: str) -> str:
    """The text in the nearest phonemes of the English voice, by espeak-ng's Korean pronunciation.

    base understands this Korean, with its English accent, better than the formant voice of espeak-ng.
    """
    if not korean.strip(" ,."):
        return korean.strip()
    command = ["espeak-ng", "-q", "-v", "ko", "--ipa", korean]
    spoken = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    phonemes = ", ".join(spoken.split("\n")).strip(", ")
    for korean_phoneme, english_phoneme in _NEAREST:
        phonemes = phonemes.replace(korean_phoneme, english_phoneme)
    return phonemes


def _with_signs(korean: str, others: Callable[[str], str]) -> str:
    """Call signs and their English numbers as an English speaker says them; `others` speaks the rest."""
    parts: list[str] = []
    at = 0
    for match in _SIGN.finditer(korean):
        parts += [others(korean[at : match.start()]), *map(_spoken, match.groups(""))]
        at = match.end()
    parts.append(others(korean[at:]))
    return " ".join(part for part in parts if part) + "."


def _spoken(hangul: str) -> str:
    (phonemes,) = _hibari().phonemize(_ENGLISH[hangul]) if hangul else ("",)
    return str(phonemes).rstrip(".")


_PHONEMES: dict[str, Callable[[str], str]] = {
    "hibari-ko": lambda text: _english_phonemes(text) + ".",
    "hibari-mixed": lambda text: _with_signs(text, _english_phonemes),
    "hibari-sounds": lambda text: _with_signs(text, english_sounds),
}
"""The ways in which the English voice speaks Korean."""
_LOANS = dict(zip(LOAN_DIGITS, ENGLISH_DIGITS, strict=True))
_ENGLISH = {korean: english for english, korean in CALL_SIGNS.items()} | _LOANS
_SIGN = re.compile(f"({'|'.join(CALL_SIGNS.values())})(?: ?({'|'.join(_LOANS)}))?")


_NEAREST = (
    *(("tʃh", "ʧ"), ("tɕh", "ʧ"), ("tɕ-", "ʤ"), ("tɕ", "ʤ"), ("dʑ", "ʤ"), ("ph", "p"), ("kh", "k")),
    *(("th", "t"), ("p-", "b"), ("t-", "t"), ("k-", "ɡ"), ("s-", "s"), ("ɐ", "ɑ"), ("ɫ", "l")),
    *(("ɯ", "ə"), ("o", "ɔ"), ("e", "ɛ"), ("q", "ɡ"), ("-", "")),
)
"""Korean sounds as espeak-ng writes them, and the nearest that the voice knows. The order matters."""


def _espeak(text: str, voice: str, speed: float) -> Audio:
    command = ["espeak-ng", "-v", voice, "-s", str(round(155 * speed)), "--stdout", text]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    samples: Audio = (np.frombuffer(raw[44:], "<i2") / 32768).astype(np.float32)
    return samples
