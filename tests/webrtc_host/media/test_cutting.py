"""Long recordings are cut at quiet places, and no audio is lost between the pieces."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from webrtc_host.media.cutting import cut_at_quiet

SECOND = 16_000


def speech_with_pauses(seconds: int, pauses_s: list[float]) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    samples = np.random.default_rng(1).normal(0, 0.1, seconds * SECOND).astype(np.float32)
    for pause_s in pauses_s:
        samples[int(pause_s * SECOND) : int((pause_s + 0.4) * SECOND)] *= 0.01
    return samples


def test_a_short_recording_is_not_cut() -> None:
    assert cut_at_quiet(speech_with_pauses(30, [])) == [(0, 30 * SECOND)]


def test_cuts_fall_into_pauses() -> None:
    pieces = cut_at_quiet(speech_with_pauses(70, [5.0, 24.0, 47.0]))
    assert len(pieces) == 3
    assert 24.0 <= pieces[0][1] / SECOND <= 24.4
    assert 47.0 <= pieces[1][1] / SECOND <= 47.4


def test_silence_is_cut_into_long_pieces() -> None:
    pieces = cut_at_quiet(np.zeros(600 * SECOND, np.float32))
    assert len(pieces) <= 21


@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 40_000), longest=st.integers(1_000, 9_000), seed=st.integers(0, 99))
def test_pieces_tile_the_recording_and_none_is_too_long(n: int, longest: int, seed: int) -> None:
    samples = np.random.default_rng(seed).normal(0, 0.1, n).astype(np.float32)
    pieces = cut_at_quiet(samples, longest)
    assert pieces[0][0] == 0 and pieces[-1][1] == n
    assert all(a[1] == b[0] for a, b in zip(pieces, pieces[1:], strict=False))
    assert all(0 < end - start <= longest for start, end in pieces)
