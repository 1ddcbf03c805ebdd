"""`/api/glossary/suggestions`: what the glossary could learn, and the decisions of a person.

Only the routes; `services.suggestions` counts and changes the glossary.
"""

from __future__ import annotations

from typing import Any, Literal

from aiohttp import web
from pydantic import Field
from sqlalchemy import Row

from webrtc_host.desk.session_view import wall_of
from webrtc_host.errors import RequestError
from webrtc_host.http.audit import DETAIL, token_name
from webrtc_host.http.requests import Body, ChannelName, Query, read_body, read_query
from webrtc_host.http.responses import Response
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import json_response
from webrtc_host.services.suggestions import Suggestions
from webrtc_host.transcript import suggestions as rows
from webrtc_host.transcript.store import Store

SUGGESTIONS = "/api/glossary/suggestions"
NUMBER_MAX = 2**53


class SuggestionsQuery(Query):
    state: Literal["open", "accepted", "dismissed"] = "open"
    limit: int = Field(50, ge=1, le=200, description="suggestions in the response, most frequent first")


class Correction(Body):
    old: str = Field(max_length=2000, description="the text of a line")
    new: str = Field(max_length=2000, description="the same line as a person corrected it")
    channel: ChannelName | None = None
    segment: str | None = Field(None, max_length=24, description="id of the line")


class Acceptance(Body):
    term: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="the canonical form that the text becomes an alias of; default: that of the suggestion, "
        "or the text becomes a term of its own",
    )


class SuggestionEntry(Response):
    id: int
    text: str = Field(description="a spelling or a word of the text")
    term: str | None = Field(description="the canonical form it would become an alias of; null: a new term")
    state: str
    times: int = Field(description="lines that have it")
    first_wall: str
    last_wall: str
    channel: str | None
    segment: str | None = Field(description="id of the newest line")
    line: str | None = Field(description="the text of that line; null when it was removed")
    who: str | None = Field(description="who corrected, accepted or dismissed")


class SuggestionsResponse(Response):
    suggestions: list[SuggestionEntry]


class OffersResponse(Response):
    texts: list[str] = Field(description="the suggestions that the correction made")


class DecidedResponse(Response):
    id: int
    state: str
    glossary_version: int | None = Field(description="of the changed glossary; null when it did not change")


class SuggestionsApi:
    def __init__(self, suggestions: Suggestions, store: Store) -> None:
        self._suggestions = suggestions
        self._store = store

    @Route(
        "GET",
        SUGGESTIONS,
        Role.VIEWER,
        "Suggestions for the glossary",
        query=SuggestionsQuery,
        response=SuggestionsResponse,
    )
    async def list(self, request: web.Request) -> web.Response:
        query = read_query(request, SuggestionsQuery)
        await self._suggestions.flush()
        found = await self._store.read(lambda c: rows.page(c, query.state, query.limit))
        return json_response({"suggestions": [_entry(row) for row in found]})

    @Route(
        "POST",
        SUGGESTIONS,
        Role.OPERATOR,
        "Offer what the correction of a line teaches",
        audit="offered to glossary",
        body=Correction,
        response=OffersResponse,
        errors=(422,),
    )
    async def offer(self, request: web.Request) -> web.Response:
        body = await read_body(request, Correction)
        texts = await self._suggestions.note_correction(
            body.old,
            body.new,
            channel=body.channel,
            segment=body.segment,
            who=token_name(request) or "anyone",
        )
        return json_response({"texts": texts})

    @Route(
        "POST",
        SUGGESTIONS + "/{suggestion}/accept",
        Role.SUPERVISOR,
        "Add a suggestion to the glossary",
        audit="accepted suggestion",
        body=Acceptance,
        response=DecidedResponse,
        errors=(404, 409, 422),
    )
    async def accept(self, request: web.Request) -> web.Response:
        """The next window uses the changed glossary. An empty body is accepted too."""
        body = await read_body(request, Acceptance) if request.can_read_body else Acceptance()
        number = _number_of(request)
        row, version = await self._suggestions.accept(number, token_name(request) or "anyone", body.term)
        request[DETAIL] = f"{number} version={version}"
        return json_response({"id": int(row.id), "state": "accepted", "glossary_version": version})

    @Route(
        "POST",
        SUGGESTIONS + "/{suggestion}/dismiss",
        Role.SUPERVISOR,
        "Dismiss a suggestion; it does not come back",
        audit="dismissed suggestion",
        response=DecidedResponse,
        errors=(404, 409),
    )
    async def dismiss(self, request: web.Request) -> web.Response:
        number = _number_of(request)
        row = await self._suggestions.dismiss(number, token_name(request) or "anyone")
        request[DETAIL] = str(number)
        return json_response({"id": int(row.id), "state": "dismissed", "glossary_version": None})


def _number_of(request: web.Request) -> int:
    text = request.match_info["suggestion"]
    if not (text.isascii() and text.isdigit()) or int(text[:20]) > NUMBER_MAX:
        raise RequestError("unknown_suggestion", f"there is no suggestion {text[:20]!r}", 404)
    return int(text)


def _entry(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "text": row.text,
        "term": row.term,
        "state": row.state,
        "times": row.times,
        "first_wall": wall_of(row.first_wall_ms),
        "last_wall": wall_of(row.last_wall_ms),
        "channel": row.channel,
        "segment": row.segment,
        "line": row.line,
        "who": row.who,
    }
