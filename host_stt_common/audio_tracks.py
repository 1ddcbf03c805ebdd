"""Which audio track of a recording is read: the one that was asked for, or the first that has speech.

A screen recorder writes several (desktop, microphone), and the first may be silent. Blocking: a track is
decoded until speech is heard in it. Invariant: a track that cannot be read is passed over while another can.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from pathlib import Path

import numpy as np

from host_stt_common.audio_file import AudioFile, AudioFileError, Float32Array, tracks_of
from host_stt_common.leveling import levelled

logger = logging.getLogger(__name__)

FRAME = 512
"""Samples for each probability."""
SPEECH_AT = 0.5
SPEECH_FRAMES = 8  # 256 ms, one after the other or not
SILENT_BELOW = 1e-4  # -80 dBFS: digital silence needs no detector
TRACKS_MAX = 16  # that are listened to; one further back can be asked for
BLOCK_FRAMES = 8 * 16_000 // FRAME

Detector = Callable[[Float32Array], Float32Array]
"""(k * 512,) samples at 16 kHz -> (k,) probabilities of speech. Called with one piece after the other."""


def open_audio(
    source: Path | bytes,
    seconds_max: int,
    make_detector: Callable[[], Detector],
    *,
    name: str = "",
    track: int | None = None,
) -> AudioFile:
    """The recording, opened at its track. make_detector: one for each track that is listened to.

    track: from 0; None: the first with speech, else the first that is not silent, else the first. Raises
    AudioFileError, as AudioFile does.
    """
    if track is None:
        picking = picked_track(source, seconds_max, make_detector, name=name)
        while True:
            try:
                next(picking)
            except StopIteration as picked:
                track = picked.value
                break
    return AudioFile(source, seconds_max, name=name, track=track)


def picked_track(
    source: Path | bytes, seconds_max: int, make_detector: Callable[[], Detector], *, name: str = ""
) -> Generator[None, None, int]:
    """The track that `open_audio` would choose, in steps: yields after every few seconds that were listened
    to.
    """
    tracks = tracks_of(source, name=name)
    if tracks < 2:
        return 0
    loud: list[int] = []
    for number in range(min(tracks, TRACKS_MAX)):
        try:
            with AudioFile(source, seconds_max, name=name, track=number) as opened:
                has_speech, has_signal = yield from _listen(opened, make_detector())
        except AudioFileError as error:
            logger.info("audio track %d is passed over: %s", number, error)
            continue
        if has_speech:
            return number
        if has_signal:
            loud.append(number)
    return loud[0] if loud else 0


def _listen(opened: AudioFile, detector: Detector) -> Generator[None, None, tuple[bool, bool]]:
    """(has speech, is not silent)."""
    has_signal, frames = False, 0
    held: Float32Array = np.zeros(0, np.float32)
    for samples in opened:
        held = np.concatenate((held, samples))
        if len(held) < BLOCK_FRAMES * FRAME:
            continue
        yield
        heard, held = held, held[:0]
        if _is_silent(heard):
            continue
        has_signal = True
        frames += _speech_frames(heard, detector)
        if frames >= SPEECH_FRAMES:
            return True, True
    if len(held) and not _is_silent(held):
        has_signal = True
        frames += _speech_frames(held, detector)
    return frames >= SPEECH_FRAMES, has_signal


def _is_silent(samples: Float32Array) -> bool:
    return float(np.abs(samples).max()) < SILENT_BELOW


def _speech_frames(samples: Float32Array, detector: Detector) -> int:
    padded = np.pad(samples, (0, -len(samples) % FRAME))
    return int((detector(levelled(padded)) >= SPEECH_AT).sum())
