"""The state of 8082 itself: the lag of the event loop, the status of the engine, and `/ready`.

Two small tasks measure at intervals and keep the last result, so that no request waits for a measurement.
`/ready` is true when the engine has decoded a test clip, responds now, and this process is not stopping.
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
LAGS_KEPT = 100  # ten seconds
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
    "calls_at_once",
    "channels_expected",
    "models",
    "queue",
    "gpu_loads",
)
"""The keys of the engine's own `/ready` that are passed on."""


class LoopLag:
    """How late the event loop runs a task that is due; a lag of 100 ms or more delays the text."""

    def __init__(self, observe: Callable[[float], None] | None = None) -> None:
        """observe: called with each lag in seconds."""
        self._lags_s: deque[float] = deque(maxlen=LAGS_KEPT)
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
        """The largest lag of the last ten seconds."""
        return round(max(self._lags_s, default=0.0) * 1000)


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """The engine's last response to `/ready`. body: of the response, only ENGINE_KEYS."""

    is_reachable: bool = False
    is_ready: bool = False
    body: dict[str, Any] = field(default_factory=dict)


class EngineWatch:
    """Requests the engine's `/ready` about once a second and keeps the response."""

    def __init__(self, url: str, token: str = "", *, poll_s: float = POLL_S) -> None:
        """url: of 8081, for example http://127.0.0.1:8081."""
        self._url = url.rstrip("/") + "/ready"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._poll_s = poll_s
        self.status = EngineStatus()
        self.was_ready = False

    def model_name(self) -> str:
        """The name of the engine's model; empty until the engine has reported it."""
        return str(self.status.body.get("model") or "")

    async def run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=POLL_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout, headers=self._headers) as client:
            while True:
                self._take(await self._request(client))
                await asyncio.sleep(self._poll_s)

    async def _request(self, client: aiohttp.ClientSession) -> EngineStatus:
        try:
            async with client.get(self._url) as response:
                body = await response.json(content_type=None)
                if not isinstance(body, dict):
                    return EngineStatus(is_reachable=True)
                known = {key: body[key] for key in ENGINE_KEYS if body.get(key) is not None}
                if "error" in body and "reason" not in known:
                    with contextlib.suppress(TypeError, KeyError):
                        known["reason"] = str(body["error"]["message"])
                return EngineStatus(True, response.status == 200, known)
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return EngineStatus()

    def _take(self, status: EngineStatus) -> None:
        before, self.status = self.status, status
        self.was_ready = self.was_ready or status.is_ready
        if status.is_ready and not before.is_ready:
            model, reason = status.body.get("model"), status.body.get("model_reason")
            logger.info("the engine is ready: model %s (%s)", model, reason)
        elif before.is_ready and not status.is_ready:
            logger.warning(
                "the engine %s; audio is kept meanwhile",
                "is not ready" if status.is_reachable else "does not respond",
            )


class Readiness:
    """The response of `/ready`. A component in trouble (a full disk) makes the server degraded."""

    def __init__(
        self,
        engine: EngineWatch,
        lag: LoopLag,
        *,
        troubles: Mapping[str, Callable[[], str | None]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """troubles: name of a component -> what is wrong with it now, or None. Text continues meanwhile."""
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

    def response(self) -> tuple[bool, dict[str, Any]]:
        """(whether the server is ready, the body of the response)."""
        of_engine = self.engine.status
        status, code, reason = self._judge(of_engine)
        is_ready = status == "ready"
        engine = {"is_reachable": of_engine.is_reachable, "is_ready": of_engine.is_ready, **of_engine.body}
        body: dict[str, Any] = {"ready": is_ready, "status": status}
        if not is_ready:
            body |= {"degraded": status == "degraded", "reason": reason}
            body["error"] = {"code": code, "message": reason}
        troubles = {name: text for name, what in self._troubles.items() if (text := what()) is not None}
        if troubles:
            body |= {"degraded": True, "troubles": troubles}
        return is_ready, body | {"engine": engine, "loop_lag_ms": self.lag.max_ms()}

    def _judge(self, engine: EngineStatus) -> tuple[str, str, str]:
        """(status, code, reason)."""
        if self.is_stopping:
            return "stopping", "going_away", "the server is stopping"
        if engine.is_ready:
            return "ready", "", ""
        status = "degraded" if self.engine.was_ready else "starting"
        if not engine.is_reachable:
            return status, "engine_unreachable", "the speech engine does not respond; audio is kept meanwhile"
        reason = str(engine.body.get("reason") or "the speech engine is still loading its model")
        return status, "engine_not_ready", reason
