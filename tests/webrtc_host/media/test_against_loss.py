"""The media path reaches its figures on simulated networks: a short run of `scripts/bench_media.py`."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from bench.network import PACKET, TABLE, Network
from bench.replay import compare
from tests.support.speech import say, silence
from webrtc_host.media.libopus import OpusEncoder

SECONDS = 16


@cache
def payloads(with_dtx: bool) -> tuple[bytes, ...]:
    sound = np.concatenate([say("alpha one proceed to gate seven over"), silence(1.0)])
    sound = np.tile(sound, 20)[: SECONDS * 16_000]
    sound += np.random.default_rng(1).normal(0, 1e-4, len(sound)).astype(np.float32)
    encoder = OpusEncoder(with_repair=True, expected_loss_percent=10, with_dtx=with_dtx, complexity=2)
    return tuple(encoder.encode(piece) for piece in sound.astype(np.float32).reshape(-1, PACKET))


@pytest.mark.parametrize("network", TABLE, ids=[network.name for network in TABLE])
def test_audio_loss_is_at_most_packet_loss_and_every_word_keeps_its_time(network: Network) -> None:
    lost, ours, stock = compare(payloads(network.dtx), network, seed=1)
    assert ours.lost <= lost
    assert ours.error_ms <= 20
    assert ours.above_target_s <= 2.0, "the lag returns to its start value"
    if network.loss >= 0.02:
        assert ours.lost < 0.9 * lost, "copies in the next packet restore some packets"
        assert ours.lost < 0.5 * stock.lost


def test_the_same_seed_gives_the_same_figures() -> None:
    network = TABLE[-1]
    first, second = (compare(payloads(False), network, seed=3) for _ in range(2))
    assert (first[0], first[1].lost, first[1].error_ms) == (second[0], second[1].lost, second[1].error_ms)
