"""Choose the audio track of a recording: the requested one, or the first one with speech.

A screen recorder writes several tracks (desktop, microphone), and the first may be silent. Blocking: each
track is decoded until the detector finds speech. Invariant: an unreadable track is skipped if another one can
be read.
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
"""Samples per probability."""
SPEECH_AT = 0.5
SPEECH_FRAMES = 8  # 256 ms in total, not necessarily in one piece
SILENT_BELOW = 1e-4  # -80 dBFS: digital silence needs no detector
TRACKS_MAX = 16  # that are searched for speech; a request may name a later one
BLOCK_FRAMES = 8 * 16_000 // FRAME

Detector = Callable[[Float32Array], Float32Array]
"""(k * 512,) samples at 16 kHz -> (k,) probabilities of speech. Called with consecutive pieces of one track.
"""


def open_audio(
    source: Path | bytes,
    seconds_max: int,
    make_detector: Callable[[], Detector],
    *,
    name: str = "",
    track: int | None = None,
) -> AudioFile:
    """Open the recording at its track. make_detector: makes one detector for each track that is searched.

    track: from 0; None: the first one with speech, else the first that is not silent, else the first. Raises
    AudioFileError for the same reasons as AudioFile.
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
    """The track that `open_audio` would choose. Yields after every few seconds of decoded audio, so that a
    caller can stop in between.
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
            logger.info("audio track %d is skipped: %s", number, error)
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
