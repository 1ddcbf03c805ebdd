from __future__ import annotations

import asyncio

import numpy as np

from tests.webrtc_host.speech.helpers import MS, S
from webrtc_host.seams import Block, BlockKind
from webrtc_host.speech.intake import PIECE_SAMPLES, Intake


def block(start: int, count: int) -> Block:
    return Block(start, np.zeros(count, dtype=np.float32))


async def test_a_batch_waits_for_enough_audio_or_for_the_time() -> None:
    intake = Intake("C01", 1000, 100)
    intake.put(block(0, 50 * MS))
    waiting = asyncio.create_task(intake.wait_for_batch(30.0))
    await asyncio.sleep(0)
    assert not waiting.done()
    intake.put(block(50 * MS, 50 * MS))
    await waiting
    assert len(intake.take()) == 2
    await intake.wait_for_batch(0.01)  # nothing there: the time decides
    assert not intake


async def test_a_batch_may_become_smaller_and_larger_again() -> None:
    intake = Intake("C01", 1000, 100)
    intake.put(block(0, 50 * MS))
    intake.set_batch(40)
    await intake.wait_for_batch(30.0)
    intake.set_batch(100)
    waiting = asyncio.create_task(intake.wait_for_batch(30.0))
    await asyncio.sleep(0)
    assert not waiting.done()
    intake.put(block(50 * MS, 50 * MS))
    await waiting


async def test_a_full_queue_sheds_the_newest_block_and_accepts_blocks_after_a_take() -> None:
    intake = Intake("C01", 1000, 100)
    for i in range(12):
        intake.put(block(i * 100 * MS, 100 * MS))
    assert intake.samples == S
    assert intake.shed_samples == 200 * MS
    was_shedding = intake.is_shedding
    assert [b.start_sample for b in intake.take()] == [i * 100 * MS for i in range(10)]
    assert (was_shedding, intake.is_shedding) == (True, False)
    intake.put(block(2 * S, 100 * MS))
    assert intake.shed_samples == 200 * MS


async def test_a_long_loss_is_not_shed_and_leaves_space_for_the_audio_after_it() -> None:
    intake = Intake("C01", 4000, 100)
    intake.put(Block(0, np.zeros(11 * S, dtype=np.float32), BlockKind.LOST))
    assert (intake.shed_samples, intake.is_shedding) == (0, False)
    intake.put(block(11 * S, S))
    assert (intake.shed_samples, intake.is_shedding) == (0, False)
    starts = []
    while intake:
        starts += [taken.start_sample for taken in intake.take()]
    assert starts == [0, S, 11 * S]


async def test_a_source_faster_than_real_time_waits_until_half_is_free() -> None:
    intake = Intake("C01", 4000, 100)
    for i in range(3):
        intake.put(block(i * S, S))
    waiting = asyncio.create_task(intake.wait_for_space())
    await asyncio.sleep(0)
    assert not waiting.done()
    intake.take()
    await waiting


async def test_a_long_block_is_taken_in_pieces() -> None:
    intake = Intake("C01", 5000, 100)
    intake.put(block(7, 2 * PIECE_SAMPLES + 5))
    taken = [intake.take() for _ in range(3)]
    assert [[(b.start_sample, len(b.samples)) for b in blocks] for blocks in taken] == [
        [(7, PIECE_SAMPLES)],
        [(7 + PIECE_SAMPLES, PIECE_SAMPLES)],
        [(7 + 2 * PIECE_SAMPLES, 5)],
    ]
