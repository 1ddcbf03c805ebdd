"""Send one channel to the server over `/ws/pcm/{channel}`, over broken connections.

Pings tell how far the server has read. After a break, what it has not read is sent again, with its place on
the session's timeline: the server reads it faster than it was spoken. Audio older than it accepts is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from host_stt_cli.capture.backlog import RATE, Backlog
from host_stt_cli.engine_process import Backoff
from host_stt_common.connection_errors import plain_connection_error

RESEND_S = 9.0
"""The server accepts a start that is at most 10 s ago; the connection takes some time too."""
FIRST_RESEND_S = 0.9
"""Without a place on the timeline, the server puts at most 1 s of audio before its arrival."""
ANSWER_S = 15.0
KEEPALIVE_PINGS = 10
LASTING = (4400, 4401, 4403, 4413, 4415, 4422)
"""Close codes after which another attempt does not help."""
NO_SESSION = ("unknown_session", "session_ended", "session_is_recorded")
"""Errors of a session that the server does not have, or that takes no more audio."""


class LineRefused(Exception):
    """The server refuses this audio. The text is the server's sentence."""


class LineBroken(Exception):
    """The connection cannot be used; another attempt may help."""


@dataclass(frozen=True, slots=True)
class LineTimes:
    ping_s: float = 1.0  # between two pings
    pong_s_max: float = 4.0  # a connection that does not answer a ping within this time is broken
    backoff: Backoff = Backoff(first_s=0.5, max_s=10.0)


@dataclass(frozen=True, slots=True)
class Place:
    """The session that a line sends to, and its clock: session time = own clock + offset_s."""

    session: str
    offset_s: float


class Line:
    def __init__(
        self,
        http: aiohttp.ClientSession,
        server: str,
        fields: dict[str, Any],
        channel: str,
        backlog: Backlog,
        tell: Callable[[str], None],
        *,
        times: LineTimes | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """fields: more fields of the first message. tell: called with each change, in words.

        clock: also the clock of the backlog's blocks.
        """
        self._http = http
        self._url = f"{server.rstrip('/')}/ws/pcm/{channel}"
        self._fields = fields
        self._backlog = backlog
        self._tell = tell
        self._times = times or LineTimes()
        self._clock = clock
        self._place: Place | None = None
        self._is_open = asyncio.Event()
        self._pinged_s: float | None = None  # the oldest ping without an answer
        self.breaks = 0

    @property
    def is_open(self) -> bool:
        return self._is_open.is_set()

    async def opened(self) -> None:
        """Wait until the server takes audio."""
        await self._is_open.wait()

    async def run(self) -> None:
        """Send until the source has ended and the server has its last words. Raises LineRefused."""
        wait_s, told = 0.0, ""
        while True:
            began_s = self._clock()
            try:
                if await self._connected():
                    return
                reason = "the server stops"
            except (LineBroken, aiohttp.ClientError, TimeoutError, ConnectionError) as error:
                reason = _sentence(error)
            wait_s = self._times.backoff.after(wait_s, self._clock() - began_s)
            self.breaks += 1
            if reason != told or self.is_open:
                self._tell(f"waits for the server: {reason}")
            told = reason
            self._is_open.clear()
            await asyncio.sleep(wait_s)

    async def _connected(self) -> bool:
        """One connection. True: everything is sent and final."""
        timeout = aiohttp.ClientWSTimeout(ws_close=2.0)
        async with (
            asyncio.timeout(ANSWER_S) as limit,
            self._http.ws_connect(self._url, autoping=False, timeout=timeout) as socket,
        ):
            await self._begin(socket)
            limit.reschedule(None)
            self._is_open.set()
            self._tell("is connected" if self._backlog.is_empty else "sends")
            return await self._converse(socket)

    async def _begin(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        start: dict[str, Any] = {"encoding": "pcm_s16le", "sample_rate": RATE, **self._fields}
        sent_s, place = self._clock(), self._place
        start_s = self._backlog.rewind(sent_s - (FIRST_RESEND_S if place is None else RESEND_S))
        if place is not None:
            start["session"] = place.session
            if start_s is not None:
                start["start_ms"] = max(0, round((start_s + place.offset_s) * 1000))
        await socket.send_json(start)
        said = await self._heard(socket)
        if said is None or said.get("type") != "started":
            raise LineBroken("the server closed the connection")
        # Half of the round trip, as docs/reference/resume.md says.
        middle_s = (sent_s + self._clock()) / 2
        self._place = Place(said["session"], said["now_ms"] / 1000 - middle_s)

    async def _converse(self, socket: aiohttp.ClientWebSocketResponse) -> bool:
        sending = asyncio.create_task(self._send(socket), name=f"send {self._url}")
        alive = asyncio.create_task(self._ping(socket), name=f"ping {self._url}")
        try:
            while (said := await self._heard(socket)) is not None:
                if said.get("type") == "stopped":
                    return self._backlog.is_finished and said.get("reason") == "stopped"
            raise LineBroken("the connection broke")
        finally:
            for task in (sending, alive):
                task.cancel()
            await asyncio.gather(sending, alive, return_exceptions=True)

    async def _send(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """A failure here also ends the reading of the socket, which reports it."""
        waits = self._backlog.is_empty
        while (block := await self._backlog.get()) is not None:
            if waits:
                waits = False
                self._tell("sends")  # not before: a source may never give any audio
            await socket.send_bytes(block.data)
        await socket.send_json({"type": "stop"})

    async def _heard(self, socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any] | None:
        """The next message of the server; None: the connection is closed. Raises for an error."""
        error: dict[str, Any] | None = None
        while True:
            message = await socket.receive()
            if message.type is aiohttp.WSMsgType.PING:
                await socket.pong(message.data)
                continue
            if message.type is aiohttp.WSMsgType.PONG:
                self._confirmed(message.data)
                continue
            if message.type is not aiohttp.WSMsgType.TEXT:
                if error is not None:
                    self._raise(error, socket.close_code or 0)
                return None
            said = _object(message.data)
            if said.get("type") != "error":
                return said
            error = said

    async def _ping(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Ask how far the server has read: it answers a ping after the audio before it.

        Closes the socket when no answer comes; its reader then ends.
        """
        self._pinged_s = None
        count = 0
        while self._pinged_s is None or self._clock() - self._pinged_s < self._times.pong_s_max:
            if self._pinged_s is None:
                self._pinged_s = self._clock()
                await socket.ping(b"%d" % self._backlog.sent)
            await asyncio.sleep(self._times.ping_s)
            count += 1
            if count % KEEPALIVE_PINGS == 0:
                await socket.send_json({"type": "keepalive"})
        await socket.close()

    def _confirmed(self, data: bytes) -> None:
        self._pinged_s = None
        with contextlib.suppress(ValueError):
            self._backlog.confirm(int(data))

    def _raise(self, error: dict[str, Any], close_code: int) -> None:
        text = str(error.get("message", "the server reports an error"))
        is_gone = error.get("code") in NO_SESSION
        if close_code in LASTING or (is_gone and "session" in self._fields):
            raise LineRefused(text)
        if is_gone:
            self._place = None  # the next attempt goes to the server's current session
        raise LineBroken(text)


def _object(text: str) -> dict[str, Any]:
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _sentence(error: Exception) -> str:
    if isinstance(error, aiohttp.WSServerHandshakeError):
        return f"it responded with {error.status}"
    if isinstance(error, TimeoutError):
        return "it does not answer"
    if isinstance(error, aiohttp.ClientError | ConnectionError):
        return plain_connection_error(error)
    return str(error) or type(error).__name__
