"""The client of the engine: sends windows to 8081 and receives results, across restarts of the engine.

This module holds one WebSocket to `GET /v1/windows`, and the windows without a result.
Invariants: every call of `transcribe` ends with a transcript or an EngineError. A final is sent again after a
lost connection until it has a result, has failed three times, or its deadline has passed. Of one channel's
interims only the newest waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import aiohttp

from host_stt.contract import (
    ContractError,
    Priority,
    Transcript,
    Window,
    WindowError,
    decode_answer,
    encode_window,
)
from host_stt_common.number_limits import check_ranges
from host_stt_common.plain import plain_error
from webrtc_host.errors import EngineError

logger = logging.getLogger(__name__)

ANSWER_BYTES_MAX = 4 * 1024 * 1024
SUSPECT_AFTER = 2
"""A window that was in flight at this many engine losses is sent alone. So a window that crashes engines is
found, and the other windows do not fail with it.
"""
TRIED = "engine_failed"
"""The only retryable error code that means the engine tried to decode the window.

The others mean: try later.
"""


QUIET_ATTEMPTS = 8
"""Failed connection attempts before a warning: about 5 s with the default backoff. An engine that starts with
this process listens by then.
"""


@dataclass(frozen=True, slots=True)
class TranscriberConfig:
    """Limits and times of the client."""

    url: str = "http://127.0.0.1:8081"  # of the engine
    token: str = ""  # its auth.token, when it has one
    windows_max: int = 2048  # windows without a result; 10 s at 16 bit are 320 kB
    attempts_max: int = 3  # per final; only attempts that the engine really made are counted
    retry_ms: int = 500  # between two attempts
    backoff_ms_max: int = 2000  # longest wait between two connection attempts
    connect_timeout_ms: int = 5000
    heartbeat_ms: int = 10_000  # a connection without a reply to a ping for so long is closed

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ValueError(f"engine url {self.url!r} does not begin with http:// or https://")
        ranges = (
            ("windows_max", 1, 100_000),
            ("attempts_max", 1, 100),
            ("retry_ms", 0, 60_000),
            ("backoff_ms_max", 10, 60_000),
            ("connect_timeout_ms", 100, 60_000),
            ("heartbeat_ms", 1000, 60_000),
        )
        check_ranges(self, ranges)


@dataclass(frozen=True, slots=True)
class TranscriberStatistics:
    """Counters since the start, and what waits now."""

    is_connected: bool
    waiting: int  # accepted, not sent
    in_flight: int  # sent, without a result
    answered: int
    shed: int  # interims that a newer one replaced, here or in the engine
    failed: int
    retried: int  # windows sent again after an error
    resent: int  # windows sent again after a lost connection
    connections: int
    last_error: str  # why the engine cannot be reached; empty while it can


@dataclass(slots=True)
class _Pending:
    window: Window
    answer: asyncio.Future[Transcript]
    deadline_s: float  # on the clock
    order: int
    is_sent: bool = False
    attempts: int = 0
    not_before_s: float = 0.0
    losses: int = 0  # connections that were lost while it was in flight

    @property
    def is_suspect(self) -> bool:
        return self.losses >= SUSPECT_AFTER


@dataclass(slots=True)
class _Counts:
    answered: int = 0
    shed: int = 0
    failed: int = 0
    retried: int = 0
    resent: int = 0
    connections: int = 0


@dataclass(slots=True)
class _State:
    pending: dict[str, _Pending] = field(default_factory=dict)
    socket: aiohttp.ClientWebSocketResponse | None = None
    last_error: str = "not started"
    attempts: int = 0  # to connect, since the last connection


class EngineClient:
    """Call `start`, then `transcribe` any number of times at once, and `close`."""

    def __init__(self, config: TranscriberConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._clock = clock
        self._state = _State()
        self._counts = _Counts()
        self._order = itertools.count()
        self._work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False

    async def start(self) -> None:
        """Start connecting in the background, for as long as it takes; returns at once."""
        if self._task is None:
            self._task = asyncio.create_task(self._stay_connected(), name="engine-client")

    async def close(self) -> None:
        """Close the connection. Windows that still wait fail with `engine_stopping`."""
        self._is_closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for pending in list(self._state.pending.values()):
            self._fail(pending, EngineError("engine_stopping", "the connection to the engine was closed"))

    async def transcribe(self, window: Window) -> Transcript:
        """The engine's result for a window; see `seams.Transcriber`."""
        if self._is_closed:
            raise EngineError("engine_stopping", "the connection to the engine was closed")
        if window.id in self._state.pending:
            raise ValueError(f"window {window.id} is already in flight")
        self._drop_replaced(window)
        deadline = self._clock() + window.deadline_ms / 1000
        future: asyncio.Future[Transcript] = asyncio.get_running_loop().create_future()
        pending = _Pending(window, future, deadline, next(self._order))
        self._state.pending[window.id] = pending
        self._work.set()
        try:
            async with asyncio.timeout(window.deadline_ms / 1000):
                return await future
        except TimeoutError:
            self._counts.failed += 1
            raise self._deadline_error(pending) from None
        finally:
            self._state.pending.pop(window.id, None)
            self._work.set()  # the end of a suspect lets the other windows be sent

    @property
    def is_connected(self) -> bool:
        return self._state.socket is not None

    @property
    def unanswered(self) -> int:
        """Windows without a result, waiting or sent."""
        return len(self._state.pending)

    @property
    def unanswered_finals(self) -> int:
        """Finals without a result, early ones too. The engine decodes them before interims."""
        return sum(p.window.priority is Priority.FINAL for p in self._state.pending.values())

    def statistics(self) -> TranscriberStatistics:
        pending = self._state.pending.values()
        in_flight = sum(p.is_sent for p in pending)
        counts = self._counts
        return TranscriberStatistics(
            is_connected=self.is_connected,
            waiting=len(pending) - in_flight,
            in_flight=in_flight,
            answered=counts.answered,
            shed=counts.shed,
            failed=counts.failed,
            retried=counts.retried,
            resent=counts.resent,
            connections=counts.connections,
            last_error=self._state.last_error,
        )

    def _deadline_error(self, pending: _Pending) -> EngineError:
        seconds = pending.window.deadline_ms / 1000
        if self.is_connected:
            return EngineError("deadline", f"the engine did not answer within {seconds:g} s")
        why = self._state.last_error or "no connection"
        return EngineError("unreachable", f"the engine was not reached within {seconds:g} s: {why}")

    def _drop_replaced(self, window: Window) -> None:
        """Drop what the new window replaces: an unsent interim of the same channel, and, when the client is
        full, an interim for a final.
        """
        waiting = [
            p
            for p in self._state.pending.values()
            if p.window.priority is Priority.INTERIM and not p.is_sent and not p.answer.done()
        ]
        if window.priority is Priority.INTERIM:
            for pending in waiting:
                if pending.window.channel == window.channel:
                    self._shed(pending)
        if len(self._state.pending) < self._config.windows_max:
            return
        if window.priority is Priority.FINAL and waiting:
            self._shed(waiting[0])
            return
        self._counts.failed += 1
        limit = self._config.windows_max
        raise EngineError("overloaded", f"{limit} windows wait for the engine already", is_retryable=True)

    def _shed(self, pending: _Pending) -> None:
        self._state.pending.pop(pending.window.id, None)
        self._counts.shed += 1
        if not pending.answer.done():
            pending.answer.set_exception(EngineError("shed", "a newer interim replaced it"))

    def _fail(self, pending: _Pending, error: EngineError) -> None:
        self._state.pending.pop(pending.window.id, None)
        self._counts.failed += 1
        if not pending.answer.done():
            pending.answer.set_exception(error)

    # --- the connection -------------------------------------------------------------------------------------

    async def _stay_connected(self) -> None:
        delay_s = 0.0
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._config.connect_timeout_ms / 1000)
        async with aiohttp.ClientSession(timeout=timeout, headers=self._headers()) as session:
            while True:
                began = self._clock()
                why = await self._connect_once(session)
                self._lost(why)
                was_up = self._clock() - began > 5.0
                delay_s = 0.05 if was_up else min(max(delay_s * 2, 0.05), self._backoff_s)
                # A random wait, so that several media processes do not reach a starting engine at once.
                await asyncio.sleep(delay_s * random.uniform(0.8, 1.2))

    @property
    def _backoff_s(self) -> float:
        return self._config.backoff_ms_max / 1000

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._config.token}"} if self._config.token else {}

    async def _connect_once(self, session: aiohttp.ClientSession) -> str:
        """Keep one connection until it ends; returns the reason in plain words."""
        url = self._config.url.rstrip("/") + "/v1/windows"
        heartbeat_s = self._config.heartbeat_ms / 1000
        try:
            async with asyncio.timeout(self._config.connect_timeout_ms / 1000):
                socket = await session.ws_connect(url, heartbeat=heartbeat_s, max_msg_size=ANSWER_BYTES_MAX)
        except aiohttp.WSServerHandshakeError as error:
            return f"the engine at {url} refused with status {error.status}"
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return f"the engine at {url} cannot be reached: {_why(error)}"
        async with socket:
            self._state.socket = socket
            self._counts.connections += 1
            self._state.last_error = ""
            self._state.attempts = 0
            logger.info("engine connected at %s", url)
            sender = asyncio.create_task(self._send(socket), name="engine-client-send")
            try:
                async for message in socket:
                    self._received(message)
                return f"the engine closed the connection (code {socket.close_code})"
            except (aiohttp.ClientError, OSError) as error:
                return f"the connection to the engine broke: {_why(error)}"
            finally:
                sender.cancel()
                await asyncio.gather(sender, return_exceptions=True)

    def _log_lost(self, why: str, was_connected: bool) -> None:
        """Log a failed connection.

        Both processes start together, so the first failures are not worth a warning.
        """
        self._state.attempts += 1
        if was_connected or self._state.attempts == QUIET_ATTEMPTS:
            logger.warning("%s; trying again", why)
        elif why != self._state.last_error:
            logger.debug("%s; trying again", why)

    def _lost(self, why: str) -> None:
        """Prepare all windows in flight for sending again. For a final, the attempt counts."""
        was_connected = self._state.socket is not None
        self._state.socket = None
        self._log_lost(why, was_connected)
        self._state.last_error = why
        for pending in list(self._state.pending.values()):
            if not pending.is_sent:
                continue
            pending.is_sent = False
            pending.losses += 1
            if pending.window.priority is Priority.INTERIM:
                self._shed(pending)  # when the engine is back, a newer interim will be due
            elif pending.attempts >= self._config.attempts_max:
                text = f"the engine was lost {pending.attempts} times while it decoded this window"
                self._fail(pending, EngineError("engine_failed", text))
            else:
                self._counts.resent += 1

    async def _send(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Send finals in their order, then interims; waits when the socket is full."""
        while True:
            pending, wait_s = self._next()
            if pending is None:
                self._work.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._work.wait()
                continue
            pending.is_sent = True
            pending.attempts += 1
            left_ms = max(1, int((pending.deadline_s - self._clock()) * 1000))
            frame = encode_window(replace(pending.window, deadline_ms=left_ms))
            try:
                await socket.send_bytes(frame)
            except (aiohttp.ClientError, ConnectionError):
                await socket.close()  # the reading side logs the reason
                return

    def _next(self) -> tuple[_Pending | None, float | None]:
        """The window to send now, or how long to wait for a retry that is not due yet.

        Suspects come first, each with no other window in flight.
        """
        now = self._clock()
        if any(p.is_sent and p.is_suspect for p in self._state.pending.values()):
            return None, None  # wait for its result, or for the loss of the connection
        unsent = [p for p in self._state.pending.values() if not p.is_sent and not p.answer.done()]
        due = [p for p in unsent if p.not_before_s <= now]
        if due:
            return min(
                due, key=lambda p: (not p.is_suspect, p.window.priority is not Priority.FINAL, p.order)
            ), None
        return None, min((p.not_before_s - now for p in unsent), default=None)

    def _received(self, message: aiohttp.WSMessage) -> None:
        if message.type is not aiohttp.WSMsgType.TEXT:
            logger.warning("the engine sent an unexpected message of type %s", message.type.name)
            return
        try:
            answer = decode_answer(message.data)
        except ContractError as error:
            logger.warning("the engine sent a response that cannot be read: %s", error)
            return
        pending = self._state.pending.get(answer.id)
        if pending is None:
            return  # shed, or past its deadline: no caller waits for it
        self._work.set()
        if isinstance(answer, Transcript):
            self._state.pending.pop(answer.id)
            self._counts.answered += 1
            if not pending.answer.done():
                pending.answer.set_result(answer)
        else:
            self._refused(pending, answer)

    def _refused(self, pending: _Pending, answer: WindowError) -> None:
        is_final = pending.window.priority is Priority.FINAL
        if answer.code != TRIED:
            pending.attempts -= 1  # starting, stopping or full: the engine did not decode the window
        if answer.code == "shed" and not is_final:
            self._shed(pending)
        elif answer.is_retryable and is_final and pending.attempts < self._config.attempts_max:
            self._counts.retried += 1
            pending.is_sent = False
            pending.not_before_s = self._clock() + self._config.retry_ms / 1000
            self._work.set()
        else:
            self._fail(pending, EngineError(answer.code, answer.message, is_retryable=answer.is_retryable))


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it does not respond"
    return plain_error(error, "it does not speak HTTP, or closed the connection")
