"""Recordings with several audio tracks: the first with speech is read, or the one that was asked for."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from host_stt_common.audio_file import AudioFileError
from host_stt_common.audio_tracks import FRAME, open_audio

RATE = 16_000
T = np.arange(3 * RATE) / RATE
SILENT = np.zeros(3 * RATE, np.float32)
HUM = (0.3 * np.sin(2 * np.pi * 100 * T)).astype(np.float32)
SPEECH = (0.3 * np.sin(2 * np.pi * 1_000 * T)).astype(np.float32)
QUIET_SPEECH = 0.002 * SPEECH


def with_tracks(path: Path, *tracks: NDArray[np.float32]) -> Path:
    with av.open(str(path), "w", format="matroska") as file:
        streams = [file.add_stream("pcm_s16le", rate=RATE, layout="mono") for _ in tracks]
        for stream, samples in zip(streams, tracks, strict=True):
            data = np.round(samples * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(data[np.newaxis], format="s16", layout="mono")
            frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), 0
            file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
    return path


def detector(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Takes 1 kHz at a fair level for speech: what is under test is the choice, not a network's ear."""
    frames = samples.reshape(-1, FRAME)
    turns = (np.diff(np.sign(frames), axis=1) != 0).sum(axis=1)
    is_loud = np.sqrt(np.square(frames).mean(axis=1)) > 0.01
    heard: NDArray[np.float32] = ((turns > 50) & (turns < 150) & is_loud).astype(np.float32)
    return heard


@pytest.mark.parametrize(
    ("tracks", "chosen"),
    [
        ((SILENT, SPEECH), 1),
        ((HUM, SILENT, SPEECH, SPEECH), 2),
        ((SPEECH, SPEECH), 0),
        ((SILENT, QUIET_SPEECH), 1),
        ((SILENT, HUM), 1),  # nothing is heard in either: the one that holds a signal
        ((SILENT, SILENT), 0),
        ((SPEECH,), 0),
    ],
)
def test_the_first_track_with_speech_is_used(
    tmp_path: Path, tracks: tuple[NDArray[np.float32], ...], chosen: int
) -> None:
    with open_audio(with_tracks(tmp_path / "a.mkv", *tracks), 60, lambda: detector) as file:
        samples = np.concatenate(list(file))
        assert (file.facts.track, file.facts.tracks) == (chosen, len(tracks))
    assert np.abs(samples - tracks[chosen]).max() < 1e-3


def test_the_requested_track_is_used_whatever_it_contains(tmp_path: Path) -> None:
    path = with_tracks(tmp_path / "a.mkv", SPEECH, SILENT)
    with open_audio(path, 60, lambda: detector, track=1) as file:
        assert not np.concatenate(list(file)).any()
    with pytest.raises(AudioFileError, match="audio tracks 0 to 1; 2 is none of them"):
        open_audio(path, 60, lambda: detector, track=2)
