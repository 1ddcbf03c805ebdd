from __future__ import annotations

import numpy as np

from host_stt.contract import Float32Array
from host_stt.loudness import loud_frames, loud_range


def sound(*stretches_s: tuple[float, float], length_s: float = 5.0) -> Float32Array:
    """Noise in the given stretches, silence elsewhere."""
    rng = np.random.default_rng(3)
    samples = rng.standard_normal(int(length_s * 16000)).astype(np.float32) * np.float32(1e-4)
    for start, end in stretches_s:
        a, b = int(start * 16000), int(end * 16000)
        samples[a:b] = rng.standard_normal(b - a).astype(np.float32) * np.float32(0.1)
    return samples


def seconds(bounds: list[tuple[int, int]]) -> list[tuple[float, float]]:
    return [(round(a / 16000, 2), round(b / 16000, 2)) for a, b in bounds]


def test_speech_is_distinguished_from_silence() -> None:
    loud = loud_frames(sound((1, 2)))
    assert loud[100:200].all() and not loud[:99].any() and not loud[201:].any()
    assert len(loud_frames(np.zeros(100, np.float32))) == 0
    assert not loud_frames(np.zeros(16000, np.float32)).any()


def test_a_span_is_reduced_to_its_loud_part() -> None:
    loud = loud_frames(sound((1, 2)))
    assert seconds([loud_range(0, 80_000, loud)]) == [(0.96, 2.04)]
    assert loud_range(20_000, 24_000, loud) == (20_000, 24_000)
    assert loud_range(60_000, 70_000, loud) == (60_000, 70_000)


def test_a_pause_is_cut_from_a_word_but_not_from_a_segment() -> None:
    loud = loud_frames(sound((0.5, 0.7), (2, 3)))
    assert seconds([loud_range(0, 80_000, loud)]) == [(1.96, 3.04)]
    assert seconds([loud_range(0, 80_000, loud, pause_frames=None)]) == [(0.46, 3.04)]
