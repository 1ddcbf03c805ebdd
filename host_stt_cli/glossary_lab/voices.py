"""Voices that speak the phrases of the lab: espeak-ng and hibari-tts, where they are installed.

hibari-tts (Apache-2.0) is a natural English voice. No free Korean voice with weights is in the package index
(2026-11-30), and espeak-ng's Korean voice is unreadable for Whisper base, so hibari also speaks Korean call
signs: with English sounds, as a foreigner would.
"""

from __future__ import annotations

import importlib
import io
import shutil
import subprocess
import wave
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from host_stt.contract import Float32Array
from host_stt_cli.errors import StartError
from host_stt_cli.glossary_lab.conditions import resampled
from host_stt_cli.glossary_lab.korean_sounds import english_sounds

HIBARI_RATE = 24_000
ESPEAK_ENGLISH = ("en-us+m3", "en-gb", "en-us+f2", "en-gb-scotland")
WORDS_PER_MINUTE = 155


@dataclass(frozen=True, slots=True)
class Voice:
    """name: `hibari`, or the name of an espeak-ng voice. speed: 1.0 is the voice's own."""

    name: str
    language: str
    speed: float = 1.0

    def speak(self, text: str) -> Float32Array:
        """(n,) float32 at 16 kHz. Raises StartError when the voice cannot speak."""
        return _hibari_speech(self, text) if self.name == "hibari" else _espeak_speech(self, text)


def voices(language: str) -> list[Voice]:
    """The voices of this machine for a language, natural ones first; empty when it has none."""
    found = [Voice("hibari", language, speed) for speed in (0.9, 1.0, 1.15)] if _hibari() else []
    if language == "en" and shutil.which("espeak-ng"):
        found += [Voice(name, language) for name in ESPEAK_ENGLISH]
    return found


@cache
def _hibari() -> Any:
    try:
        return importlib.import_module("hibari").Hibari()
    except ImportError:
        return None


def _hibari_speech(voice: Voice, text: str) -> Float32Array:
    if voice.language == "ko":
        return resampled(_hibari().from_phonemes(english_sounds(text) + ".", speed=voice.speed), HIBARI_RATE)
    return resampled(_hibari()(text, speed=voice.speed), HIBARI_RATE)


def _espeak_speech(voice: Voice, text: str) -> Float32Array:
    command = ["espeak-ng", "-v", voice.name, "-s", str(round(WORDS_PER_MINUTE * voice.speed)), "--stdout"]
    try:
        spoken = subprocess.run([*command, text], capture_output=True, check=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise StartError(f"espeak-ng cannot speak with the voice {voice.name}: {error}") from error
    with wave.open(io.BytesIO(spoken)) as file:
        rate = file.getframerate()
    # The header's length field is that of an endless stream, so the samples are read behind the header.
    samples = np.frombuffer(spoken[44:], "<i2").astype(np.float32) / np.float32(32768)
    return resampled(samples.astype(np.float32), rate)
