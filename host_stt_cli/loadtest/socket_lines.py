"""Send a channel over `/ws/pcm/{channel}`: 16 kHz samples, 40 ms in each message."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import aiohttp

from host_stt_cli.loadtest.sending import LineError
from host_stt_cli.loadtest.sounds import Voice

WAITING_MAX = 250
"""Messages that the server may leave unread, 10 s; then the oldest are dropped and counted."""
STOP_S = 15.0


class SocketLine:
    def __init__(
        self,
        http: aiohttp.ClientSession,
        base: str,
        session: str,
        channels: Sequence[str],
        voices: Sequence[Voice],
        language: str,
    ) -> None:
        self.channels: Sequence[str] = list(channels)
        self._http, self._base, self._session, self._language = http, base, session, language
        (self._voice,) = voices
        self._ws: aiohttp.ClientWebSocketResponse | None = None
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue(WAITING_MAX)
        self._writer: asyncio.Task[None] | None = None
        self._half = b""
        self.lost = 0

    async def open(self) -> None:
        start = {"encoding": "pcm_s16le", "sample_rate": 16_000, "session": self._session}
        try:
            ws = await self._http.ws_connect(f"{self._base}/ws/pcm/{self.channels[0]}")
            await ws.send_str(json.dumps({**start, "language": self._language}))
            said: dict[str, Any] = await ws.receive_json(timeout=15)
        except (aiohttp.ClientError, TimeoutError, TypeError, ValueError) as error:
            raise LineError(
                f"{self.channels[0]}: the socket did not open ({type(error).__name__})"
            ) from error
        if said.get("type") != "started":
            raise LineError(f"{self.channels[0]}: {said.get('message', said)}")
        self._ws = ws
        self._writer = asyncio.create_task(self._write(ws), name=f"loadtest-{self.channels[0]}")

    async def send(self, frame: int) -> None:
        if self._ws is None:
            return
        half, self._half = self._half, self._voice.samples(frame)
        if frame % 2 == 0:
            return
        if self._waiting.full():
            self._waiting.get_nowait()
            self.lost += 1
        self._waiting.put_nowait(half + self._half)

    async def _write(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            await ws.send_bytes(await self._waiting.get())

    async def reconnect(self) -> None:
        await self._close()
        await self.open()

    async def hang_up(self) -> None:
        ws = self._ws
        if ws is not None and not ws.closed:
            try:
                await ws.send_str('{"type":"stop"}')
                async with asyncio.timeout(STOP_S):
                    while (await ws.receive()).type is aiohttp.WSMsgType.TEXT:
                        continue
            except (aiohttp.ClientError, TimeoutError, ConnectionError):
                self.lost += 1  # the server has closed the connection already
        await self._close()

    async def _close(self) -> None:
        ws, self._ws = self._ws, None
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        if ws is not None:
            await ws.close()
