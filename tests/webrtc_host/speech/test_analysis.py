"""Real recordings through VAD and endpointing. They are not part of the project: HOST_STT_SPEECH_DIR names
their folder."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from faster_whisper import decode_audio

from host_stt.contract import Float32Array, Priority
from tests.webrtc_host.speech.helpers import S, blocks_of
from webrtc_host.speech.analysis import AnalysisEvent, SpeechAnalysis, WindowAudio
from webrtc_host.speech.endpointing import SpeechEnded, SpeechStarted
from webrtc_host.speech.settings import SpeechConfig

FOLDER = os.environ.get("HOST_STT_SPEECH_DIR", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FOLDER, reason="HOST_STT_SPEECH_DIR is not set: no recordings here"),
]

Spans = list[tuple[float, float]]
SPANS: dict[tuple[str, int | None], Spans] = {
    ("jfk.flac", None): [(0.32, 2.13), (3.27, 4.31), (5.40, 7.58), (8.18, 10.99)],
    ("two-speakers-stereo.wav", 0): [(0.00, 4.90)],
    ("two-speakers-stereo.wav", 1): [(0.36, 2.46)],
    ("cards-001.wav", None): [(0.17, 0.95)],
    ("cards-002.wav", None): [(0.12, 1.69)],
    ("cards-005.wav", None): [(0.19, 3.22)],
    ("osr-8k.wav", None): [
        *[(1.23, 3.75), (4.76, 6.74), (7.79, 9.79), (10.95, 13.86), (15.25, 16.96)],
        *[(17.79, 20.36), (21.22, 23.91), (25.28, 28.20), (29.40, 31.16), (32.60, 34.76)],
    ],
    ("lj001-0002.wav", None): [(0.00, 1.78)],
    ("lj001-0006.wav", None): [(0.00, 2.42), (2.80, 5.57)],
}
"""Seconds of speech by energy, as the recordings' own README gives them."""


def recording(name: str, side: int | None) -> Float32Array:
    path = str(Path(FOLDER) / name)
    if side is None:
        samples: Float32Array = decode_audio(path, sampling_rate=S)
        return samples
    return np.asarray(decode_audio(path, sampling_rate=S, split_stereo=True)[side], dtype=np.float32)


def hear(samples: Float32Array) -> list[AnalysisEvent]:
    counter = itertools.count(1)
    analysis = SpeechAnalysis(SpeechConfig(), lambda: f"u_{next(counter)}")
    found: list[AnalysisEvent] = []
    for block in blocks_of(samples):
        found += analysis.decide(analysis.analyse([block]), block.end_sample / S)
    return [*found, *analysis.flush(len(samples) / S)]


def joined(spans: Spans, gap_s: float) -> Spans:
    """Spans closer than the hangover belong to one utterance."""
    merged = [spans[0]]
    for start, end in spans[1:]:
        if start - merged[-1][1] < gap_s:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return merged


@pytest.mark.parametrize(("name", "side"), list(SPANS))
def test_the_utterances_agree_with_the_spans_of_speech_at_their_outer_ends(
    name: str, side: int | None
) -> None:
    found = hear(recording(name, side))
    utterances = [(e.start_sample / S, e.end_sample / S) for e in found if isinstance(e, SpeechEnded)]
    expected = joined(SPANS[name, side], 0.5)
    for start, end in expected:
        inside = [u for u in utterances if u[0] < end and u[1] > start]
        assert inside, f"no utterance within {start}-{end} s"
        assert abs(inside[0][0] - start) <= 0.25
        assert abs(inside[-1][1] - end) <= 0.25
    assert all(any(u[0] < end and u[1] > start for start, end in expected) for u in utterances)


@pytest.mark.parametrize(("name", "side"), list(SPANS))
def test_every_recording_starts_ends_and_asks_in_order(name: str, side: int | None) -> None:
    open_id = ""
    for event in hear(recording(name, side)):
        match event:
            case SpeechStarted():
                assert not open_id
                open_id = event.utterance_id
            case SpeechEnded():
                assert event.utterance_id == open_id
                last = open_id
                open_id = ""
            case WindowAudio():
                assert event.spec.utterance_id == (open_id or last)
                assert event.spec.priority is Priority.FINAL or open_id
                assert len(event.samples) == event.spec.end_sample - event.start_sample
    assert not open_id


@pytest.mark.parametrize("name", ["ko-read-dan-a-00038", "ko-read-air-a-00045"])
def test_speech_that_is_the_first_audio_is_heard(name: str) -> None:
    """Both begin with 1.2 s of loud speech; a model whose state had not settled missed all of it."""
    found = hear(recording(f"real/ko/{name}.flac", None))
    first = next(event for event in found if isinstance(event, SpeechStarted))
    assert first.start_sample < 0.5 * S
