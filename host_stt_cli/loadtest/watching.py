"""The watcher of a run: receives every event and notes its time of arrival on the session's timeline.

Also estimates the difference between the clocks of two machines. Each event has the server's time of sending.
The fastest event arrives with almost no delay, so the smallest difference is the difference between the
clocks.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from bisect import bisect_left
from collections import Counter
from datetime import datetime
from typing import Any

import aiohttp

from host_stt_cli.loadtest.measures import Arrived


class Watcher:
    """Receives `/ws` of one session from its first event on."""

    def __init__(self, http: aiohttp.ClientSession, base: str, session: str) -> None:
        self._http, self._base, self._session = http, base, session
        self._events: list[tuple[float, dict[str, Any]]] = []  # arrival on the loop's clock
        self._counts: Counter[str] = Counter()
        self._t0_wall_s: float | None = None
        self._apart_s = float("inf")  # this machine's wall clock minus the server's, at most
        self._task: asyncio.Task[None] | None = None
        self.is_broken = False

    async def open(self) -> None:
        query = {"session": self._session, "since": "0"}
        ws = await self._http.ws_connect(f"{self._base}/ws", params=query, max_msg_size=0)
        self._task = asyncio.create_task(self._read(ws), name="loadtest-watcher")

    async def _read(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        loop = asyncio.get_running_loop()
        async for message in ws:
            if message.type is aiohttp.WSMsgType.TEXT:
                self.take(loop.time(), time.time(), json.loads(message.data))
        self.is_broken = True  # this program closes it only by cancelling this task

    def take(self, at_s: float, wall_s: float, event: dict[str, Any]) -> None:
        """Store an event. at_s: arrival on a monotonic clock; wall_s: the same moment on the wall clock."""
        self._apart_s = min(self._apart_s, wall_s - _wall(event["wall"]))
        if event["type"] == "session.started":
            self._t0_wall_s = _wall(event["t0_wall"])
        self._events.append((at_s, event))
        self._counts[event["type"]] += 1

    @property
    def is_started(self) -> bool:
        return self._t0_wall_s is not None

    def t0_s(self, now_s: float, now_wall_s: float) -> float:
        """The session's t = 0 on the monotonic clock. now_s, now_wall_s: the present on both clocks."""
        assert self._t0_wall_s is not None, "the session has not said when it started"
        return self._t0_wall_s + self._apart_s - (now_wall_s - now_s)

    def arrived(self, t0_s: float, since_s: float = float("-inf")) -> list[Arrived]:
        """The events that arrived from since_s on, on the monotonic clock."""
        first = bisect_left(self._events, since_s, key=lambda one: one[0])
        return [Arrived((at_s - t0_s) * 1000, event) for at_s, event in self._events[first:]]

    def recent_lag_ms(self, seconds: float, now_s: float) -> float | None:
        """Median latency, as the server reports it, of the finals of the last `seconds`."""
        found = sorted(
            float(event["latency_ms"])
            for at_s, event in self._events[-400:]
            if event["type"] == "segment.final" and at_s > now_s - seconds
        )
        return found[len(found) // 2] if found else None

    def count(self, kind: str) -> int:
        return self._counts[kind]

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task


def _wall(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
