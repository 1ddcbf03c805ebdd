"""A sender's clock drift is measured from the packets with the least delay; it corrects no position."""

from __future__ import annotations

import numpy as np
import pytest

from host_stt.contract import SAMPLE_RATE
from webrtc_host.media.drift import Drift, DriftConfig

MINUTE = 60 * SAMPLE_RATE


def play(drift: Drift, minutes: float, ppm: float, *, jitter_ms: float = 20.0, seed: int = 4) -> None:
    """20 ms packets of a sender whose clock is fast by ppm, over a network with exponential jitter."""
    rng = np.random.default_rng(seed)
    sent = np.arange(0, minutes * MINUTE, 320)
    arrivals = sent / (1 + ppm / 1e6) + rng.exponential(jitter_ms * 16, len(sent))
    for sample, arrival in zip(sent.tolist(), np.maximum.accumulate(arrivals).tolist(), strict=True):
        drift.feed(int(sample), round(arrival))


@pytest.mark.parametrize("ppm", [-300.0, 0.0, 80.0])
def test_drift_is_found_within_10_ppm_after_two_minutes_and_2_after_ten(ppm: float) -> None:
    drift = Drift()
    play(drift, 2.1, ppm)
    assert drift.ppm is not None and abs(drift.ppm - ppm) < 10
    drift = Drift()
    play(drift, 10, ppm)
    assert drift.ppm is not None and abs(drift.ppm - ppm) < 2


def test_too_few_packets_give_no_figure() -> None:
    drift = Drift()
    play(drift, 0.5, 100)
    assert drift.ppm is None


def test_memory_is_bounded() -> None:
    drift = Drift(DriftConfig(anchors_max=10))
    play(drift, 5, 0)
    assert len(drift.anchors) == 10


def test_a_jump_of_the_clock_resets_the_measurement() -> None:
    drift = Drift()
    play(drift, 2, 100)
    drift.restart()
    assert drift.ppm is None
