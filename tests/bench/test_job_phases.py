"""The comparison of live finals with and without a job: which finals count, and what the interval says."""

from __future__ import annotations

import numpy as np

from bench.job_phases import Block, Final, Phase, blocks_of, compared


def test_only_finals_inside_of_a_phase_count_and_a_block_needs_both_sides() -> None:
    phases = [Phase(0, False, 0, 10), Phase(0, True, 12, 20), Phase(1, True, 30, 40)]
    finals = [Final(1, 100), Final(9.9, 110), Final(11, 999), Final(12, 200), Final(35, 300)]
    (block,) = blocks_of(phases, finals)
    assert (list(block.without), list(block.beside)) == ([100, 110], [200])


def test_a_delay_is_found_although_the_machine_drifts_more_than_it() -> None:
    random = np.random.default_rng(3)
    drifts = random.uniform(0, 2000, 12)
    blocks = [
        Block(drift + random.normal(500, 20, 60), drift + random.normal(620, 20, 60)) for drift in drifts
    ]
    found = compared(blocks)["difference_p50_ms"]
    assert found["low"] > 0 and abs(found["found"] - 120) < 60
    same = [Block(block.without, block.without) for block in blocks]
    assert compared(same)["difference_p95_ms"] == {"found": 0, "low": 0, "high": 0}
