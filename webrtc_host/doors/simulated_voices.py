"""The audio of simulated channels: bundled clips, one after another, with pauses of faint noise between them.

Pure, except for `load_clips`, which decodes the operator's own clips, or those of the package `demo`. A voice
is determined by its seed, so a simulation sounds the same each time.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import numpy as np

from host_stt.contract import SAMPLE_RATE, Float32Array
from host_stt_common.audio_file import AudioFile, AudioFileError
from webrtc_host.errors import RequestError

CLIP_SECONDS_MAX = 20
CLIPS_MAX = 100
CLIP_BYTES_MAX = 8_000_000
NOISE_LEVEL = 10 ** (-62 / 20)
"""RMS of the noise in pauses. Digital silence would be reported as a missing signal."""
PAUSE_S_MIN = 0.8


@dataclass(frozen=True, slots=True)
class SpokenClip:
    """samples: (n,) float32 in [-1, 1], 16 kHz mono."""

    language: str
    text: str
    samples: Float32Array


def load_clips(own: Path | None = None) -> tuple[SpokenClip, ...]:
    """Decode the clips. Blocking (some 50 ms): run it in a thread.

    own: a folder with `clips.json` ([{"language", "file", "text"?}]) and its recordings, in place of the
    bundled clips, if it is there. Raises RequestError 409, which names the file, when it cannot be used.
    """
    if own is None or not (own / "clips.json").is_file():
        return _load(files("demo") / "clips" / "radio")
    try:
        return _load(own)
    except (OSError, ValueError, KeyError, TypeError, AudioFileError) as error:
        message = f"the clips of the simulation in {own} cannot be used: {error}"
        raise RequestError("bad_clips", message, 409) from error


def _load(folder: Traversable) -> tuple[SpokenClip, ...]:
    listed = json.loads((folder / "clips.json").read_text(encoding="utf-8"))
    if not isinstance(listed, list) or not 1 <= len(listed) <= CLIPS_MAX:
        raise ValueError(f"clips.json must be a list of 1 to {CLIPS_MAX} clips")
    return tuple(_clip(folder, one) for one in listed)


def _clip(folder: Traversable, one: dict[str, str]) -> SpokenClip:
    name = one["file"]
    if "/" in name or "\\" in name or name.startswith("."):
        raise ValueError(f"{name!r} must be the name of a file in this folder")
    data = (folder / name).read_bytes()
    if len(data) > CLIP_BYTES_MAX:
        raise ValueError(f"{name} is over the limit of {CLIP_BYTES_MAX} bytes")
    return SpokenClip(one["language"], one.get("text", ""), _decoded(data))


def _decoded(data: bytes) -> Float32Array:
    with AudioFile(data, CLIP_SECONDS_MAX) as recording:
        return np.concatenate(list(recording))


class SimulatedVoice:
    """The endless audio of one channel."""

    def __init__(self, clips: Sequence[SpokenClip], talk: float, seed: int) -> None:
        """talk: the share of time with speech, above 0 and below 1."""
        if not clips:
            raise ValueError("a voice needs at least one clip")
        if not 0 < talk < 1:
            raise ValueError(f"the share of time with speech is above 0 and below 1, not {talk}")
        self._pieces = _pieces(clips, talk, random.Random(seed))
        self._piece: Float32Array = np.empty(0, np.float32)
        self._at = 0  # in the piece

    def next(self, samples: int) -> Float32Array:
        """The next `samples` samples, (samples,) float32."""
        block = np.empty(samples, np.float32)
        filled = 0
        while filled < samples:
            if self._at == len(self._piece):
                self._piece, self._at = next(self._pieces), 0
            part = self._piece[self._at : self._at + samples - filled]
            block[filled : filled + len(part)] = part
            filled += len(part)
            self._at += len(part)
        return block


def _pieces(clips: Sequence[SpokenClip], talk: float, rng: random.Random) -> Iterator[Float32Array]:
    noise = np.random.default_rng(rng.randrange(2**32))
    mean_clip_s = sum(len(clip.samples) for clip in clips) / len(clips) / SAMPLE_RATE
    mean_pause_s = mean_clip_s * (1 / talk - 1)
    # The first clips of all channels should not begin in the same moment.
    yield _noise(noise, rng.uniform(PAUSE_S_MIN, mean_pause_s + PAUSE_S_MIN))
    while True:
        clip = rng.choice(clips)
        yield clip.samples + _noise(noise, len(clip.samples) / SAMPLE_RATE)
        yield _noise(noise, max(PAUSE_S_MIN, rng.expovariate(1 / mean_pause_s)))


def _noise(rng: np.random.Generator, seconds: float) -> Float32Array:
    n = round(seconds * SAMPLE_RATE)
    return (rng.standard_normal(n, np.float32) * np.float32(NOISE_LEVEL)).astype(np.float32)
