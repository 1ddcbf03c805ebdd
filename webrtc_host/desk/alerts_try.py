"""`POST /api/alerts/try`: which lines of the past a draft of a rule would have found. It changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from aiohttp import web
from pydantic import Field
from sqlalchemy import Row

from webrtc_host.alerts.matching import TextMatcher
from webrtc_host.alerts.rules import RuleList, RulesError, parse, warnings_of
from webrtc_host.alerts.service import AlertService
from webrtc_host.desk.alerts_api import ALERTS, RuleWarning, refused
from webrtc_host.desk.session_view import wall_of
from webrtc_host.errors import RequestError
from webrtc_host.glossary.entries import Snapshot
from webrtc_host.glossary.store import Glossary
from webrtc_host.http.requests import Body, ChannelName, read_body
from webrtc_host.http.responses import Response
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import json_response
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.transcript import records
from webrtc_host.transcript.store import Store

LINES_MAX = 1_000
SHOWN_MAX = 50
TEXT_MAX = 2_000


class TryRuleBody(Body):
    rule: dict[str, Any] = Field(description="a rule in the form of PUT /api/alerts/rules")
    text: str | None = Field(
        None, min_length=1, max_length=TEXT_MAX, description="a line to try; default: lines of the past"
    )
    session: str | None = Field(None, max_length=64, description="default: the current session")
    channel: ChannelName | None = Field(None, description="default: the channels of the rule")
    lines: int = Field(200, ge=1, le=LINES_MAX, description="how many of the newest lines")


class FoundLine(Response):
    segment: str | None = Field(description="id of the line; null for `text`")
    channel: str
    start_ms: int
    said_wall: str | None
    text: str
    matched: str
    start: int = Field(description="text[start:end] is the place of `matched`")
    end: int


class TriedRuleResponse(Response):
    checked: int = Field(description="lines that were searched")
    found: int = Field(description="lines that the rule finds, before its cooldown and quiet hours")
    lines: list[FoundLine] = Field(description="the newest of them, at most 50")
    warnings: list[RuleWarning]


class AlertsTry:
    def __init__(
        self, service: AlertService, registry: SessionRegistry, store: Store, glossary: Glossary
    ) -> None:
        self._service = service
        self._registry = registry
        self._store = store
        self._glossary = glossary

    @Route(
        "POST",
        ALERTS + "/try",
        Role.OPERATOR,
        "Try a rule on past text",
        body=TryRuleBody,
        response=TriedRuleResponse,
        errors=(404, 422),
    )
    async def run(self, request: web.Request) -> web.Response:
        """Only rules over text can be tried: the states of channels are not searched again."""
        body = await read_body(request, TryRuleBody)
        draft = {"name": "draft", **body.rule, "enabled": True}
        groups = [one.model_dump(mode="json") for one in self._service.rules.current.groups]
        try:
            rules = await asyncio.to_thread(parse, {"groups": groups, "rules": [draft]})
        except RulesError as error:
            return refused(error)
        if not rules.rules[0].is_over_text:
            message = "only a rule with `when: terms` or `when: pattern` can be tried on past text"
            raise RequestError("rule_without_text", message, 422)
        lines = [_typed(body)] if body.text is not None else await self._lines(body)
        found = await asyncio.to_thread(_search, rules, self._glossary.snapshot, lines)
        warnings = [{"rule": one.rule, "message": one.message} for one in warnings_of(rules)]
        return json_response(
            {
                "checked": len(lines),
                "found": len(found),
                "lines": found[:SHOWN_MAX],
                "warnings": warnings,
            }
        )

    async def _lines(self, body: TryRuleBody) -> Sequence[dict[str, Any]]:
        """The newest lines, newest first."""
        session = self._registry.get(body.session)
        channels = None if body.channel is None else frozenset((body.channel,))
        span = records.Span(session.id, channels)
        rows = await self._store.read(lambda c: records.newest_segments(c, span, body.lines))
        return [_line(row) for row in sorted(rows, key=lambda row: -row.start_ms)]


def _typed(body: TryRuleBody) -> dict[str, Any]:
    channel = body.channel or (body.rule.get("channels") or ["C01"])[0]
    return {"segment": None, "channel": str(channel), "start_ms": 0, "said_wall": None, "text": body.text}


def _line(row: Row[Any]) -> dict[str, Any]:
    return {
        "segment": row.id,
        "channel": row.channel,
        "start_ms": row.start_ms,
        "said_wall": wall_of(row.wall_ms),
        "text": row.text,
    }


def _search(rules: RuleList, glossary: Snapshot, lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    matcher = TextMatcher(rules, glossary)
    return [
        {**line, "matched": hit.matched, "start": hit.start, "end": hit.end}
        for line in lines
        for hit in matcher.find(line["text"], line["channel"])
    ]
