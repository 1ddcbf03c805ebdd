"""How the process does, over HTTP: health, readiness, metrics.

Owns the routes and the JSON of their answers; every fact is another room's.
"""

from __future__ import annotations

from aiohttp import web

from webrtc_host.desk.health import RETRY_AFTER_S, Readiness
from webrtc_host.desk.metrics import Metrics
from webrtc_host.http.auth import open_to_all
from webrtc_host.http.server import json_response


class StatusApi:
    """`/health`, `/ready`, `/metrics`."""

    def __init__(self, readiness: Readiness, metrics: Metrics, version: str) -> None:
        self._readiness = readiness
        self._metrics = metrics
        self._version = version

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/health", self.health)
        app.router.add_get("/ready", self.ready)
        app.router.add_get("/metrics", self.metrics)

    @open_to_all
    async def health(self, request: web.Request) -> web.Response:
        return json_response(
            {"status": "ok", "version": self._version, "uptime_s": self._readiness.uptime_s()}
        )

    @open_to_all
    async def ready(self, request: web.Request) -> web.Response:
        is_ready, body = self._readiness.answer()
        if is_ready:
            return json_response(body)
        return json_response(body, 503, {"Retry-After": str(RETRY_AFTER_S)})

    async def metrics(self, request: web.Request) -> web.Response:
        response = web.Response(body=self._metrics.exposition())
        response.headers["Content-Type"] = "text/plain; version=0.0.4; charset=utf-8"
        return response
