"""The engine translates: which models can, what reaches the model, and the real Whisper base.

Base does not understand a synthesizer's Korean, so here it only has to write English. Recorded people are not
part of the project: HOST_STT_SPEECH_DIR names their folder.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from faster_whisper import decode_audio

from bench import random_model
from host_stt.config import Device, EngineConfig
from host_stt.contract import (
    SAMPLE_RATE,
    ContractError,
    Float32Array,
    Task,
    Transcript,
    Window,
    WindowError,
)
from host_stt.engines.configured import load_whisper
from host_stt.engines.layers import has_shallow_decoder
from host_stt.engines.loading import load
from host_stt.engines.whisper import WhisperEngine
from host_stt.models import STARTER_FOLDER, ResolvedModel
from tests.support.server import ROOT
from tests.support.windows import window

pytestmark = [pytest.mark.model, pytest.mark.timeout(600)]
RECORDINGS = os.environ.get("HOST_STT_SPEECH_DIR", "")
COFFEE = "ko-read-dan-a-00067"
KOREAN = ROOT / "demo" / "clips" / "ko.mp3"


@pytest.fixture(scope="module")
def base(base_model: Path) -> WhisperEngine:
    """Loaded as the server loads it, but without a wider search of unsure texts, which all are here."""
    config = EngineConfig(model=str(base_model), device=Device.CPU, beam_size_unsure=1)
    return load_whisper(config, ResolvedModel(base_model, "base", "test"))


def decoded(engine: WhisperEngine, windows: Sequence[Window]) -> list[Transcript]:
    answers = engine.decode(windows)
    assert all(isinstance(answer, Transcript) for answer in answers), answers
    return [answer for answer in answers if isinstance(answer, Transcript)]


def is_hangul(text: str) -> bool:
    return any("가" <= letter <= "힣" for letter in text)


def test_one_call_translates_one_window_and_transcribes_the_other_as_if_it_were_alone(
    base: WhisperEngine,
) -> None:
    assert base.can_translate
    samples: Float32Array = decode_audio(str(KOREAN))[: 5 * SAMPLE_RATE // 2]
    told = window(samples=samples, language="ko")
    (alone,) = decoded(base, [told])
    translated, transcribed = decoded(base, [replace(told, id="w2", task=Task.TRANSLATE), told])
    assert transcribed == alone and is_hangul(alone.text)
    assert translated.text.isascii() and translated.words and translated.language == "ko"


@pytest.mark.skipif(not RECORDINGS, reason="HOST_STT_SPEECH_DIR is not set: no recordings here")
def test_base_finds_the_language_of_a_person_and_writes_english(base: WhisperEngine) -> None:
    samples = decode_audio(str(Path(RECORDINGS) / "real" / "ko" / f"{COFFEE}.flac"))
    (answer,) = decoded(base, [window(samples=samples, task=Task.TRANSLATE)])
    assert (answer.language, answer.language_probability > 0.9) == ("ko", True)
    assert "cup of coffee" in answer.text and not is_hangul(answer.text)


def test_the_starter_model_cannot_translate() -> None:
    model = ResolvedModel(STARTER_FOLDER, "starter", "test", is_starter=True)
    engine = load_whisper(EngineConfig(device=Device.CPU), model)
    samples = decode_audio(str(KOREAN))
    asked = window(samples=samples, language="ko", task=Task.TRANSLATE)
    refused, answer = engine.decode([asked, replace(asked, task=Task.TRANSCRIBE)])
    assert isinstance(refused, WindowError) and isinstance(answer, Transcript)
    assert (refused.code, refused.message) == ("not_supported", "the model starter cannot translate")
    assert not engine.can_translate and is_hangul(answer.text)


def test_a_decoder_with_fewer_layers_than_the_encoder_cannot_translate(
    base_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {
        "whole": random_model.Size(64, 2, 2, 1),
        "turbo": random_model.Size(64, 2, 1, 1),
    }
    monkeypatch.setattr(random_model, "SIZES", sizes)
    for name in sizes:
        loaded = load(random_model.make(name, tmp_path), Device.CPU, "auto", 1)
        assert loaded.can_translate == (name == "whole")
    assert not has_shallow_decoder(base_model / "model.bin")
    for data in (b"", b"\x06\0\0\0", b"rubbish" * 99):
        (tmp_path / "model.bin").write_bytes(data)
        assert not has_shallow_decoder(tmp_path / "model.bin")


def test_only_the_token_of_the_task_differs() -> None:
    loaded = load(STARTER_FOLDER, Device.CPU, "auto", 1)
    tokenizer = loaded.tokenizers["ko"]
    transcribe, translate = (loaded.start_of("ko", task) for task in Task)
    assert transcribe == [tokenizer.sot, tokenizer.language, tokenizer.transcribe]
    assert translate == [tokenizer.sot, tokenizer.language, tokenizer.translate]


@pytest.mark.parametrize("fields", [{"terms": ("Alpha-1",)}, {"known_text": "수신 양호"}])
def test_a_window_to_translate_has_no_text_in_another_language(fields: dict[str, str]) -> None:
    with pytest.raises(ContractError, match="cannot have glossary terms or a known text"):
        window(task=Task.TRANSLATE, **fields)  # type: ignore[arg-type]
