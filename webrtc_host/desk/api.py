"""The state of the process over HTTP: health, readiness, metrics.

Only the routes and the JSON of their responses; the facts come from `health` and `metrics`.
"""

from __future__ import annotations

from aiohttp import web

from webrtc_host.desk.health import RETRY_AFTER_S, Readiness
from webrtc_host.desk.metrics import Metrics
from webrtc_host.http.responses import HealthResponse
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import OPEN_TO_ALL, Route
from webrtc_host.http.server import json_response


class StatusApi:
    """`/health`, `/ready`, `/metrics`."""

    def __init__(self, readiness: Readiness, metrics: Metrics, version: str) -> None:
        self._readiness = readiness
        self._metrics = metrics
        self._version = version

    @Route("GET", "/health", OPEN_TO_ALL, "200 while the process runs", response=HealthResponse)
    async def health(self, request: web.Request) -> web.Response:
        return json_response(
            {"status": "ok", "version": self._version, "uptime_s": self._readiness.uptime_s()}
        )

    @Route(
        "GET",
        "/ready",
        OPEN_TO_ALL,
        "200 when the engine is ready, else 503 with the reason",
        errors=(503,),
    )
    async def ready(self, request: web.Request) -> web.Response:
        is_ready, body = self._readiness.response()
        if is_ready:
            return json_response(body)
        return json_response(body, 503, {"Retry-After": str(RETRY_AFTER_S)})

    @Route("GET", "/metrics", Role.VIEWER, "Metrics for Prometheus", content_type="text/plain")
    async def metrics(self, request: web.Request) -> web.Response:
        response = web.Response(body=self._metrics.exposition())
        response.headers["Content-Type"] = "text/plain; version=0.0.4; charset=utf-8"
        return response
