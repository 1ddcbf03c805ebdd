"""`GET /api/sessions/{session}/stats`: words, talk time, delay and confidence of each channel."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from aiohttp import web
from pydantic import Field

from webrtc_host.desk.session_view import find_session
from webrtc_host.http.responses import Response
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import json_response
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.transcript.stats import ChannelStats, channel_stats
from webrtc_host.transcript.store import Store


class ChannelStatsEntry(Response):
    channel: str
    label: str
    lines: int
    words: int = Field(description="parts of the text between spaces")
    characters: int
    talk_ms: int = Field(description="the length of all lines together")
    words_per_minute: float | None = Field(description="of talk time")
    first_ms: int = Field(description="where the first line begins")
    last_ms: int = Field(description="where the last line ends")
    conf: float | None = Field(description="mean log probability, 0 at best")
    confidence: float | None = Field(description="the same as a probability, 0 to 1")
    delay_ms_p50: int | None = Field(description="from the end of speech to its text, of live lines")
    delay_ms_p95: int | None
    delay_ms_max: int | None


class StatsTotals(Response):
    lines: int
    words: int
    characters: int
    talk_ms: int


class StatsResponse(Response):
    session: str
    now_ms: int
    channels: list[ChannelStatsEntry]
    totals: StatsTotals


class StatsApi:
    def __init__(self, registry: SessionRegistry, store: Store) -> None:
        self._registry = registry
        self._store = store

    @Route(
        "GET",
        "/api/sessions/{session}/stats",
        Role.VIEWER,
        "Words, talk time, delay and confidence of each channel",
        response=StatsResponse,
        errors=(404, 503),
    )
    async def stats(self, request: web.Request) -> web.Response:
        found = await find_session(self._registry, self._store, request.match_info["session"])
        channels = await self._store.read(lambda c: channel_stats(c, found.id))
        names = StatsTotals.model_fields
        totals = {name: sum(getattr(one, name) for one in channels) for name in names}
        entries = [_entry(one) for one in channels]
        return json_response(
            {"session": found.id, "now_ms": found.now_ms, "channels": entries, "totals": totals}
        )


def _entry(stats: ChannelStats) -> dict[str, Any]:
    pace = stats.words * 60_000 / stats.talk_ms if stats.talk_ms else None
    return {
        **asdict(stats),
        "words_per_minute": None if pace is None else round(pace, 1),
        "confidence": None if stats.conf is None else round(math.exp(min(stats.conf, 0.0)), 3),
    }
