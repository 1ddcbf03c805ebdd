"""Reserves space in the encoder's queue for uploads, before anything is decoded, in the order of arrival.

Used in the event loop only; the encoder frees space in its own thread. Invariant: an upload with a
reservation is archived, and an upload that got none in time has changed nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from webrtc_host.archive.block_encoder import BlockEncoder
from webrtc_host.archive.segment_file import ChannelKey
from webrtc_host.seams import Block


class Reservation:
    """Space for one upload. Call `keep` or `release`; a second call of `release` changes nothing."""

    def __init__(self, encoder: BlockEncoder, samples: int) -> None:
        self._encoder = encoder
        self._samples = samples
        self._is_open = True

    def keep(self, session: str, channel: str, block: Block) -> None:
        """Archive the audio; it has exactly as many samples as were reserved."""
        assert self._is_open and len(block.samples) == self._samples
        self._is_open = False
        self._encoder.put_reserved(ChannelKey(session, channel), block)

    def release(self) -> None:
        """Free the space, unless `keep` has used it."""
        if self._is_open:
            self._is_open = False
            self._encoder.release(self._samples)


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    samples: int
    granted: asyncio.Future[None]


class UploadReservations:
    """The uploads that wait for space, first come, first served."""

    def __init__(self, make_encoder: Callable[[Callable[[], None]], BlockEncoder]) -> None:
        """make_encoder: makes the encoder, which calls its argument when space was freed."""
        self._waiters: deque[_Waiter] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.encoder = make_encoder(self._on_space_freed)

    async def reserve(self, samples: int, timeout_s: float) -> Reservation | None:
        """Reserve space for `samples` samples; None when there was none within `timeout_s` seconds."""
        self._loop = asyncio.get_running_loop()
        if not self._waiters and self.encoder.reserve(samples):
            return Reservation(self.encoder, samples)
        waiter = _Waiter(samples, self._loop.create_future())
        self._waiters.append(waiter)
        self._grant()  # space may have become free since the check above
        try:
            await asyncio.wait((waiter.granted,), timeout=timeout_s)
        except asyncio.CancelledError:
            if waiter.granted.done():
                self.encoder.release(samples)
            raise
        finally:
            if not waiter.granted.done():
                self._waiters.remove(waiter)
                self._grant()  # the next upload in the queue may need less space
        return Reservation(self.encoder, samples) if waiter.granted.done() else None

    def _on_space_freed(self) -> None:
        """Called by the encoder, in any thread."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._grant)

    def _grant(self) -> None:
        while self._waiters and self.encoder.reserve(self._waiters[0].samples):
            self._waiters.popleft().granted.set_result(None)
