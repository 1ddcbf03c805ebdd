"""`/api/sessions/{session}/summary` and `.../summaries`: ask for summaries of a session, and read them.

Only the routes and the form of a summary; `summaries.service` makes them. To make one takes from a moment to
many minutes, so `POST` answers 202 at once. The summary is then polled, or its event `summary.updated` is
waited for.
"""

from __future__ import annotations

import json
import re
from functools import partial
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import BeforeValidator, Field
from pydantic.json_schema import WithJsonSchema
from pydantic_core import PydanticCustomError
from sqlalchemy import Row

from webrtc_host.desk.session_view import FoundSession, find_session, storable, wall_of
from webrtc_host.errors import RequestError
from webrtc_host.http.audit import DETAIL
from webrtc_host.http.requests import Body, ChannelName, Query, Whole, check_range, read_body, read_query
from webrtc_host.http.responses import Response
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import json_response
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.summaries.scopes import Scope
from webrtc_host.summaries.service import SummaryService
from webrtc_host.summaries.templates import DEFAULT_TEMPLATE
from webrtc_host.transcript import records
from webrtc_host.transcript.store import Store
from webrtc_host.transcript.timecode import timecode

SESSION = "/api/sessions/{session}"
LAST_MS_MAX = 7 * 24 * 3600 * 1000
_UNITS = {"": 1000, "s": 1000, "m": 60_000, "h": 3_600_000}
_LAST = re.compile(r"([1-9][0-9]{0,8})([smh]?)")


def _last(value: object) -> object:
    """10m, 90s, 2h, or a number of seconds -> milliseconds."""
    found = _LAST.fullmatch(value) if isinstance(value, str) else None
    last_ms = int(found[1]) * _UNITS[found[2]] if found else 0
    if not 0 < last_ms <= LAST_MS_MAX:
        raise PydanticCustomError("bad_time", "is a length such as 10m, 90s or 2h, at most a week")
    return last_ms


Last = Annotated[
    int, BeforeValidator(_last), WithJsonSchema({"type": "string", "pattern": "^[1-9][0-9]{0,8}[smh]?$"})
]
Language = Literal["auto", "en", "ko"]
TemplateName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
CHANNEL_ABOUT = "C01; default: all channels"
LAST_ABOUT = "the newest part of this length: 10m, 90s, 2h; in place of from_ms and to_ms"


class SummaryQuery(Query):
    channel: ChannelName | None = Field(None, description=CHANNEL_ABOUT)
    last: Last | None = Field(None, description=LAST_ABOUT)
    from_ms: Whole = Field(0, description="since the session's t = 0")
    to_ms: Whole | None = Field(None, description="not included; default: the end, or now")
    template: TemplateName = DEFAULT_TEMPLATE
    language: Language = Field("auto", description="of the summary; auto: that of most of the text")


class SummaryOrder(Body):
    channel: ChannelName | None = Field(None, description=CHANNEL_ABOUT)
    last: Last | None = Field(None, description=LAST_ABOUT)
    from_ms: int = Field(0, ge=0, le=2**53, description="since the session's t = 0")
    to_ms: int | None = Field(None, ge=0, le=2**53, description="not included; default: the end, or now")
    template: TemplateName = DEFAULT_TEMPLATE
    language: Language = Field("auto", description="of the summary; auto: that of most of the text")
    follow_s: int = Field(0, ge=0, le=86_400, description="keep it up to date for so many seconds")


class SentenceEntry(Response):
    text: str
    cites: list[str] = Field(description="the segments that the sentence is based on")
    is_unsure: bool = Field(description="the sentence shares no word with these segments")


class TopicEntry(Response):
    title: str
    start_ms: int
    start: str
    cites: list[str]


class UnseenEntry(Response):
    why: Literal["lost", "shed", "failed", "not_yet", "too_many", "too_long", "no_answer"]
    channel: str | None
    from_ms: int
    to_ms: int
    ms: int = Field(description="how much of the range")


class CitedEntry(Response):
    channel: str
    start_ms: int
    end_ms: int
    start: str
    text: str


class CoversEntry(Response):
    from_ms: int
    to_ms: int
    of_ms: int = Field(description="the length of the session")


class SummaryContent(Response):
    language: str
    title: str
    summary: list[SentenceEntry]
    decisions: list[SentenceEntry]
    actions: list[SentenceEntry]
    topics: list[TopicEntry]
    dropped: int = Field(description="sentences left out because they cite no line that was read")
    covers: CoversEntry
    unseen: list[UnseenEntry] = Field(description="times that the summary did not see")
    note: str = Field(description="what it covers and did not see, in its language")
    lines: int = Field(description="lines that were read")
    cited: dict[str, CitedEntry]


class SummaryResponse(Response):
    session: str
    summary: str = Field(description="its id")
    channel: str | None
    from_ms: int
    to_ms: int | None
    last_ms: int | None
    template: str
    language: str = Field(description="as asked for; the content has the one that was used")
    status: Literal["none", "queued", "running", "done", "failed"] = Field(
        description="none: never asked for"
    )
    error: str | None = Field(description="why the last attempt failed")
    progress: list[int] | None = Field(description="parts that are done, and all parts")
    revision: int = Field(description="how often it was made")
    asked_wall: str | None
    made_wall: str | None
    followed_wall: str | None = Field(description="it is kept up to date until this moment")
    maker: Literal["model", "extract"] | None = Field(description="extract: it consists of chosen lines")
    model: str | None
    prompt: str | None = Field(description="version of the prompt and of the template")
    content: SummaryContent | None


class SummariesResponse(Response):
    session: str
    summaries: list[SummaryResponse]


class TemplateEntry(Response):
    template: str
    language: str
    title: str


