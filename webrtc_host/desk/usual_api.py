"""`GET /api/sessions/{session}/usual`: the figures of each channel beside those of its last 24 hours.

Only the route; `services.usual` has the figures. A request reads memory, whatever the length of the record.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

from aiohttp import web
from pydantic import Field

from webrtc_host.desk.session_view import find_session
from webrtc_host.http.requests import Query, read_query
from webrtc_host.http.responses import Response
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import json_response
from webrtc_host.services.usual import Usual
from webrtc_host.services.usual_figures import RECENT_MS, Comparison
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.transcript.store import Store

DIGITS = {"words": 1, "delay_ms": 0, "confidence": 3, "level_db": 1}


class UsualFigure(Response):
    now: float | None = Field(description="of the last five minutes; null: too little audio")
    low: float | None = Field(
        description="the band of 24 hours: the 10th percentile; null: less than an hour of audio"
    )
    middle: float | None = Field(description="the median of 24 hours")
    high: float | None = Field(description="the 90th percentile of 24 hours")
    verdict: Literal["usual", "low", "high"] | None = Field(
        description="where `now` lies; small excesses are usual"
    )
    recent: list[float | None] = Field(
        description="the medians of `recent_step_ms` each, oldest first, up to now"
    )


class UsualChannel(Response):
    channel: str
    label: str
    words: UsualFigure = Field(description="per minute of audio")
    delay_ms: UsualFigure = Field(description="from the end of speech to its text, median")
    confidence: UsualFigure = Field(description="mean probability of the words, 0 to 1")
    level_db: UsualFigure = Field(description="mean level in dBFS, also of silence")


class UsualResponse(Response):
    session: str
    recent_step_ms: int
    channels: list[UsualChannel] = Field(description="without channels of which nothing is known")


class UsualApi:
    def __init__(self, registry: SessionRegistry, store: Store, usual: Usual) -> None:
        self._registry, self._store, self._usual = registry, store, usual

    @Route(
        "GET",
        "/api/sessions/{session}/usual",
        Role.VIEWER,
        "Words per minute, delay, confidence and level of each channel, beside the band of 24 hours",
        query=Query,
        response=UsualResponse,
        errors=(404, 503),
    )
    async def usual(self, request: web.Request) -> web.Response:
        """A session that has ended has no channels here."""
        read_query(request, Query)
        found = await find_session(self._registry, self._store, request.match_info["session"])
        live = None if found.is_ended else found.live
        compared = {} if live is None else self._usual.compare(live)
        channels = [
            {"channel": channel, "label": live.channels[channel].label if live else "", **_figures(figures)}
            for channel, figures in sorted(compared.items())
        ]
        return json_response({"session": found.id, "recent_step_ms": RECENT_MS, "channels": channels})


def _figures(figures: dict[Any, Comparison]) -> dict[str, dict[str, Any]]:
    return {name: _rounded(asdict(one), DIGITS[name]) for name, one in figures.items()}


def _rounded(comparison: dict[str, Any], digits: int) -> dict[str, Any]:
    def shown(value: Any) -> Any:
        return round(value, digits) if isinstance(value, float) else value

    found = {name: shown(value) for name, value in comparison.items()}
    return {**found, "recent": [shown(value) for value in comparison["recent"]]}
