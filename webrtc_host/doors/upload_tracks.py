"""An uploaded recording becomes 16 kHz mono, whole, within a bound. Blocking: runs in a thread.

What is read and what is refused is `host_stt_common.audio_file`'s, the same as on 8081.
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
    """samples: (n,) float32 at 16 kHz, n >= 1."""

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
    """The whole file; gaps in its timestamps are silence. name: as its sender named it. track: from 0;
    None: the first with speech, as `make_detector`'s hears it.

    Raises RequestError: 413 longer than seconds_max, 415 nothing that can be read, 422 without audio,
    without this track, or of a rate that is not taken.
    """
    try:
        with open_audio(data, seconds_max, make_detector or voice_detector, name=name, track=track) as opened:
            samples = np.concatenate(list(opened))
            return Recorded(samples, opened.facts)
    except AudioFileError as error:
        raise RequestError(error.code, error.message, error.status) from error


def voice_detector(config: VadConfig | None = None) -> Detector:
    """The live channels' detector, for whole recordings."""
    detector = make_detector(config or VadConfig())

    def probabilities(samples: Float32Array) -> Float32Array:
        return np.array([detector.probability(frame) for frame in samples.reshape(-1, FRAME)], np.float32)

    return probabilities
