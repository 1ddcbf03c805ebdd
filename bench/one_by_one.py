"""Decode the same windows with faster-whisper's two methods: one call per window, and its batched pipeline.

Both get the same as our engine: windows, beam 1, no temperature ladder, no previous text, the same mallopt.
Neither can decode windows of different channels in one call. `transcribe` takes one recording at a time, and
`BatchedInferencePipeline` batches the pieces of one recording, so here a batch is one window.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from faster_whisper import BatchedInferencePipeline, WhisperModel

from host_stt.contract import SAMPLE_RATE, Float32Array
from host_stt.memory import keep_freed_memory


def seconds_for(
    folder: Path, windows: Sequence[Float32Array], *, batched: bool, tokens_per_s: float | None, threads: int
) -> tuple[float, float]:
    """(seconds, CPU seconds) to decode all windows, after one warm-up. The model is loaded before."""
    keep_freed_memory()
    model = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=threads)
    reader: Any = BatchedInferencePipeline(model) if batched else model
    eot = model.hf_tokenizer.token_to_id("<|endoftext|>")

    def read(samples: Float32Array) -> None:
        options: dict[str, Any] = {
            "language": "en",
            "beam_size": 1,
            "temperature": [0.0],
            "without_timestamps": True,
            "condition_on_previous_text": False,
        }
        if tokens_per_s is not None:
            tokens = max(1, round(tokens_per_s * len(samples) / SAMPLE_RATE))
            options |= {"suppress_tokens": [-1, eot], "compression_ratio_threshold": None}
            # faster-whisper sets max_length = prompt + max_new_tokens, and CTranslate2 generates half of it.
            options |= {"log_prob_threshold": None, "no_speech_threshold": None, "max_new_tokens": 2 * tokens}
        if batched:
            options |= {"clip_timestamps": [{"start": 0.0, "end": len(samples) / SAMPLE_RATE}]}
            options |= {"vad_filter": False, "batch_size": 1}
        segments, _ = reader.transcribe(samples, **options)
        list(segments)

    read(windows[0])
    began, began_cpu = time.perf_counter(), time.process_time()
    for samples in windows:
        read(samples)
    return time.perf_counter() - began, time.process_time() - began_cpu
