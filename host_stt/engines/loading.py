"""Load a Whisper folder into memory: device, number format, threads, tokenizer, features.

Contains everything that happens once, before the first decode, and what `auto` means for each setting. Uses
CTranslate2's documented `models.Whisper` and three plain pieces of faster-whisper (Tokenizer,
FeatureExtractor, get_suppressed_tokens); tests/host_stt/test_engine_loading.py pins the parts of them
that are used.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ctranslate2
import tokenizers
from faster_whisper.feature_extractor import FeatureExtractor
from faster_whisper.tokenizer import _LANGUAGE_CODES, Tokenizer
from faster_whisper.transcribe import get_suppressed_tokens

from host_stt.config import Device
from host_stt.contract import Task
from host_stt.engines.layers import has_shallow_decoder
from host_stt.gpus import check_gpus, chosen_gpus, preload_cublas, seen_gpus
from host_stt.memory import keep_freed_memory

logger = logging.getLogger(__name__)

CALLS_AT_ONCE = 2
"""Calls that a loaded model accepts at the same time; one of them is kept for finals."""
_TOKENS_OF_STOCK_WHISPER = 50_000


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model in memory, with the parts that decoding needs."""

    whisper: Any  # ctranslate2.models.Whisper
    tokenizers: dict[str, Tokenizer]  # by language code; they differ only in their language token
    features: FeatureExtractor
    suppressed: list[int]
    device: Device
    compute_type: str
    has_small_vocabulary: bool
    can_translate: bool

    @property
    def languages(self) -> tuple[str, ...]:
        return tuple(sorted(self.tokenizers, key=lambda code: (code != "en", code)))

    def start_of(self, language: str, task: Task) -> list[int]:
        """The tokens that begin a text: start, and for multilingual models the spoken language and the
        task.
        """
        tokenizer = self.tokenizers[language]
        start = list(tokenizer.sot_sequence)
        return [*start[:-1], tokenizer.translate] if task is Task.TRANSLATE else start


def load(
    folder: Path, device: Device, compute_type: str, cpu_threads: int, device_index: int = 0
) -> LoadedModel:
    """Load the CTranslate2 Whisper model in `folder`. Raises RuntimeError or ValueError if it cannot be
    loaded, GpuUnusable if the GPU cannot decode.

    device_index: which GPU.
    """
    device = resolve_device(device)
    if device is Device.CPU:
        keep_freed_memory()
    else:
        check_gpus(seen_gpus(), has_cublas=preload_cublas())
    compute_type = resolve_compute_type(device, compute_type)
    whisper = ctranslate2.models.Whisper(
        str(folder),
        device=device.value,
        device_index=device_index,
        compute_type=compute_type,
        intra_threads=threads_of_call(resolve_threads(cpu_threads)),
        # A second worker for finals, with the same weights: on CUDA a stream, on a CPU its own threads.
        inter_threads=CALLS_AT_ONCE,
    )
    hf_tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    by_language = _tokenizers(hf_tokenizer, whisper.is_multilingual)
    first = next(iter(by_language.values()))
    has_small_vocabulary = first.eot < _TOKENS_OF_STOCK_WHISPER
    return LoadedModel(
        whisper=whisper,
        tokenizers=by_language,
        features=FeatureExtractor(**_feature_settings(folder, whisper.n_mels)),
        suppressed=[token for token in get_suppressed_tokens(first, [-1]) if token is not None],
        device=device,
        compute_type=compute_type,
        has_small_vocabulary=has_small_vocabulary,
        # The starter model has the token of the task, but was not trained with it.
        can_translate=whisper.is_multilingual
        and not has_small_vocabulary
        and not has_shallow_decoder(folder / "model.bin"),
    )


def devices_of(device: Device, gpus: Sequence[int]) -> tuple[int, ...]:
    """One device number for each replica: the GPUs to use, or only 0 for the CPU. Raises GpuUnusable."""
    if resolve_device(device) is Device.CPU:
        return (0,)
    return chosen_gpus(gpus, ctranslate2.get_cuda_device_count())


def resolve_device(device: Device) -> Device:
    if device is not Device.AUTO:
        return device
    try:
        return Device.CUDA if ctranslate2.get_cuda_device_count() > 0 else Device.CPU
    except RuntimeError as error:
        logger.warning("CUDA cannot be used (%s); decoding on the CPU", error)
        return Device.CPU


def resolve_compute_type(device: Device, compute_type: str) -> str:
    """The number format for `auto`. Not CTranslate2's own auto, which chooses int8 on GPUs without a gain."""
    if compute_type != "auto":
        return compute_type
    wanted = ("int8", "float32") if device is Device.CPU else ("float16", "bfloat16", "float32")
    supported = ctranslate2.get_supported_compute_types(device.value)
    return next((kind for kind in wanted if kind in supported), "float32")


def resolve_threads(cpu_threads: int) -> int:
    if cpu_threads:
        return cpu_threads
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores if cores <= 3 else min(8, cores - 1)


def threads_of_call(threads: int) -> int:
    """How many of the threads each of the calls at the same time gets.

    Few threads are better than many: a decoder step has many small operations, and after each one the threads
    wait for each other. On two virtual cores, base with two threads takes three times as long to decode a
    text as with one (docs/explanation/capacity.md).
    """
    return max(1, threads // CALLS_AT_ONCE)


def _tokenizers(hf_tokenizer: tokenizers.Tokenizer, is_multilingual: bool) -> dict[str, Tokenizer]:
    if not is_multilingual:
        return {"en": Tokenizer(hf_tokenizer, False)}
    known = [code for code in _LANGUAGE_CODES if hf_tokenizer.token_to_id(f"<|{code}|>") is not None]
    return {code: Tokenizer(hf_tokenizer, True, task="transcribe", language=code) for code in known}


def _feature_settings(folder: Path, n_mels: int) -> dict[str, int]:
    settings = {"feature_size": n_mels}
    file = folder / "preprocessor_config.json"
    if file.is_file():
        written = json.loads(file.read_text(encoding="utf-8"))
        for key in ("feature_size", "sampling_rate", "hop_length", "chunk_length", "n_fft"):
            if isinstance(written.get(key), int):
                settings[key] = written[key]
    return settings
