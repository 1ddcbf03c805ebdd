"""The data channel `transcript`: sends the events of a connection's channels to its peer.

It waits for a `resume` message, applies the back pressure of SCTP, and ends with the channel. Of aiortc it
uses only the names in `Wire`. It sends events from the moment it was attached, or from `since`.
Invariant: at most BUFFER_BYTES_MAX (plus one event) wait inside SCTP for a slow peer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

from webrtc_host.desk.subscribers import LAST_WORDS_S, Subscribers, Watcher
from webrtc_host.desk.watching import SEQ_MAX, pump
from webrtc_host.errors import Overloaded
from webrtc_host.session.session import Session
from webrtc_host.transcript.event_log import EncodedEvent, ReadableLog

logger = logging.getLogger(__name__)

RESUME_WAIT_S = 0.5
"""Time that live events wait for a resume message after the channel has opened. No event is lost."""
BUFFER_BYTES_MAX = 256 * 1024
MESSAGE_CHARS_MAX = 1000
DRAIN_S = 1.0
DRAIN_POLL_S = 0.05


class Wire(Protocol):
    """The part of aiortc's RTCDataChannel that is used here."""

    bufferedAmountLowThreshold: int

    @property
    def readyState(self) -> str: ...

    @property
    def bufferedAmount(self) -> int: ...

    def send(self, data: bytes | str) -> None: ...

    def on(self, event: str, f: Callable[..., Any]) -> Callable[..., Any]: ...


class DataChannels:
    """All data channels of the process; `attach` is what `transport.peer` calls."""

    def __init__(self, subscribers: Subscribers, *, resume_wait_s: float = RESUME_WAIT_S) -> None:
        self._subscribers = subscribers
        self._resume_wait_s = resume_wait_s
        self._tasks: set[asyncio.Task[None]] = set()

    def attach(
        self, channel: Wire, session: Session, channel_ids: Iterable[str]
    ) -> Callable[[], Awaitable[None]]:
        """Send the events of these channels into the data channel until it closes.

        Returns what waits until everything emitted so far has left, for a peer that is about to close.
        """
        link = _Link(channel, session.log, self._subscribers, self._resume_wait_s)
        task = asyncio.create_task(link.run(frozenset(channel_ids)), name=f"data channel of {session.id}")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        channel.on("close", lambda *_: task.cancel())
        return link.drain

    async def close(self) -> None:
        """Wait until all have sent their last events (`Subscribers.close` ends them)."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=LAST_WORDS_S)
        for task in self._tasks:
            task.cancel()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("%s failed", task.get_name(), exc_info=error)


class _Link:
    """One data channel with its watcher."""

    def __init__(
        self, channel: Wire, log: ReadableLog, subscribers: Subscribers, resume_wait_s: float
    ) -> None:
        self._channel = channel
        self._log = log
        self._subscribers = subscribers
        self._resume_wait_s = resume_wait_s
        self._resumed: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._attached_at = log.visible_seq
        self._watcher: Watcher | None = None
        self._is_over = False
        channel.on("message", lambda message: _take_resume(message, self._resumed))

    async def run(self, channel_ids: frozenset[str]) -> None:
        since = self._attached_at
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._resume_wait_s):
                since = await self._resumed
        try:
            self._watcher = self._subscribers.join(self._log, channel_ids, since)
        except Overloaded as refused:
            logger.warning(
                "session %s: a data channel gets no events: %s", self._log.session, refused.message
            )
            return
        try:
            await self._send_all(self._watcher)
        finally:
            self._is_over = True
            self._subscribers.leave(self._watcher)

    async def drain(self) -> None:
        """Wait until the peer has received all events, as far as this side can find out; DRAIN_S at most."""
        if not self._resumed.done():
            self._resumed.set_result(self._attached_at)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while self._has_unsent():  # noqa: ASYNC110  # SCTP's queue sets no event when it is empty
                    await asyncio.sleep(DRAIN_POLL_S)
                # SCTP may still hold data, and closing the association would drop it.
                await asyncio.sleep(DRAIN_POLL_S)

    def _has_unsent(self) -> bool:
        if self._is_over or self._channel.readyState != "open":
            return False
        return self._watcher is None or self._watcher.has_waiting or self._channel.bufferedAmount > 0

    async def _send_all(self, watcher: Watcher) -> None:
        drained = asyncio.Event()
        self._channel.bufferedAmountLowThreshold = BUFFER_BYTES_MAX // 2
        self._channel.on("bufferedamountlow", lambda *_: drained.set())

        async def send(event: EncodedEvent) -> None:
            if self._channel.bufferedAmount > BUFFER_BYTES_MAX:
                drained.clear()
                await drained.wait()
            if self._channel.readyState != "open":
                raise ConnectionResetError("the data channel has closed")
            self._channel.send(event.text)

        with contextlib.suppress(ConnectionResetError):
            end = await pump(watcher, send)
            logger.debug("session %s: a data channel ended: %s", watcher.session, end)


def _take_resume(message: object, resumed: asyncio.Future[int]) -> None:
    """`{"type":"resume","since":41}`, once, before the first event; anything else is ignored."""
    if resumed.done() or not isinstance(message, str) or len(message) > MESSAGE_CHARS_MAX:
        return
    try:
        body = json.loads(message)
    except (ValueError, RecursionError):
        return
    if not isinstance(body, dict) or body.get("type") != "resume":
        return
    since = body.get("since")
    if isinstance(since, int) and not isinstance(since, bool) and 0 <= since <= SEQ_MAX:
        resumed.set_result(since)
