"""Loading a model: what `auto` means, and what is relied on in CTranslate2 and faster-whisper."""

from __future__ import annotations

import inspect
from pathlib import Path

import ctranslate2
import numpy as np
import pytest
from faster_whisper.feature_extractor import FeatureExtractor
from faster_whisper.tokenizer import _LANGUAGE_CODES, Tokenizer
from faster_whisper.transcribe import get_suppressed_tokens

from host_stt.config import Device, EngineConfig
from host_stt.engines.configured import whisper_options
from host_stt.engines.loading import (
    load,
    resolve_compute_type,
    resolve_device,
    resolve_threads,
    threads_of_call,
)
from host_stt.engines.whisper import WhisperEngine
from host_stt.models import STARTER_FOLDER, ResolvedModel
from host_stt.window_forms import WindowForm

pytestmark = pytest.mark.model
STARTER = ResolvedModel(STARTER_FOLDER, "starter", "test", is_starter=True)


# --- what `auto` means ---------------------------------------------------------------------------------


def test_automatic_settings_are_resolved_before_loading() -> None:
    assert resolve_compute_type(Device.CPU, "auto") == "int8"
    assert resolve_compute_type(Device.CPU, "float32") == "float32"
    assert resolve_device(Device.CPU) is Device.CPU
    assert resolve_device(Device.AUTO) in (Device.CPU, Device.CUDA)
    assert resolve_threads(3) == 3 and 1 <= resolve_threads(0) <= 8
    assert [threads_of_call(threads) for threads in (1, 2, 3, 4, 7)] == [1, 1, 1, 2, 3]


def test_windows_are_short_for_measured_weights_and_full_for_others() -> None:
    other = ResolvedModel(STARTER_FOLDER, "small", "test")
    for model, setting, expected in (
        (STARTER, WindowForm.AUTO, WindowForm.SHORT),
        (other, WindowForm.AUTO, WindowForm.FULL),
        (STARTER, WindowForm.FULL, WindowForm.FULL),
        (other, WindowForm.SHORT, WindowForm.SHORT),
    ):
        config = EngineConfig(device=Device.CPU, interim_window=setting, final_window=setting)
        options = whisper_options(config, model, Device.CPU)
        assert (options.interim_window, options.final_window) == (expected, expected)


def test_a_folder_that_cannot_be_loaded_raises(tmp_path: Path) -> None:
    with pytest.raises((RuntimeError, ValueError)):
        WhisperEngine.from_folder(tmp_path, "nothing", device=Device.CPU)


# --- what is relied on in the libraries ----------------------------------------------------------------


def test_ctranslate2_has_the_interface_that_the_engine_uses() -> None:
    whisper = ctranslate2.models.Whisper
    for name in ("encode", "generate", "align", "detect_language", "unload_model"):
        assert callable(getattr(whisper, name))
    generate = whisper.generate.__doc__ or ""
    for option in ("beam_size", "max_length", "return_scores", "return_no_speech_prob"):
        assert option in generate
    assert "suppress_tokens" in generate and "return_logits_vocab" in generate
    assert hasattr(whisper, "is_multilingual") and hasattr(whisper, "n_mels")
    for field in ("sequences_ids", "scores", "no_speech_prob", "logits"):
        assert hasattr(ctranslate2.models.WhisperGenerationResult, field)
    assert hasattr(ctranslate2.StorageView, "to_device") and ctranslate2.Device.cpu


def test_faster_whisper_has_the_functions_that_the_engine_uses() -> None:
    tokenizer = load(STARTER_FOLDER, Device.CPU, "auto", 0).tokenizers["en"]
    assert isinstance(tokenizer, Tokenizer) and tokenizer.language_code == "en"
    assert tokenizer.sot_sequence == [tokenizer.sot, tokenizer.language, tokenizer.task]
    assert tokenizer.eot < tokenizer.sot < tokenizer.no_timestamps
    assert tokenizer.sot_prev not in tokenizer.sot_sequence
    assert tokenizer.decode(tokenizer.encode(" Alpha-1, 알파원")).strip() == "Alpha-1, 알파원"
    texts, groups = tokenizer.split_to_word_tokens([*tokenizer.encode(" alpha one"), tokenizer.eot])
    assert texts[:2] == [" alpha", " one"] and len(texts) == len(groups) == 3
    suppressed = get_suppressed_tokens(tokenizer, [-1])
    assert tokenizer.sot_prev in suppressed and tokenizer.eot not in suppressed
    assert {"en", "ko"} <= set(_LANGUAGE_CODES)
    assert {"feature_size", "chunk_length"} <= set(inspect.signature(FeatureExtractor.__init__).parameters)
    mel = FeatureExtractor()(np.zeros(16000, np.float32))
    assert mel.shape == (80, 101)