class TemplatesResponse(Response):
    maker: Literal["model", "extract"]
    model: str | None
    templates: list[TemplateEntry]


class SummariesApi:
    def __init__(self, service: SummaryService, registry: SessionRegistry, store: Store) -> None:
        self._service = service
        self._registry = registry
        self._store = store

    @Route(
        "GET",
        "/api/summary-templates",
        Role.VIEWER,
        "What makes summaries, and the templates for them",
        response=TemplatesResponse,
    )
    async def templates(self, request: web.Request) -> web.Response:
        model = self._service.model_name
        entries = [
            {"template": one.name, "language": one.language, "title": one.title}
            for one in self._service.templates
        ]
        maker = "extract" if model is None else "model"
        return json_response({"maker": maker, "model": model, "templates": entries})

    @Route(
        "GET",
        f"{SESSION}/summary",
        Role.VIEWER,
        "The newest summary of a session, a channel or a time",
        query=SummaryQuery,
        response=SummaryResponse,
        errors=(404, 422, 503),
    )
    async def show_scope(self, request: web.Request) -> web.Response:
        """Never makes one; the status `none` says that it was never asked for."""
        query = read_query(request, SummaryQuery)
        found = await find_session(self._registry, self._store, request.match_info["session"])
        scope = _scope(found.id, query)
        row = await self._service.find(found.id, scope.id)
        return json_response(_never_asked(scope) if row is None else self._body(row))

    @Route(
        "POST",
        f"{SESSION}/summary",
        Role.OPERATOR,
        "Make a summary, or make it again",
        audit="summarized",
        body=SummaryOrder,
        response=SummaryResponse,
        status=202,
        errors=(404, 422, 429, 503),
    )
    async def ask(self, request: web.Request) -> web.Response:
        """An empty body asks for a summary of the whole session."""
        order = await read_body(request, SummaryOrder) if request.can_read_body else SummaryOrder()
        found = await find_session(self._registry, self._store, request.match_info["session"])
        scope = _scope(found.id, order)
        await self._check_channel(found, order.channel)
        row = await self._service.ask(scope, follow_s=order.follow_s)
        request[DETAIL] = f"{scope.id} channel={scope.channel or 'all'}"
        response = json_response(self._body(row), status=202)
        response.headers["Location"] = f"/api/sessions/{found.id}/summaries/{scope.id}"
        return response

    @Route(
        "GET",
        f"{SESSION}/summaries",
        Role.VIEWER,
        "The summaries of a session, the last asked for first",
        response=SummariesResponse,
        errors=(404, 503),
    )
    async def list(self, request: web.Request) -> web.Response:
        found = await find_session(self._registry, self._store, request.match_info["session"])
        rows = await self._service.of_session(found.id)
        return json_response({"session": found.id, "summaries": [self._body(row) for row in rows]})

    @Route(
        "GET",
        f"{SESSION}/summaries/{{summary}}",
        Role.VIEWER,
        "One summary",
        response=SummaryResponse,
        errors=(404, 503),
    )
    async def show(self, request: web.Request) -> web.Response:
        found = await find_session(self._registry, self._store, request.match_info["session"])
        summary = storable(request.match_info["summary"])
        row = await self._service.find(found.id, summary)
        if row is None:
            message = f"session {found.id} has no summary {summary[:40]!r}"
            raise RequestError("unknown_summary", message, 404)
        return json_response(self._body(row))

    async def _check_channel(self, found: FoundSession, channel: str | None) -> None:
        """Raises RequestError 404 for a channel that the session does not have, and will not get any more."""
        if channel is None or not found.is_ended:
            return
        known = partial(records.has_channel, session_id=found.id, channel=channel)
        if not await self._store.read(known):
            message = f"session {found.id} has no channel {channel!r}"
            raise RequestError("unknown_channel", message, 404)

    def _body(self, row: Row[Any]) -> dict[str, Any]:
        progress = self._service.progress(row.session, row.id)
        return {
            "session": row.session,
            "summary": row.id,
            "channel": row.channel,
            "from_ms": row.from_ms,
            "to_ms": row.to_ms,
            "last_ms": row.last_ms,
            "template": row.template,
            "language": row.language,
            "status": row.status,
            "error": row.error,
            "progress": None if progress is None else list(progress),
            "revision": row.revision,
            "asked_wall": _wall(row.asked_wall_ms),
            "made_wall": _wall(row.made_wall_ms),
            "followed_wall": _wall(row.followed_wall_ms),
            "maker": row.maker,
            "model": row.model,
            "prompt": row.prompt,
            "content": None if row.body is None else content_of(row.body),
        }


def content_of(body: str) -> dict[str, Any]:
    """The stored content, with its times as text."""
    content: dict[str, Any] = json.loads(body)
    for one in (*content["topics"], *content["cited"].values()):
        one["start"] = timecode(one["start_ms"])
    return content


def _scope(session: str, asked: SummaryQuery | SummaryOrder) -> Scope:
    """Raises RequestError 422 for a range that cannot be meant."""
    if asked.last is not None and (asked.from_ms or asked.to_ms is not None):
        raise RequestError("two_ranges", "give `last`, or `from_ms` and `to_ms`, not both", 422)
    check_range(asked.from_ms, asked.to_ms)
    return Scope(
        session, asked.channel, asked.from_ms, asked.to_ms, asked.last, asked.template, asked.language
    )


def _never_asked(scope: Scope) -> dict[str, Any]:
    empty = dict.fromkeys(name for name in SummaryResponse.model_fields)
    known = {"session": scope.session, "summary": scope.id, **scope.values(), "status": "none", "revision": 0}
    return {name: known.get(name) for name in empty}


def _wall(wall_ms: int | None) -> str | None:
    return None if wall_ms is None else wall_of(wall_ms)
