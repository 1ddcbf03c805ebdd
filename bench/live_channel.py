"""Send audio to a channel in real time during another test, and check afterwards what happened to its
seconds.

The sender runs in its own thread, so that a busy event loop of the benchmark does not delay it.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import av

CLIP = Path(__file__).parent.parent / "demo" / "clips" / "en.mp3"
RATE = 16_000
FRAME_S = 0.1
PAUSE_S = 1.0
LOST = ("lost", "failed")
LOST_MS_MAX = 999
LAST_WORDS_S = 60.0


class LiveChannel:
    """One channel in its own session."""

    def __init__(self, url: str, operator: str, admin: str, channel: str = "C64") -> None:
        self._url, self._channel = url, channel
        self._operator = {"Authorization": f"Bearer {operator}"}
        self._admin = {"Authorization": f"Bearer {admin}"}
        self._stop = threading.Event()
        self._started = threading.Event()
        self._trouble = ""
        self._fed_s = 0.0
        self._session = ""

    @asynccontextmanager
    async def fed(self) -> AsyncIterator[LiveChannel]:
        thread = threading.Thread(target=lambda: asyncio.run(self._feed()), name="live-channel")
        thread.start()
        try:
            if not await asyncio.to_thread(self._started.wait, 60):
                raise RuntimeError(f"the live channel did not start: {self._trouble}")
            yield self
        finally:
            self._stop.set()
            await asyncio.to_thread(thread.join, LAST_WORDS_S + 10)

    async def lost(self, fail: Callable[[str], None]) -> dict[str, float]:
        """End the feed and request its coverage; returns seconds per state. Calls `fail` for lost seconds."""
        self._stop.set()
        ends_s = time.monotonic() + LAST_WORDS_S
        while not self._trouble and time.monotonic() < ends_s:  # noqa: ASYNC110  # another thread's
            await asyncio.sleep(0.2)
        if self._trouble != "stopped":
            fail(
                f"the live channel's feed did not end as requested: {self._trouble or 'it is still running'}"
            )
        path = f"{self._url}/api/sessions/{self._session}/coverage"
        async with aiohttp.ClientSession(headers=self._admin) as http, http.get(path) as answer:
            (channel,) = (await answer.json())["channels"]
        totals = {state: ms / 1000 for state, ms in channel["totals_ms"].items()}
        if sum(totals.get(state, 0) for state in LOST) * 1000 > LOST_MS_MAX:
            fail(f"the live channel lost time: {totals}")
        if sum(totals.values()) < self._fed_s - 1.5:
            fail(f"the live channel got {self._fed_s:.1f} s of audio and its coverage has {totals}")
        return {"live channel fed, s": round(self._fed_s, 1)} | {
            f"live channel {state}, s": round(seconds, 1) for state, seconds in totals.items() if seconds
        }

    async def _feed(self) -> None:
        try:
            async with aiohttp.ClientSession(headers=self._operator) as http:
                async with http.post(f"{self._url}/sessions/create", json={"name": "live"}) as made:
                    self._session = (await made.json())["session_id"]
                query = f"session={self._session}&encoding=pcm_s16le&sample_rate={RATE}"
                async with http.ws_connect(f"{self._url}/ws/pcm/{self._channel}?{query}") as socket:
                    await self._speak(socket)
        except Exception as error:
            self._trouble = repr(error)

    async def _speak(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        samples = _clip() + bytes(round(PAUSE_S * RATE) * 2)
        size = round(FRAME_S * RATE) * 2
        began_s, at = time.monotonic(), 0
        while not self._stop.is_set():
            piece = (samples * 2)[at : at + size]
            await socket.send_bytes(piece)
            at, self._fed_s = (at + size) % len(samples), self._fed_s + FRAME_S
            self._started.set()
            await asyncio.sleep(max(0, began_s + self._fed_s - time.monotonic()))
        await socket.send_json({"type": "stop"})
        async with asyncio.timeout(LAST_WORDS_S):
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT and json.loads(message.data)["type"] == "stopped":
                    self._trouble = "stopped"
                    return
        self._trouble = f"closed with {socket.close_code}"


def _clip() -> bytes:
    """The page's English clip as 16-bit samples at 16 kHz."""
    resampler = av.AudioResampler("s16", "mono", RATE)
    with av.open(CLIP) as container:
        frames = [f for frame in container.decode(audio=0) for f in resampler.resample(frame)]
    return b"".join(frame.to_ndarray().tobytes() for frame in frames)
