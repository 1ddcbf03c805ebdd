"""The audio of one channel that the server has not confirmed: what waits, and what may have to be sent again.

Pure, except that `get` waits. Invariant: at most `seconds_max` of audio are held. Older audio leaves, and is
counted as lost.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

RATE = 16_000
SAMPLE_BYTES = 2
JUMP_S = 0.3
"""A larger distance between two blocks is a pause of the source."""


@dataclass(frozen=True, slots=True)
class SoundBlock:
    """data: 16 kHz mono, 16-bit little-endian. end_s: when its last sample was recorded."""

    data: bytes
    end_s: float

    @property
    def seconds(self) -> float:
        return len(self.data) / SAMPLE_BYTES / RATE

    @property
    def start_s(self) -> float:
        return self.end_s - self.seconds


class Backlog:
    def __init__(self, seconds_max: float) -> None:
        self._bytes_max = round(seconds_max * RATE) * SAMPLE_BYTES
        self._blocks: deque[SoundBlock] = deque()
        self._held_bytes = 0
        self._removed = 0  # blocks that have left
        self._sent = 0  # so many blocks at the front were sent
        self._has_news = asyncio.Event()
        self._is_finished = False
        self.lost_s = 0.0
        """Audio that left before the server had confirmed it, or that was never recorded."""
        self.taken_s = 0.0
        """All audio that came in."""

    @property
    def is_empty(self) -> bool:
        """True if there is no block that was not sent yet."""
        return self._sent == len(self._blocks)

    @property
    def is_finished(self) -> bool:
        return self._is_finished

    @property
    def sent(self) -> int:
        """The number of the newest block that was sent, for `confirm`."""
        return self._removed + self._sent

    def put(self, block: SoundBlock) -> None:
        self._blocks.append(block)
        self._held_bytes += len(block.data)
        self.taken_s += block.seconds
        while self._held_bytes > self._bytes_max:
            self._lose_first()
        self._has_news.set()

    def finish(self) -> None:
        """The source has ended: no block follows."""
        self._is_finished = True
        self._has_news.set()

    async def get(self) -> SoundBlock | None:
        """The next block to send. None: the source has ended, and everything was sent."""
        while self.is_empty:
            if self._is_finished:
                return None
            self._has_news.clear()
            await self._has_news.wait()
        self._sent += 1
        return self._blocks[self._sent - 1]

    def confirm(self, number: int) -> None:
        """The server has the block of this number, and those before it."""
        while self._sent and self._removed < number:
            self._remove_first()

    def rewind(self, oldest_s: float) -> float | None:
        """Send again what is not confirmed. The start of that audio; None: there is none.

        Audio from before `oldest_s` is lost. The server counts samples from the start, so audio from before
        the last pause of the source is lost too.
        """
        while self._blocks and self._blocks[0].start_s < oldest_s:
            self._lose_first()
        for _ in range(self._last_jump()):
            self._lose_first()
        self._sent = 0
        return self._blocks[0].start_s if self._blocks else None

    def abandon(self) -> None:
        """Nothing is sent any more: what the server has not confirmed is lost."""
        while self._blocks:
            self._lose_first()

    def _last_jump(self) -> int:
        """The index of the block after the last pause; 0 without a pause."""
        for at in range(len(self._blocks) - 1, 0, -1):
            if self._blocks[at].start_s - self._blocks[at - 1].end_s > JUMP_S:
                return at
        return 0

    def _lose_first(self) -> None:
        self.lost_s += self._blocks[0].seconds
        self._remove_first()

    def _remove_first(self) -> None:
        self._held_bytes -= len(self._blocks.popleft().data)
        self._removed += 1
        self._sent = max(0, self._sent - 1)
