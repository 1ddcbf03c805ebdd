"""How 8082 itself is doing: a probe of the event loop's lag, and what is known of the engine.

Owns two small tasks, each measuring once in a while and keeping the last reading, so that no request waits
for one. `/ready` is decided here: the engine has decoded once, answers now, and this process is not stopping.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

logger = logging.getLogger(__name__)

PROBE_S = 0.1
LAG_READINGS = 100  # ten seconds of them
POLL_S = 1.0
POLL_TIMEOUT_S = 2.0
RETRY_AFTER_S = 2
ENGINE_KEYS = (
    "model",
    "model_reason",
    "is_starter",
    "state",
    "progress",
    "reason",
    "device",
    "compute_type",
    "replicas",
    "channels_expected",
    "models",
)
"""What of the engine's own `/ready` is passed on."""


class LoopLag:
    """How late the event loop comes back to a sleeper; 100 ms and more delay the text."""

    def __init__(self, observe: Callable[[float], None] | None = None) -> None:
        """observe: told each lag in seconds."""
        self._lags_s: deque[float] = deque(maxlen=LAG_READINGS)
        self._observe = observe

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + PROBE_S
            await asyncio.sleep(PROBE_S)
            lag_s = max(0.0, loop.time() - due_s)
            self._lags_s.append(lag_s)
            if self._observe is not None:
                self._observe(lag_s)

    def max_ms(self) -> int:
        """The worst of the last ten seconds."""
        return round(max(self._lags_s, default=0.0) * 1000)


@dataclass(frozen=True, slots=True)
class EngineReading:
    """What the engine last said of itself. body: its `/ready`, only ENGINE_KEYS."""

    is_reachable: bool = False
    is_ready: bool = False
    body: dict[str, Any] = field(default_factory=dict)


class EngineWatch:
    """Asks the engine's `/ready` about once a second and remembers the answer."""

    def __init__(self, url: str, token: str = "", *, poll_s: float = POLL_S) -> None:
        """url: of 8081, such as http://127.0.0.1:8081."""
        self._url = url.rstrip("/") + "/ready"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._poll_s = poll_s
        self.reading = EngineReading()
        self.was_ready = False

    async def run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=POLL_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout, headers=self._headers) as client:
            while True:
                self._take(await self._ask(client))
                await asyncio.sleep(self._poll_s)

    async def _ask(self, client: aiohttp.ClientSession) -> EngineReading:
        try:
            async with client.get(self._url) as response:
                body = await response.json(content_type=None)
                if not isinstance(body, dict):
                    return EngineReading(is_reachable=True)
                known = {key: body[key] for key in ENGINE_KEYS if body.get(key) is not None}
                if "error" in body and "reason" not in known:
                    with contextlib.suppress(TypeError, KeyError):
                        known["reason"] = str(body["error"]["message"])
                return EngineReading(True, response.status == 200, known)
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return EngineReading()

    def _take(self, reading: EngineReading) -> None:
        before, self.reading = self.reading, reading
        self.was_ready = self.was_ready or reading.is_ready
        if reading.is_ready and not before.is_ready:
            model, reason = reading.body.get("model"), reading.body.get("model_reason")
            logger.info("the engine is ready: model %s (%s)", model, reason)
        elif before.is_ready and not reading.is_ready:
            logger.warning(
                "the engine %s; audio is kept meanwhile",
                "is not ready" if reading.is_reachable else "does not answer",
            )


class Readiness:
    """The answer of `/ready`. A room's trouble (a full disk) degrades, it does not end the service."""

    def __init__(
        self,
        engine: EngineWatch,
        lag: LoopLag,
        *,
        troubles: Mapping[str, Callable[[], str | None]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """troubles: of what may degrade while text goes on: name -> what is wrong now, in words, or None."""
        self.engine = engine
        self.lag = lag
        self.is_stopping = False
        self._troubles = dict(troubles or {})
        self._clock = clock
        self._started_s = clock()

    def stop(self) -> None:
        """The server is stopping: not ready from now on."""
        self.is_stopping = True

    def uptime_s(self) -> float:
        return round(self._clock() - self._started_s, 1)

    def answer(self) -> tuple[bool, dict[str, Any]]:
        """(ready now, the body to show)."""
        reading = self.engine.reading
        status, code, reason = self._judge(reading)
        is_ready = status == "ready"
        engine = {"is_reachable": reading.is_reachable, "is_ready": reading.is_ready, **reading.body}
        body: dict[str, Any] = {"ready": is_ready, "status": status}
        if not is_ready:
            body |= {"degraded": status == "degraded", "reason": reason}
            body["error"] = {"code": code, "message": reason}
        troubles = {room: text for room, what in self._troubles.items() if (text := what()) is not None}
        if troubles:
            body |= {"degraded": True, "troubles": troubles}
        return is_ready, body | {"engine": engine, "loop_lag_ms": self.lag.max_ms()}

    def _judge(self, reading: EngineReading) -> tuple[str, str, str]:
        """(status, code, reason)."""
        if self.is_stopping:
            return "stopping", "going_away", "the server is stopping"
        if reading.is_ready:
            return "ready", "", ""
        status = "degraded" if self.engine.was_ready else "starting"
        if not reading.is_reachable:
            return status, "engine_unreachable", "the speech engine does not answer; audio is kept meanwhile"
        reason = str(reading.body.get("reason") or "the speech engine is still loading its model")
        return status, "engine_not_ready", reason
