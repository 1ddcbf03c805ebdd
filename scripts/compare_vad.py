#!/usr/bin/env python3
"""Compare the voice activity detectors on recordings: speech found and cost. See docs/explanation/vad.md.

    scripts/compare_vad.py FILE [FILE ...]

Prints a row per file and detector: share of frames at 0.5 and more, first and last speech, CPU microseconds
per 32 ms frame. `silero 6.2` and `webrtc` are values of `speech.vad.detector`; `silero 6.0` is the file
inside faster-whisper 1.2, only for comparison.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from faster_whisper import decode_audio
from faster_whisper.vad import get_vad_model

from host_stt.contract import SAMPLE_RATE, Float32Array
from webrtc_host.speech.vad import FRAME_SAMPLES, DetectorName, VadConfig, make_detector

FRAME_S = FRAME_SAMPLES / SAMPLE_RATE


def streamed(name: DetectorName) -> Callable[[Float32Array], Float32Array]:
    def run(samples: Float32Array) -> Float32Array:
        detector = make_detector(VadConfig(name))
        frames = samples.reshape(-1, FRAME_SAMPLES)
        return np.array([detector.probability(frame) for frame in frames], dtype=np.float32)

    return run


def shipped_with_faster_whisper(samples: Float32Array) -> Float32Array:
    values: Float32Array = np.asarray(get_vad_model()(samples), dtype=np.float32).ravel()
    return values


DETECTORS: dict[str, Callable[[Float32Array], Float32Array]] = {
    "silero 6.2": streamed(DetectorName.SILERO),
    "silero 6.0": shipped_with_faster_whisper,
    "webrtc": streamed(DetectorName.WEBRTC),
}


def main(paths: list[str]) -> None:
    print(f"{'file':<28} {'detector':<11} {'>= 0.5':>7} {'first s':>8} {'last s':>7} {'us/frame':>9}")
    for path in paths:
        samples = decode_audio(path, sampling_rate=SAMPLE_RATE)
        samples = samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES]
        for name, run in DETECTORS.items():
            run(samples[: 10 * FRAME_SAMPLES])  # loads the model
            began = time.process_time()
            values = run(samples)
            cost_us = (time.process_time() - began) / len(values) * 1e6
            speech = np.flatnonzero(values >= 0.5)
            first, last = (speech[0] * FRAME_S, (speech[-1] + 1) * FRAME_S) if len(speech) else (0.0, 0.0)
            share = len(speech) / len(values)
            print(f"{Path(path).name:<28} {name:<11} {share:7.0%} {first:8.2f} {last:7.2f} {cost_us:9.0f}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1:])
