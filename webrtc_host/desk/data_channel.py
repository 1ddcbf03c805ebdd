"""The data channel `transcript`: a connection's own events back to the peer that speaks.

Owns the wait for a `resume` message, the back pressure of SCTP and the end with the channel. Knows of aiortc
only what `Wire` names. Carries the events of its connection's channels, from the moment it was attached or
from `since`.
Invariant: at most BUFFER_BYTES_MAX (plus one event) wait inside SCTP for a slow peer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from webrtc_host.desk.subscribers import LAST_WORDS_S, Subscribers, Watcher
from webrtc_host.desk.watching import SEQ_MAX, log_of, pump
from webrtc_host.errors import Overloaded
from webrtc_host.sessions import Session
from webrtc_host.transcript.event_log import Event

logger = logging.getLogger(__name__)

RESUME_WAIT_S = 0.5
"""A client that resumes says so once the channel opens; live events wait this long for it, none is lost."""
BUFFER_BYTES_MAX = 256 * 1024
MESSAGE_CHARS_MAX = 1000


class Wire(Protocol):
    """What is used of aiortc's RTCDataChannel."""

    bufferedAmountLowThreshold: int

    @property
    def readyState(self) -> str: ...

    @property
    def bufferedAmount(self) -> int: ...

    def send(self, data: bytes | str) -> None: ...

    def on(self, event: str, f: Callable[..., Any]) -> Callable[..., Any]: ...


class DataChannels:
    """All data channels of the process; `attach` is what `media.peer` calls."""

    def __init__(self, subscribers: Subscribers, *, resume_wait_s: float = RESUME_WAIT_S) -> None:
        self._subscribers = subscribers
        self._resume_wait_s = resume_wait_s
        self._tasks: set[asyncio.Task[None]] = set()

    def attach(self, channel: Wire, session: Session, channel_ids: Iterable[str]) -> None:
        """Send the events of these channels into the data channel until it closes."""
        task = asyncio.create_task(
            self._serve(channel, session, frozenset(channel_ids)), name=f"data channel of {session.id}"
        )
        self._tasks.add(task)
        task.add_done_callback(self._done)
        channel.on("close", lambda *_: task.cancel())

    async def close(self) -> None:
        """Wait for all to have said their last words (`Subscribers.close` ends them)."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=LAST_WORDS_S)
        for task in self._tasks:
            task.cancel()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("%s failed", task.get_name(), exc_info=error)

    async def _serve(self, channel: Wire, session: Session, channel_ids: frozenset[str]) -> None:
        log = log_of(session)
        attached_at = log.head_seq
        resumed = asyncio.get_running_loop().create_future()
        channel.on("message", lambda message: _take_resume(message, resumed))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._resume_wait_s):
                attached_at = await resumed
        try:
            watcher = self._subscribers.join(log, channel_ids, attached_at)
        except Overloaded as refused:
            logger.warning("session %s: a data channel gets no events: %s", session.id, refused.message)
            return
        try:
            await self._send_all(channel, watcher)
        finally:
            self._subscribers.leave(watcher)

    async def _send_all(self, channel: Wire, watcher: Watcher) -> None:
        drained = asyncio.Event()
        channel.bufferedAmountLowThreshold = BUFFER_BYTES_MAX // 2
        channel.on("bufferedamountlow", lambda *_: drained.set())

        async def send(event: Event) -> None:
            if channel.bufferedAmount > BUFFER_BYTES_MAX:
                drained.clear()
                await drained.wait()
            if channel.readyState != "open":
                raise ConnectionResetError("the data channel has closed")
            channel.send(event.text)

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
