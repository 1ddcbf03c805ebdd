"""Decodes an uploaded recording into 16 kHz mono as a whole, up to a length limit. Blocking: use a thread.

`host_stt_common.audio_file` reads the file and decides what is refused, as on 8081.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from host_stt.contract import Float32Array
from host_stt_common.audio_facts import AudioFacts
from host_stt_common.audio_file import AudioFileError
from host_stt_common.audio_tracks import FRAME, Detector, open_audio
from webrtc_host.errors import RequestError
from webrtc_host.speech.vad import VadConfig, make_detector


@dataclass(frozen=True, slots=True)
class Recorded:
    """A decoded recording. samples: (n,) float32 at 16 kHz, n >= 1."""

    samples: Float32Array
    facts: AudioFacts


def read_recording(
    data: bytes,
    seconds_max: int,
    *,
    name: str = "",
    track: int | None = None,
    make_detector: Callable[[], Detector] | None = None,
) -> Recorded:
    """The whole file; gaps in its timestamps become silence. name: the file name from the sender.

    track: from 0; None: the first track with speech, by `make_detector`.
    Raises RequestError: 413 longer than seconds_max, 415 no readable file, 422 no audio, no such track, or a
    sample rate that is not accepted.
    """
    try:
        with open_audio(data, seconds_max, make_detector or voice_detector, name=name, track=track) as opened:
            samples = np.concatenate(list(opened))
            return Recorded(samples, opened.facts)
    except AudioFileError as error:
        raise RequestError(error.code, error.message, error.status) from error


def voice_detector(config: VadConfig | None = None) -> Detector:
    """The speech detector of live channels, for whole recordings."""
    detector = make_detector(config or VadConfig())

    def probabilities(samples: Float32Array) -> Float32Array:
        return np.array([detector.probability(frame) for frame in samples.reshape(-1, FRAME)], np.float32)

    return probabilities
