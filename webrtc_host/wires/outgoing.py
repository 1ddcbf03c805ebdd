"""Sends a connection's frames in the order in which they were given, and notices a client that does not read.

Before the upgrade, frames wait. Two tasks send: the one that reads (for replies), and the one that brings
results.
Invariant: a frame is sent whole and once, or the client is gone or stuck.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable

from webrtc_host.errors import Overloaded
from webrtc_host.wires.caller import FrameSocket
from webrtc_host.wires.messages import Frame, Goodbye

SEND_S = 10.0
"""A client that does not read a frame for so long is disconnected."""
CLOSE_TIMEOUT_S = 2.0
"""Time for the last frames, and for the client's close frame."""
REASON_BYTES_MAX = 123
"""Of a close frame."""


class Outgoing:
    def __init__(self) -> None:
        self._socket: FrameSocket | None = None
        self._frames: deque[Frame] = deque()
        self._sending = asyncio.Lock()
        self.is_stuck = False

    async def begin(self, socket: FrameSocket) -> None:
        """The connection was upgraded: send what waits. Raises Overloaded as `say`."""
        self._socket = socket
        await self.say(())

    async def say(self, frames: Iterable[Frame]) -> None:
        """Send frames. Raises Overloaded when the client does not read."""
        self._frames.extend(frames)
        if self._socket is None or not self._frames:
            return
        async with self._sending:
            try:
                async with asyncio.timeout(SEND_S):
                    while self._frames and not self.is_stuck:
                        await self._send(self._socket, self._frames.popleft())
            except ConnectionError:
                self._frames.clear()  # the client has left; the task that reads notices it
            except TimeoutError as error:
                self.is_stuck = True
                self._frames.clear()
                raise Overloaded("too_slow", "the results were not read", retry_after_s=1.0) from error

    async def close(self, goodbye: Goodbye) -> None:
        """Send the last frames and the close frame, as far as the client reads them."""
        if self._socket is None:
            return
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                for frame in () if self.is_stuck else goodbye.frames:
                    await self._send(self._socket, frame)
        reason = goodbye.reason.encode()[:REASON_BYTES_MAX].decode(errors="ignore").encode()
        with contextlib.suppress(ConnectionError, TimeoutError):
            await self._socket.close(code=goodbye.code, message=reason, drain=False)

    @staticmethod
    async def _send(socket: FrameSocket, frame: Frame) -> None:
        if isinstance(frame, str):
            await socket.send_str(frame)
        else:
            await socket.send_bytes(frame)
