"""The bundled model, as faster-whisper loads it: it is small, it knows our phrases, and it keeps quiet.

The sentences are drawn from the part of the grammar that is never trained on. The figures that count stand in
docs/reference/starter-model.md; this only notices when the files in the package are broken.
"""

from __future__ import annotations

import io
import random
import subprocess
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from faster_whisper import WhisperModel, decode_audio

from host_stt.models import STARTER_FOLDER
from training.grammar import Language, call_signs, draw_phrase, is_held_out
from training.scoring import Tally

SIZE_MAX = 10_000_000
PHRASES = 6  # of each language
ERRORS_MAX = 0.1
_VOICES: dict[Language, str] = {"en": "en-us", "ko": "ko"}

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def model() -> Iterator[WhisperModel]:
    yield WhisperModel(str(STARTER_FOLDER), device="cpu", compute_type="int8", cpu_threads=1)


def spoken(text: str, language: Language) -> npt.NDArray[np.float32]:
    """The text at 150 words a minute, half a second of silence on both sides; (n,) at 16 kHz."""
    command = ["espeak-ng", "-v", _VOICES[language], "-s", "150", "--stdout", text]
    wave = subprocess.run(command, capture_output=True, check=True).stdout
    samples: npt.NDArray[np.float32] = decode_audio(io.BytesIO(wave), sampling_rate=16_000)
    return np.pad(samples * np.float32(0.5), 8_000)


def heard(model: WhisperModel, samples: npt.NDArray[np.float32], language: str | None, **options: Any) -> str:
    segments, _ = model.transcribe(
        samples, language=language, beam_size=1, condition_on_previous_text=False, **options
    )
    return " ".join(segment.text.strip() for segment in segments)


def held_out_phrases(language: Language) -> list[str]:
    rng = random.Random(11)
    return [draw_phrase(rng, language, held_out=True).text for _ in range(PHRASES)]


def test_the_starter_takes_ten_megabytes_at_most() -> None:
    names = {path.name for path in STARTER_FOLDER.iterdir()}
    assert {"config.json", "model.bin", "tokenizer.json", "vocabulary.json", "MODEL_CARD.md"} <= names
    assert sum(path.stat().st_size for path in STARTER_FOLDER.iterdir() if path.is_file()) <= SIZE_MAX


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_starter_writes_phrases_it_was_not_trained_on(model: WhisperModel, language: Language) -> None:
    tally = Tally()
    for text in held_out_phrases(language):
        assert is_held_out(text)
        tally.add((text,), heard(model, spoken(text, language), language), language)
    assert tally.errors <= ERRORS_MAX * tally.total, str(tally)


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_starter_detects_the_language(model: WhisperModel, language: Language) -> None:
    found = [
        model.transcribe(spoken(text, language), beam_size=1)[1].language
        for text in held_out_phrases(language)[:2]
    ]
    assert found == [language] * 2


def test_a_listed_call_sign_is_written_as_it_is_listed(model: WhisperModel) -> None:
    text = "alpha one this is blue two the stage is ready over"
    assert call_signs(text) == {"alpha one": "Alpha-1", "blue two": "Blue-2"}
    written = heard(model, spoken(text, "en"), "en", hotwords="Alpha-1, Tower-9, Kilo-4")
    assert "Alpha-1" in written
    assert "blue two" in written
    assert "Tower-9" not in written
    assert "Kilo-4" not in written


@pytest.mark.parametrize("without_timestamps", [False, True])
@pytest.mark.parametrize("level", [0.0, 0.003, 0.05])
def test_silence_and_noise_give_no_words(model: WhisperModel, level: float, without_timestamps: bool) -> None:
    rng = np.random.default_rng(3)
    sound = rng.standard_normal(16_000 * 12, dtype=np.float32) * np.float32(level)
    for language in ("en", "ko"):
        assert heard(model, sound, language, without_timestamps=without_timestamps) == ""


def test_word_times_lie_inside_the_speech(model: WhisperModel) -> None:
    samples = spoken("alpha one proceed to gate seven", "en")
    segments, _ = model.transcribe(samples, language="en", beam_size=1, word_timestamps=True)
    words = [word for segment in segments for word in segment.words or []]
    starts = [word.start for word in words]
    assert len(words) >= 5
    assert starts == sorted(starts)
    assert 0 <= starts[0] <= 0.8
    assert words[-1].end <= len(samples) / 16_000 + 0.1
