from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_stt.contract import Float32Array
from host_stt.sound import FRAME_SAMPLES, deal_out, drawn_in, loud_frames


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


def test_sound_is_told_from_silence() -> None:
    loud = loud_frames(sound((1, 2)))
    assert loud[100:200].all() and not loud[:99].any() and not loud[201:].any()
    assert len(loud_frames(np.zeros(100, np.float32))) == 0
    assert not loud_frames(np.zeros(16000, np.float32)).any()


def test_a_span_is_drawn_in_to_its_sound() -> None:
    loud = loud_frames(sound((1, 2)))
    assert seconds([drawn_in(0, 80_000, loud)]) == [(0.96, 2.04)]
    assert drawn_in(20_000, 24_000, loud) == (20_000, 24_000)
    assert drawn_in(60_000, 70_000, loud) == (60_000, 70_000)


def test_a_word_holds_no_pause_but_a_segment_may() -> None:
    loud = loud_frames(sound((0.5, 0.7), (2, 3)))
    assert seconds([drawn_in(0, 80_000, loud)]) == [(1.96, 3.04)]
    assert seconds([drawn_in(0, 80_000, loud, pause_frames=None)]) == [(0.46, 3.04)]


def test_words_share_a_stretch_by_their_length() -> None:
    (a, b), (c, d) = seconds(deal_out([" one", " seventeen"], loud_frames(sound((1, 3)))))
    assert (a, b, d) == (1.0, c, 3.0)
    assert 1.4 < b < 1.8


def test_words_are_dealt_to_the_stretch_that_fits_them() -> None:
    words = "alpha one proceed to gate seven bravo two stand by".split()
    bounds = deal_out(words, loud_frames(sound((0.5, 2.5), (3.5, 4.7))))
    assert [
        w for w, (a, _) in zip(words, bounds, strict=True) if a >= 3.4 * 16000
    ] == "bravo two stand by".split()


def test_a_click_gets_no_word() -> None:
    bounds = deal_out("alpha one proceed".split(), loud_frames(sound((0.2, 0.24), (2, 4))))
    assert seconds(bounds)[0][0] == 2.0


def test_a_digit_takes_the_time_of_a_word() -> None:
    (_, b), _ = seconds(deal_out(["Alpha-1", "alpha"], loud_frames(sound((1, 2)))))
    assert 1.5 < b < 1.7


def test_silence_takes_no_words() -> None:
    with pytest.raises(ValueError, match="silence"):
        deal_out(["one"], loud_frames(np.zeros(16000, np.float32)))


@given(
    st.lists(st.text(max_size=8), max_size=12),
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 10)), min_size=1, max_size=5),
)
def test_every_word_gets_a_place_in_order_inside_the_window(
    words: list[str], stretches: list[tuple[int, int]]
) -> None:
    samples = sound(*((a / 10, (a + n) / 10) for a, n in stretches))
    loud = loud_frames(samples)
    bounds = deal_out(words, loud)
    assert len(bounds) == len(words)
    floor = 0
    for start, end in bounds:
        assert floor <= start <= end <= len(loud) * FRAME_SAMPLES
        floor = start
