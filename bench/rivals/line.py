"""A channel into another live server over its WebSocket: what all of them have in common.

Owns the pace of the audio, the reading of answers with the moment they came, and the connection's end. What
is sent and what an answer means is each peer's own, in its module.
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
    """Sent in one message, as the peer's own client does."""

    def __init__(self, http: aiohttp.ClientSession, url: str, channel: str, voice: Voice) -> None:
        self.channels: Sequence[str] = [channel]
        self._http, self._url, self._voice = http, url, voice
        self._ws: aiohttp.ClientWebSocketResponse | None = None
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue()  # a case is a minute of sound at most
        self._piece = b""
        self._tasks: list[asyncio.Task[None]] = []
        self._shown: list[tuple[float, str, str]] = []
        self.ended = ""

    # --- what a peer says how -------------------------------------------------------------------------

    @abstractmethod
    async def greet(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        """Until the server takes sound. Raises LineError."""

    @abstractmethod
    def encode(self, samples: bytes) -> bytes:
        """samples: 16 bit at 16 kHz."""

    @abstractmethod
    def read(self, message: dict[str, Any]) -> tuple[str, str] | None:
        """The channel's final and tentative text after this message; None where it says nothing of text."""

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
        with contextlib.suppress(aiohttp.ClientError, ConnectionError):  # `_read` tells how it ended
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
        raise LineError("these lines do not come back")

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
        self.ended = ended  # an end that we asked for is none

    def screens(self, began_s: float) -> list[Screen]:
        """began_s: the load's first frame on the loop's clock."""
        return [Screen((at_s - began_s) * 1000, *texts) for at_s, *texts in self._shown]

    @property
    def unsent_s(self) -> float:
        """Sound that the connection did not take."""
        return self._waiting.qsize() * self.piece_samples / 16_000
