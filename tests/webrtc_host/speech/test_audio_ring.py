from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webrtc_host.speech.audio_ring import PCM_SCALE, AudioRing


def ramp(start: int, count: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Samples that tell their own position."""
    return ((np.arange(start, start + count) % 1000) / PCM_SCALE).astype(np.float32)


@settings(derandomize=True, deadline=None)
@given(
    pieces=st.lists(st.tuples(st.integers(0, 300), st.integers(1, 700)), min_size=1, max_size=30),
    want=st.tuples(st.integers(0, 9000), st.integers(0, 900)),
)
def test_a_position_returns_the_audio_written_there_or_silence(
    pieces: list[tuple[int, int]], want: tuple[int, int]
) -> None:
    ring, truth, at = AudioRing(500), np.full(40_000, -1), 0
    for hole, count in pieces:
        truth[at : at + hole] = 0
        at += hole
        ring.write(ramp(at, count), at)
        truth[at : at + count] = np.arange(at, at + count) % 1000
        at += count
    assert ring.end_sample == at
    assert at - ring.start_sample <= 500
    start, samples = ring.read(want[0], want[0] + want[1])
    assert np.abs(samples - truth[start : start + len(samples)]).max(initial=0) <= 1
    if want[0] >= ring.start_sample and want[0] + want[1] <= at:
        assert (start, len(samples)) == want


def test_audio_louder_than_full_scale_is_clipped_not_wrapped() -> None:
    ring = AudioRing(10)
    ring.write(np.array([2.0, -2.0], dtype=np.float32), 0)
    assert ring.read(0, 2)[1].tolist() == [PCM_SCALE, -PCM_SCALE]


def test_time_does_not_go_backwards() -> None:
    ring = AudioRing(10)
    ring.write(ramp(0, 5), 100)
    with pytest.raises(ValueError, match="comes after"):
        ring.write(ramp(0, 5), 104)
