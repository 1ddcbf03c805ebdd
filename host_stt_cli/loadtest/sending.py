"""The beat that all channels send to, and what a line must be able to do.

Owns time: frame n of a line is due at a moment that follows from the beginning alone, so a late tick is made
up for and never adds up. How late it was is kept: a generator that cannot keep time measures itself.
Invariant: a frame is sent at most once, in order.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Sequence
from typing import Protocol

FRAME_S = 0.02
PHASES = 4
"""Lines are spread over the 20 ms in so many groups: real ones do not send in step."""


class LineError(Exception):
    """A line could not be opened, in one plain sentence."""


class Lines(Protocol):
    """One connection with one channel or more."""

    @property
    def channels(self) -> Sequence[str]: ...

    async def open(self) -> None:
        """Raises LineError."""

    async def send(self, frame: int) -> None:
        """Frame n of each channel; returns at once, and does nothing while the connection is down."""

    async def reconnect(self) -> None:
        """Lose the connection and get the same channels again. Raises LineError."""

    async def hang_up(self) -> None:
        """Let the server read the last words, then close. Never raises."""


class Beat:
    """Runs lines until it is told to stop."""

    def __init__(self, lines: Sequence[Lines]) -> None:
        self._groups = [list(lines[n::PHASES]) for n in range(PHASES)]
        self._phase_of = {id(line): number % PHASES for number, line in enumerate(lines)}
        self.began_s = 0.0  # on the loop's clock
        self.late_ms = array("f")
        self.sent_frames = 0

    def due_s(self, line: Lines, frame: int = 0) -> float:
        """When a frame of this line is due, on the loop's clock."""
        return self.began_s + self._phase_of[id(line)] * FRAME_S / PHASES + frame * FRAME_S

    async def run(self, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        self.began_s = loop.time()
        tick = 0
        while not stop.is_set():
            due_s = self.began_s + tick * FRAME_S / PHASES
            await asyncio.sleep(max(0.0, due_s - loop.time()))
            group = self._groups[tick % PHASES]
            if group:
                self.late_ms.append(max(0.0, loop.time() - due_s) * 1000)
            for line in group:
                await line.send(tick // PHASES)
            self.sent_frames += len(group)
            tick += 1
