"""Send frames of all channels at the right time, and define what a line must be able to do.

Controls the time: frame n of a line is due at a fixed time after the start, so a late tick does not delay the
next ones. Stores how late each tick was, because a load generator that is late measures itself. Invariant: a
frame is sent at most once, in order.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Sequence
from typing import Protocol

FRAME_S = 0.02
PHASES = 4
"""The lines are spread over the 20 ms in this many groups, because real clients do not send at the same
instant.
"""


class LineError(Exception):
    """A line could not be opened; the text is one plain sentence."""


class Lines(Protocol):
    """One connection with one or more channels."""

    @property
    def channels(self) -> Sequence[str]: ...

    async def open(self) -> None:
        """Raises LineError."""

    async def send(self, frame: int) -> None:
        """Send frame n of each channel. Returns at once; does nothing while the connection is down."""

    async def reconnect(self) -> None:
        """Close the connection without notice and get the same channels again. Raises LineError."""

    async def hang_up(self) -> None:
        """Wait until the server has transcribed the last words, then close. Never raises."""


class Beat:
    """Sends the frames of all lines until `stop` is set."""

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
