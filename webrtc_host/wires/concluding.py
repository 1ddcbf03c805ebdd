"""What follows the last final of a conversation: a door makes something of the whole text, such as a summary.

It may take minutes. Meanwhile the client's pings are answered, and a client that leaves ends the wait.
Invariants: only a client that said that it is done is waited for; no task is left after `stop`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from aiohttp import WSMessage, WSMsgType

from webrtc_host.errors import RequestError
from webrtc_host.wires.messages import STOPPED, Concluded, End, Opened

logger = logging.getLogger(__name__)

Receive = Callable[[], Awaitable[WSMessage]]
"""The client's next message that is not a ping; pings are answered."""


class Companion(Protocol):
    """Accompanies one conversation."""

    async def opened(self, opened: Opened) -> None:
        """The channels are open."""
        ...

    async def ended(self, end: End) -> None:
        """The channels are closed, and the last finals are saved. Never waits long."""
        ...

    async def conclude(self) -> Concluded:
        """The result for a client that waits for it; called after `ended`."""
        ...


class Concluding:
    def __init__(self, companion: Companion) -> None:
        self._companion = companion
        self._working: asyncio.Task[Concluded] | None = None
        self._is_stopped = False

    async def opened(self, opened: Opened) -> None:
        await self._companion.opened(opened)

    async def result(self, end: End, receive: Receive) -> Concluded | None:
        """The result; None when the client does not wait for it, or left meanwhile."""
        try:
            await self._companion.ended(end)
        except Exception:
            logger.exception("the end of a socket could not be noted")
        if end.reason != STOPPED or end.error is not None or self._is_stopped:
            return None
        self._working = asyncio.create_task(self._companion.conclude(), name="conclude of socket")
        reading = asyncio.create_task(_until_left(receive), name="wait with client of socket")
        try:
            await asyncio.wait((self._working, reading), return_when=asyncio.FIRST_COMPLETED)
        finally:
            reading.cancel()
            self._working.cancel()
            await asyncio.wait((self._working, reading))
        if self._working.cancelled():
            return None
        if (error := self._working.exception()) is not None:
            logger.error("the text of a socket could not be concluded", exc_info=error)
            return None
        return self._working.result()

    async def stop(self) -> None:
        """Give up the result: the handler of the socket ends."""
        self._is_stopped = True
        if self._working is not None:
            self._working.cancel()
            await asyncio.wait((self._working,))


async def _until_left(receive: Receive) -> None:
    """Read and drop messages until the client has left."""
    try:
        while (await receive()).type in (WSMsgType.TEXT, WSMsgType.BINARY):
            pass
    except (RequestError, ConnectionError):
        pass  # too many messages, or a connection that is gone
