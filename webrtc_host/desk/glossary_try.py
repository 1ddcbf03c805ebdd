"""`POST /api/glossary/try`: what a draft of the glossary would make of the lines of the last minute.

The draft is checked and used for these lines only; neither the glossary nor the lines change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import web
from pydantic import Field
from sqlalchemy import Row

from webrtc_host.desk.glossary_api import VERSION, refused
from webrtc_host.glossary.mistakes import GlossaryError
from webrtc_host.glossary.schema import GlossaryList, parse
from webrtc_host.glossary.store import Glossary
from webrtc_host.http.requests import Body, ChannelName, read_body
from webrtc_host.http.responses import Response
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import json_response
from webrtc_host.seams import SAMPLES_PER_MS
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.speech.final_text import FinalText, TextStage
from webrtc_host.transcript import records
from webrtc_host.transcript.event_codec import edits_to_wire
from webrtc_host.transcript.store import Store

LAST_MS = 60_000
LINES_MAX = 200
TEXT_MAX = 2_000

MakeStage = Callable[[Glossary], TextStage]
"""Makes the text stage of a glossary."""


class TryBody(Body):
    glossary: dict[str, Any] = Field(description="the draft, in the form of PUT /api/glossary")
    text: str | None = Field(
        None,
        min_length=1,
        max_length=TEXT_MAX,
        description="a line to try; default: those of the last minute",
    )
    session: str | None = Field(None, max_length=64, description="default: the current session")
    channel: ChannelName | None = Field(None, description="default: the lines of all channels")
    language: str | None = Field(None, max_length=8, description="of `text`: en or ko")


class TriedLine(Response):
    segment: str | None = Field(description="id of the line; null for `text`")
    channel: str
    start_ms: int
    language: str | None
    raw: str = Field(description="the text of the engine")
    before: str = Field(description="with the glossary in use")
    after: str = Field(description="with the draft")
    edits: list[dict[str, Any]] = Field(description="what the draft changes in `raw`")


class TryResponse(Response):
    lines: list[TriedLine] = Field(description="in the order of time")
    changed: int = Field(description="lines whose `after` is not `before`")


class GlossaryTry:
    def __init__(
        self, glossary: Glossary, registry: SessionRegistry, store: Store, make_stage: MakeStage
    ) -> None:
        self._glossary = glossary
        self._registry = registry
        self._store = store
        self._make_stage = make_stage

    @Route(
        "POST",
        "/api/glossary/try",
        Role.OPERATOR,
        "Try a draft of the glossary on the last minute",
        body=TryBody,
        response=TryResponse,
        errors=(404, 422),
    )
    async def run(self, request: web.Request) -> web.Response:
        body = await read_body(request, TryBody)
        draft = {key: value for key, value in body.glossary.items() if key != VERSION}
        try:
            new = await asyncio.to_thread(parse, draft)
        except GlossaryError as error:
            return refused(error)
        lines = [_typed(body)] if body.text is not None else await self._last_lines(body)
        try:
            tried = await asyncio.to_thread(self._try, new, lines)
        except GlossaryError as error:
            return refused(error)
        return json_response({"lines": tried, "changed": sum(one["after"] != one["before"] for one in tried)})

    def _try(self, new: GlossaryList, lines: Sequence[tuple[str | None, FinalText]]) -> list[dict[str, Any]]:
        now, draft = Glossary(), Glossary()
        before, after = self._make_stage(now), self._make_stage(draft)
        now.replace_list(self._glossary.current)
        draft.replace_list(new)
        return [_tried(segment, line, before(line), after(line)) for segment, line in lines]

    async def _last_lines(self, body: TryBody) -> list[tuple[str | None, FinalText]]:
        session = self._registry.get(body.session).id if body.session else self._registry.current().id
        channels = None if body.channel is None else frozenset((body.channel,))
        span = records.Span(session, channels)
        rows = await self._store.read(lambda c: records.newest_segments(c, span, LINES_MAX))
        from_ms = max((row.end_ms for row in rows), default=0) - LAST_MS
        recent = sorted((row for row in rows if row.end_ms > from_ms), key=lambda row: row.start_ms)
        return [(row.id, _line_of(row)) for row in recent]


def _typed(body: TryBody) -> tuple[str | None, FinalText]:
    text = body.text or ""
    return None, FinalText(
        channel=body.channel or "C01",
        utterance="",
        start_sample=0,
        end_sample=0,
        text=text,
        raw=text,
        language=body.language,
        avg_logprob=0.0,
        words=(),
        glossary_version=0,
    )


def _line_of(row: Row[Any]) -> FinalText:
    """The final as the engine wrote it. Without its words: the stored ones are those after the stages."""
    return FinalText(
        channel=row.channel,
        utterance=row.utterance,
        start_sample=row.start_ms * SAMPLES_PER_MS,
        end_sample=row.end_ms * SAMPLES_PER_MS,
        text=row.raw,
        raw=row.raw,
        language=row.language,
        avg_logprob=row.conf or 0.0,
        words=(),
        glossary_version=row.glossary_version or 0,
    )


def _tried(segment: str | None, line: FinalText, before: FinalText, after: FinalText) -> dict[str, Any]:
    return {
        "segment": segment,
        "channel": line.channel,
        "start_ms": line.start_sample // SAMPLES_PER_MS,
        "language": line.language,
        "raw": line.raw,
        "before": before.text,
        "after": after.text,
        "edits": edits_to_wire(after.edits),
    }
