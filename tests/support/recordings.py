"""Recordings for the tests of files: spoken phrases in a row, with silence between them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from host_stt.contract import SAMPLE_RATE, Float32Array
from tests.support.audio_files import encoded
from tests.support.speech import say, silence


@dataclass(frozen=True, slots=True)
class SpokenPhrase:
    text: str
    start_s: float
    end_s: float


def spoken_phrases(
    texts: list[str], language: str = "en", pause_s: float = 1.2, voice: str | None = None
) -> tuple[Float32Array, list[SpokenPhrase]]:
    """The spoken texts with pauses before, between and after them; and the times of each text."""
    row, said, at = [], [], 0
    for text in texts:
        quiet, speech = silence(pause_s), say(text, language, voice)
        start = at + len(quiet)
        at = start + len(speech)
        row += [quiet, speech]
        said.append(SpokenPhrase(text, start / SAMPLE_RATE, at / SAMPLE_RATE))
    return np.concatenate([*row, silence(pause_s)]), said


def wav(samples: Float32Array) -> bytes:
    return encoded(np.stack([samples]), SAMPLE_RATE)


def at_48k(samples: Float32Array) -> Float32Array:
    """Each sample three times: good enough for a codec that is then read at 16 kHz again."""
    return np.repeat(samples, 3)


def write_wav(path: Path, samples: Float32Array) -> Path:
    path.write_bytes(wav(samples))
    return path
