"""Mutated RTP packets: the short form of `scripts/bench_media.py --fuzz 100000`."""

from __future__ import annotations

import logging

import pytest

from bench.media_fuzz import fuzz


@pytest.mark.parametrize("seed", [1, 2])
async def test_2000_mutated_packets_affect_no_other_packets(
    seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.CRITICAL):
        report = await fuzz(2_000, seed)
    assert report.counts is not None
    assert (report.escaped, report.overlaps, report.counts.failed, report.over) == (0, 0, 0, "")
    assert report.direct > 1_000 and report.refused > 0
    assert report.blocks > 500 and report.growth_mb < 30
