from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_stt.contract import SAMPLE_RATE, Float32Array
from host_stt.files.config import FilesConfig
from host_stt.files.voice import Detector
from host_stt_common.cutting import FRAME, ON, Cutter, Piece
from tests.support.recordings import spoken_phrases

CONFIG = FilesConfig(window_samples=5 * SAMPLE_RATE, pause_samples=SAMPLE_RATE)


def loudness(samples: Float32Array) -> Float32Array:
    """A detector for made-up sound: the probability of a frame is the value of its samples."""
    loudest: Float32Array = samples.reshape(-1, FRAME).max(axis=1)
    return loudest


def made(*stretches: tuple[float, float]) -> Float32Array:
    """(seconds, probability) after one another, in whole frames but for the last."""
    return np.concatenate([np.full(round(s * SAMPLE_RATE), p, np.float32) for s, p in stretches])


def cut(samples: Float32Array, config: FilesConfig = CONFIG, step: int = SAMPLE_RATE) -> list[Piece]:
    cutter = Cutter(config, loudness)
    pieces: list[Piece] = []
    for first in range(0, len(samples), step):
        pieces += cutter.feed(samples[first : first + step])
    return pieces + cutter.flush()


def spans(pieces: list[Piece]) -> list[tuple[float, float]]:
    return [(round(p.start_sample / SAMPLE_RATE, 1), round(p.end_sample / SAMPLE_RATE, 1)) for p in pieces]


def test_a_long_pause_ends_a_window_and_a_short_one_does_not() -> None:
    pieces = cut(made((1, 0), (1, 0.9), (0.5, 0), (1, 0.9), (1.5, 0), (1, 0.9), (2, 0)))
    assert spans(pieces) == [(0.7, 3.8), (4.7, 6.3)]


def test_speech_without_a_pause_is_cut_where_it_is_quietest() -> None:
    pieces = cut(made((3.5, 0.9), (0.3, 0.5), (3.5, 0.9)))
    assert [round(end, 1) for _, end in spans(pieces)][0] == pytest.approx(3.7, abs=0.2)
    assert sum(len(piece.samples) for piece in pieces) == round(7.3 * SAMPLE_RATE)


def test_silence_gives_no_window() -> None:
    assert cut(made((60, 0.1))) == []
    assert cut(np.zeros(0, np.float32)) == []


def test_a_recording_shorter_than_a_frame_gives_one_window() -> None:
    (piece,) = cut(made((0.01, 0.9)))
    assert (piece.start_sample, len(piece.samples)) == (0, 160)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.05, 9), st.sampled_from([0.0, 0.25, 0.5, 0.9])), min_size=1, max_size=12),
    st.integers(1_000, 100_000),
)
def test_windows_contain_all_speech_in_order_within_the_length_limit(
    stretches: list[tuple[float, float]], step: int
) -> None:
    samples = made(*stretches)
    pieces = cut(samples, step=step)
    for piece in pieces:
        assert 0 < len(piece.samples) <= CONFIG.window_samples
        assert np.array_equal(piece.samples, samples[piece.start_sample : piece.end_sample])
    assert all(a.end_sample <= b.start_sample for a, b in pairwise(pieces))
    covered = np.zeros(len(samples), np.bool_)
    for piece in pieces:
        covered[piece.start_sample : piece.end_sample] = True
    assert covered[samples >= ON].all()
    assert spans(pieces) == spans(cut(samples, step=7 * SAMPLE_RATE))


def test_the_detector_finds_the_phrases_and_no_speech_between_them() -> None:
    samples, said = spoken_phrases(
        ["alpha one proceed to gate seven", "bravo two hold position"], pause_s=2.5
    )
    cutter = Cutter(FilesConfig(), Detector())
    pieces = cutter.feed(samples) + cutter.flush()
    assert len(pieces) == len(said)
    for piece, phrase in zip(pieces, said, strict=True):
        assert phrase.start_s - 0.6 < piece.start_sample / SAMPLE_RATE < phrase.start_s + 0.1
        assert phrase.end_s - 0.2 < piece.end_sample / SAMPLE_RATE < phrase.end_s + 0.6


def test_the_detector_does_not_change_its_input() -> None:
    samples = np.full(40 * FRAME, 0.1, np.float32)
    detector = Detector()
    assert len(detector(samples)) == len(detector(samples)) == 40
    assert (samples == np.float32(0.1)).all()
