"""Intake: the bounded queue between a channel's source, which never waits, and the analysis thread.

When the queue is full, the newest audio is dropped: counted as shed, reported to coverage, and logged once.
Pure, except for waiting: the pipeline waits for a batch, file sources wait for free space.
Invariant: the waiting audio is never longer than `backlog_ms_max`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from webrtc_host.seams import SAMPLES_PER_MS, Block, BlockKind, CoverageNotes, CoverageState, ms_of

logger = logging.getLogger(__name__)

PIECE_SAMPLES = 1000 * SAMPLES_PER_MS
"""Audio is taken in pieces of at most this length: then one call of the thread is short, and the audio
buffer does not get ahead of the windows that are cut from it.
"""

TOO_SLOW = "too_slow"


class Intake:
    """The queue of one channel."""

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
        self._has_space = asyncio.Event()
        self._has_space.set()
        self.shed_samples = 0

    def __bool__(self) -> bool:
        return bool(self._blocks)

    @property
    def samples(self) -> int:
        """Samples that wait."""
        return self._samples

    @property
    def is_shedding(self) -> bool:
        """True after audio was dropped, until the queue has been empty."""
        return self._is_shedding

    def refuse(self, block: Block) -> None:
        """Count a block that came after the end of the pipeline: nothing takes it from the queue any more."""
        self.shed_samples += len(block.samples)

    def put(self, block: Block) -> None:
        is_audio = block.kind is BlockKind.AUDIO
        # A long loss comes as one block of silence. Half of the queue stays free for real audio; silence that
        # is left out becomes a gap, which is as silent.
        limit = self._limit if is_audio else self._limit // 2
        for piece in _pieces(block):
            if self._samples + len(piece.samples) > limit:
                if is_audio:
                    self.shed(piece)
            else:
                self._blocks.append(piece)
                self._samples += len(piece.samples)
        if self._samples >= self._batch:
            self._has_batch.set()
        if self._samples > self._limit // 2:
            self._has_space.clear()

    def shed(self, block: Block) -> None:
        self.shed_samples += len(block.samples)
        if self._notes is not None:
            self._notes.decide(block.start_sample, block.end_sample, CoverageState.SHED, TOO_SLOW)
        if not self._is_shedding:
            self._is_shedding = True
            waiting = ms_of(self._samples)
            logger.warning("channel %s: audio is shed, %s ms already wait", self._channel_id, waiting)

    def take(self) -> list[Block]:
        """The oldest blocks, at most about one second."""
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
            self._has_space.set()
        if not self._blocks:
            self._is_shedding = False
        return taken

    def set_batch(self, batch_ms: int) -> None:
        """Change how much audio makes a batch."""
        self._batch = batch_ms * SAMPLES_PER_MS
        if self._samples >= self._batch:
            self._has_batch.set()
        else:
            self._has_batch.clear()

    async def wait_for_batch(self, timeout_s: float) -> None:
        """Wait until a batch is there, `wake` is called, or the time is over."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._has_batch.wait()
        except TimeoutError:
            return

    def wake(self) -> None:
        self._has_batch.set()

    async def wait_for_space(self) -> None:
        """Wait until at most half of the queue is used."""
        await self._has_space.wait()


def _pieces(block: Block) -> list[Block]:
    n = len(block.samples)
    if n <= PIECE_SAMPLES:
        return [block]
    return [
        Block(block.start_sample + at, block.samples[at : at + PIECE_SAMPLES], block.kind)
        for at in range(0, n, PIECE_SAMPLES)
    ]
