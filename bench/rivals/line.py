"""A channel to another live server over its WebSocket: the common part for all servers.

Contains the pace of the audio, the reading of messages with their time of arrival, and the end of the
connection. Each server's own module defines what is sent and what a message means.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import aiohttp

from bench.rivals.screens import Screen
from host_stt_cli.loadtest.sending import LineError
from host_stt_cli.loadtest.sounds import Voice

OPEN_S = 60.0
CLOSE_S = 5.0


class RivalLine(ABC):
    """One connection with one channel; a `Lines` of the load test."""

    piece_samples: int
    """Samples in one message, as in the server's own client."""

    def __init__(self, http: aiohttp.ClientSession, url: str, channel: str, voice: Voice) -> None:
        self.channels: Sequence[str] = [channel]
        self._http, self._url, self._voice = http, url, voice
        self._ws: aiohttp.ClientWebSocketResponse | None = None
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue()  # a case has at most a minute of audio
        self._piece = b""
        self._tasks: list[asyncio.Task[None]] = []
        self._shown: list[tuple[float, str, str]] = []
        self.ended = ""

    # --- the protocol of a server -------------------------------------------------------------------------

    @abstractmethod
    async def greet(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        """Do the handshake until the server accepts audio. Raises LineError."""

    @abstractmethod
    def encode(self, samples: bytes) -> bytes:
        """One message. samples: 16 bit at 16 kHz."""

    @abstractmethod
    def read(self, message: dict[str, Any]) -> tuple[str, str] | None:
        """The channel's final and tentative text after this message; None if the message has no text."""

    @abstractmethod
    def goodbye(self) -> bytes: ...

    # --- a line -----------------------------------------------------------------------------------------

    async def open(self) -> None:
        try:
            async with asyncio.timeout(OPEN_S):
                self._ws = await self._http.ws_connect(self._url, max_msg_size=0)
                await self.greet(self._ws)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise LineError(f"{self.channels[0]}: {error or type(error).__name__}") from error
        self._tasks = [asyncio.create_task(self._write(self._ws)), asyncio.create_task(self._read(self._ws))]

    async def send(self, frame: int) -> None:
        self._piece += self._voice.samples(frame)
        size = self.piece_samples * 2
        while len(self._piece) >= size:
            self._waiting.put_nowait(self.encode(self._piece[:size]))
            self._piece = self._piece[size:]

    async def _write(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        with contextlib.suppress(aiohttp.ClientError, ConnectionError):  # `_read` stores how it ended
            while True:
                await ws.send_bytes(await self._waiting.get())

    async def _read(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        loop = asyncio.get_running_loop()
        async for message in ws:
            if message.type is aiohttp.WSMsgType.TEXT:
                at_s, texts = loop.time(), self.read(json.loads(message.data))
                if texts is not None and (not self._shown or texts != self._shown[-1][1:]):
                    self._shown.append((at_s, *texts))
        self.ended = f"{self.channels[0]}: the server closed the connection ({ws.close_code})"

    async def reconnect(self) -> None:
        raise LineError("these lines cannot reconnect")

    async def hang_up(self) -> None:
        ended = self.ended
        if self._ws is not None and not self._ws.closed:
            with contextlib.suppress(aiohttp.ClientError, ConnectionError, TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await self._ws.send_bytes(self.goodbye())
                    await self._ws.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.ended = ended  # the close of this method itself must not count as an end

    def screens(self, began_s: float) -> list[Screen]:
        """The screens by time. began_s: the load's first frame on the loop's clock."""
        return [Screen((at_s - began_s) * 1000, *texts) for at_s, *texts in self._shown]

    @property
    def unsent_s(self) -> float:
        """Seconds of audio that the connection did not accept."""
        return self._waiting.qsize() * self.piece_samples / 16_000
