"""Reads a client's messages before their turn, so that its pings are answered while its audio waits.

Clients that send a file faster than real time are slowed down. Their WebSocket libraries send a ping now and
then and close the connection without an answer in 20 s; behind minutes of unread audio no ping is seen in
time. So the messages wait here, in the memory of this process, up to a limit for each connection and one for
all. Invariants: the order is kept; above a limit nothing is read until messages have left.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from aiohttp import WSMessage, WSMsgType

MESSAGE_COST_BYTES = 200
"""Memory of a message besides its data."""
NAP_S = 0.05
"""A full queue is checked again after this time."""
ENDS = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR)


class Budget:
    """The bytes that wait in the queues of all connections."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.bytes = 0


class ReadAhead:
    """The messages of one connection that wait. `run` is the task that reads; then call `get`."""

    def __init__(self, bytes_max: int, budget: Budget, receive: Callable[[], Awaitable[WSMessage]]) -> None:
        """receive: the next message; raises TimeoutError when none came in time."""
        self._bytes_max = bytes_max
        self._budget = budget
        self._receive = receive
        self._waiting: deque[WSMessage] = deque()
        self._bytes = 0
        self._error: Exception | None = None
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Read until the client has ended the connection. An error comes out of `get`, after the messages."""
        try:
            while True:
                try:
                    message = await self._receive()
                except TimeoutError:
                    if self._waiting:  # the client is silent because its earlier messages wait
                        continue
                    raise
                await self._put(message)
                if message.type in ENDS:
                    return
        except Exception as error:
            self._error = error
            self._news.set()

    async def get(self, joined_bytes_max: int = 0) -> WSMessage:
        """The next message. Raises what `receive` raised.

        joined_bytes_max: binary messages that wait behind a binary one are joined to it, up to this length.
        A server that is behind then does the work of one message instead of many.
        """
        while not self._waiting:
            if self._error is not None:
                raise self._error
            self._news.clear()
            await self._news.wait()
        message = self._taken()
        if message.type is not WSMsgType.BINARY or not message.data:
            return message
        parts, size = [message.data], len(message.data)
        while (more := self._next_bytes()) and size + more <= joined_bytes_max:
            parts.append(self._taken().data)
            size += more
        return message if len(parts) == 1 else WSMessage(WSMsgType.BINARY, b"".join(parts), "")

    def close(self) -> None:
        """Drop what waits. Call it after `run` has ended."""
        self._waiting.clear()
        self._count(-self._bytes)

    def _taken(self) -> WSMessage:
        message = self._waiting.popleft()
        self._count(-cost_of(message))
        return message

    def _next_bytes(self) -> int:
        """Length of the next message, if it is binary; an empty one has a meaning of its own."""
        is_binary = bool(self._waiting) and self._waiting[0].type is WSMsgType.BINARY
        return len(self._waiting[0].data) if is_binary else 0

    async def _put(self, message: WSMessage) -> None:
        cost = cost_of(message)
        # Polled, because messages of another connection may make the room.
        while self._waiting and not self._has_room(cost):  # noqa: ASYNC110
            await asyncio.sleep(NAP_S)
        self._waiting.append(message)
        self._count(cost)
        self._news.set()

    def _has_room(self, cost: int) -> bool:
        return self._bytes + cost <= self._bytes_max and self._budget.bytes + cost <= self._budget.bytes_max

    def _count(self, cost: int) -> None:
        self._bytes += cost
        self._budget.bytes += cost


def cost_of(message: WSMessage) -> int:
    data = message.data
    return MESSAGE_COST_BYTES + (len(data) if isinstance(data, str | bytes | bytearray) else 0)
