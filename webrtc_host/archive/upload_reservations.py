"""Room in the encoder's queue for uploads: reserved before anything is read, waited for in order of arrival.

Used from the event loop alone; the encoder gives room back in its own thread. Invariant: an upload whose room
was reserved is kept, and one that got none in time has changed nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from webrtc_host.archive.block_encoder import BlockEncoder
from webrtc_host.archive.writer import Place
from webrtc_host.seams import Block


class Reservation:
    """Room for one upload. Give it to `keep` or to `release`, whichever comes first."""

    def __init__(self, encoder: BlockEncoder, samples: int) -> None:
        self._encoder = encoder
        self._samples = samples
        self._is_open = True

    def keep(self, session: str, channel: str, block: Block) -> None:
        """Hand the audio over; it has as many samples as were reserved."""
        assert self._is_open and len(block.samples) == self._samples
        self._is_open = False
        self._encoder.put_reserved(Place(session, channel), block)

    def release(self) -> None:
        """Give the room back, unless the audio was kept."""
        if self._is_open:
            self._is_open = False
            self._encoder.release(self._samples)


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    samples: int
    granted: asyncio.Future[None]


class UploadReservations:
    def __init__(self, encoder: BlockEncoder) -> None:
        self._encoder = encoder
        self._waiters: deque[_Waiter] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        encoder.on_room = self._room_was_given_back

    async def reserve(self, samples: int, timeout_s: float) -> Reservation | None:
        """Room for so many samples; None when there was none within `timeout_s` seconds."""
        self._loop = asyncio.get_running_loop()
        if not self._waiters and self._encoder.reserve(samples):
            return Reservation(self._encoder, samples)
        waiter = _Waiter(samples, self._loop.create_future())
        self._waiters.append(waiter)
        self._grant()  # room may have come back since
        try:
            await asyncio.wait((waiter.granted,), timeout=timeout_s)
        except asyncio.CancelledError:
            if waiter.granted.done():
                self._encoder.release(samples)
            raise
        finally:
            if not waiter.granted.done():
                self._waiters.remove(waiter)
                self._grant()  # one behind it may need less
        return Reservation(self._encoder, samples) if waiter.granted.done() else None

    def _room_was_given_back(self) -> None:
        """Called in any thread."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._grant)

    def _grant(self) -> None:
        while self._waiters and self._encoder.reserve(self._waiters[0].samples):
            self._waiters.popleft().granted.set_result(None)
