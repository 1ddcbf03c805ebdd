"""Intake: the bounded queue between a channel's source, which never waits, and the thread that listens.

Pure but for `room`, which file sources may wait on. Owns the policy when full: the newest sound is refused,
counted as shed, and said once. Invariant: what waits is never longer than `backlog_ms_max`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from webrtc_host.seams import SAMPLES_PER_MS, Block, BlockKind, CoverageNotes, CoverageState, ms_of

logger = logging.getLogger(__name__)

PIECE_SAMPLES = 1000 * SAMPLES_PER_MS
"""Audio is taken in pieces of this length at most: one hop to the thread stays short, and the ring of past
audio does not run ahead of the windows cut from it.
"""

TOO_SLOW = "too_slow"


class Intake:
    def __init__(
        self, channel_id: str, limit_ms: int, batch_ms: int, notes: CoverageNotes | None = None
    ) -> None:
        self._notes = notes
        self._channel_id = channel_id
        self._limit = limit_ms * SAMPLES_PER_MS
        self._batch = batch_ms * SAMPLES_PER_MS
        self._blocks: deque[Block] = deque()
        self._samples = 0
        self._is_shedding = False
        self._has_batch = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self.shed_samples = 0

    def __bool__(self) -> bool:
        return bool(self._blocks)

    @property
    def samples(self) -> int:
        """What waits."""
        return self._samples

    @property
    def is_shedding(self) -> bool:
        """Something was refused, and the queue has not been empty since."""
        return self._is_shedding

    def put(self, block: Block) -> None:
        is_sound = block.kind is BlockKind.AUDIO
        # A long loss comes in one block. What of it is left out is a hole, as silent; the rest is for sound.
        limit = self._limit if is_sound else self._limit // 2
        for piece in _pieces(block):
            if self._samples + len(piece.samples) > limit:
                if is_sound:
                    self.refuse(piece)
            else:
                self._blocks.append(piece)
                self._samples += len(piece.samples)
        if self._samples >= self._batch:
            self._has_batch.set()
        if self._samples > self._limit // 2:
            self._has_room.clear()

    def refuse(self, block: Block) -> None:
        self.shed_samples += len(block.samples)
        if self._notes is not None:
            self._notes.decide(block.start_sample, block.end_sample, CoverageState.SHED, TOO_SLOW)
        if not self._is_shedding:
            self._is_shedding = True
            waiting = ms_of(self._samples)
            logger.warning("channel %s: audio is shed, %s ms already wait", self._channel_id, waiting)

    def take(self) -> list[Block]:
        """The oldest blocks, about a second at most."""
        taken: list[Block] = []
        samples = 0
        while self._blocks and samples < PIECE_SAMPLES:
            block = self._blocks.popleft()
            taken.append(block)
            samples += len(block.samples)
        self._samples -= samples
        if self._samples < self._batch:
            self._has_batch.clear()
        if self._samples <= self._limit // 2:
            self._has_room.set()
        if not self._blocks:
            self._is_shedding = False
        return taken

    async def batch(self, timeout_s: float) -> None:
        """Until a batch waits, `wake` is called or the time is over."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._has_batch.wait()
        except TimeoutError:
            return

    def wake(self) -> None:
        self._has_batch.set()

    async def room(self) -> None:
        """Until at most half of the queue is taken."""
        await self._has_room.wait()


def _pieces(block: Block) -> list[Block]:
    n = len(block.samples)
    if n <= PIECE_SAMPLES:
        return [block]
    return [
        Block(block.start_sample + at, block.samples[at : at + PIECE_SAMPLES], block.kind)
        for at in range(0, n, PIECE_SAMPLES)
    ]
