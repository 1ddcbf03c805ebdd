"""A language that was only detected from earlier speech is checked again in each longer window.

The Korean of these clips comes from a synthesizer for the starter model, and from a person for Whisper base:
HOST_STT_SPEECH_DIR names a folder with recordings, which are not part of the project.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from faster_whisper import decode_audio

from host_stt.config import Device, EngineConfig
from host_stt.contract import SAMPLE_RATE, Transcript, Window
from host_stt.engines.configured import load_whisper
from host_stt.engines.whisper import WhisperEngine
from host_stt.models import STARTER_FOLDER, ResolvedModel
from tests.support.server import ROOT
from tests.support.windows import window

pytestmark = [pytest.mark.model, pytest.mark.timeout(600)]
RECORDINGS = os.environ.get("HOST_STT_SPEECH_DIR", "")
KOREAN = ROOT / "demo" / "clips" / "ko.mp3"
ENGLISH = ROOT / "demo" / "clips" / "en.mp3"


def loaded(folder: Path) -> WhisperEngine:
    config = EngineConfig(model=str(folder), device=Device.CPU, beam_size_unsure=1)
    return load_whisper(config, ResolvedModel(folder, "test", "test"))


@pytest.fixture(scope="module")
def starter() -> WhisperEngine:
    return loaded(STARTER_FOLDER)


def read(engine: WhisperEngine, asked: Window) -> Transcript:
    (answer,) = engine.decode([asked])
    assert isinstance(answer, Transcript), answer
    return answer


def clip(path: Path, language: str, *, seconds: float = 30.0) -> Window:
    samples = decode_audio(str(path))[: round(seconds * SAMPLE_RATE)]
    return window(samples=samples, language=language, may_change_language=True)


def test_korean_after_english_is_written_in_korean(starter: WhisperEngine) -> None:
    asked = clip(KOREAN, "en")
    answer = read(starter, asked)
    assert (answer.language, answer.language_probability >= 0.9) == ("ko", True)
    assert answer.text == read(starter, replace(asked, language="ko", may_change_language=False)).text


def test_a_language_that_the_sender_gave_is_not_checked(starter: WhisperEngine) -> None:
    answer = read(starter, replace(clip(KOREAN, "en"), may_change_language=False))
    assert (answer.language, answer.language_probability) == ("en", 1.0)


def test_a_window_in_the_same_language_is_read_as_before(starter: WhisperEngine) -> None:
    asked = clip(ENGLISH, "en")
    assert read(starter, asked) == read(starter, replace(asked, may_change_language=False))


def test_a_short_window_keeps_its_language(starter: WhisperEngine) -> None:
    """A second of speech is often taken for a wrong language."""
    assert read(starter, clip(KOREAN, "en", seconds=1.9)).language == "en"


@pytest.mark.skipif(not RECORDINGS, reason="HOST_STT_SPEECH_DIR is not set: no recordings here")
def test_base_does_not_write_the_korean_of_a_person_in_english(base_model: Path) -> None:
    """Base translates it into fluent English, with a good log probability, where it is told English."""
    engine = loaded(base_model)
    answer = read(engine, clip(Path(RECORDINGS) / "real" / "ko" / "ko-read-air-a-00045.flac", "en"))
    assert answer.language == "ko" and "오늘은" in answer.text
    english = read(engine, clip(Path(RECORDINGS) / "jfk.flac", "en"))
    assert english.language == "en" and "country" in english.text
