"""`GET /api/search`: find finals by their words or by their meaning, in one session or room, or in all.

The meaning of the query and the form of a hit; `transcript.search` finds the hits. Invariant: `q` is only
words to look for. It has no syntax, so no query is malformed.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import BeforeValidator, Field
from pydantic.json_schema import WithJsonSchema
from pydantic_core import PydanticCustomError

from host_stt_common.languages import AUTO, read_language
from webrtc_host.errors import RequestError
from webrtc_host.http.requests import Moment, RangeQuery, check_range, read_query
from webrtc_host.http.responses import SearchResponse
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import json_response
from webrtc_host.services.meaning import MeaningSearch
from webrtc_host.services.summary_meanings import SummaryHit
from webrtc_host.transcript.event_codec import iso_ms
from webrtc_host.transcript.search import MARKED, Hit, SearchIndex, TextSearch
from webrtc_host.transcript.search_text import Part, parts
from webrtc_host.transcript.timecode import timecode

QUESTION_CHARS_MAX = 500
SEGMENT = re.compile(r"g_[0-9]{1,15}")


LENGTH_MS_MAX = 600_000
_MARK = "star|report|not_said|note|alert"


def _marked(value: object) -> object:
    if not isinstance(value, str):
        return value
    names = frozenset(value.split(","))
    if not names <= MARKED.keys():
        raise PydanticCustomError(
            "bad_mark", "is star, report, not_said, note or alert, or several: star,note"
        )
    return names


Marked = Annotated[
    frozenset[str],
    BeforeValidator(_marked),
    WithJsonSchema({"type": "string", "pattern": f"^({_MARK})(,({_MARK}))*$"}),
]


class SearchQuery(RangeQuery):
    q: str = Field("", max_length=QUESTION_CHARS_MAX, description="words; a hit has all of them")
    session: str | None = Field(None, max_length=64)
    room: str | None = Field(None, max_length=64, description="what was said in a room")
    since: Moment | None = Field(None, description="spoken after this moment")
    until: Moment | None = Field(None, description="spoken before this moment")
    term: str | None = Field(None, max_length=100, description="a glossary term in the text")
    conf_min: float | None = Field(None, ge=-100, le=0, description="mean log probability, at best 0")
    language: str | None = Field(None, max_length=64, description="a code (ko, ko-KR) or a name (Korean)")
    marked: Marked = Field(
        frozenset(), description="lines with each of these, with commas: star,report,not_said,note,alert"
    )
    talker: str | None = Field(None, max_length=100, description="number or name of a radio that was heard")
    length_min_ms: int | None = Field(None, ge=0, le=LENGTH_MS_MAX, description="lines at least so long")
    mode: Literal["words", "meaning", "both"] = Field(
        "words", description="meaning: lines that say something like `q`, the nearest first"
    )
    before: str | None = Field(None, max_length=64, description="`next_before` of the previous page")
    limit: int = Field(50, ge=1, le=100, description="hits on a page")


class SearchApi:
    def __init__(self, index: SearchIndex, meaning: MeaningSearch) -> None:
        self._index = index
        self._meaning = meaning

    @Route(
        "GET",
        "/api/search",
        Role.VIEWER,
        "Find finals by their words, finals and summaries by their meaning",
        query=SearchQuery,
        response=SearchResponse,
        errors=(422, 501, 503),
    )
    async def search(self, request: web.Request) -> web.Response:
        query = read_query(request, SearchQuery)
        check_range(query.from_ms, query.to_ms)
        if query.since is not None and query.until is not None and query.until < query.since:
            raise RequestError("inverted_range", "until lies before since; swap them", 422)
        if query.before is not None and not SEGMENT.fullmatch(query.before):
            raise RequestError("bad_segment", f"before is a segment like g_52, not {query.before[:20]!r}")
        if query.mode != "words":
            return await self._by_meaning(query)
        hits = await self._index.find(question_of(query))
        shown = hits[: query.limit]
        next_before = shown[-1].segment if len(hits) > query.limit else None
        body = {"hits": [body_of(hit, query.q) for hit in shown], "summaries": [], "next_before": next_before}
        return json_response(body)

    async def _by_meaning(self, query: SearchQuery) -> web.Response:
        """One page only: the order is not that of time."""
        if query.before is not None:
            raise RequestError("no_pages", "`before` works with mode=words only; raise `limit`", 422)
        find = self._meaning.find if query.mode == "meaning" else self._meaning.find_both
        found = await find(question_of(query))
        return json_response(
            {
                "hits": [body_of(hit, query.q, score) for hit, score in found.lines],
                "summaries": [summary_of(hit) for hit in found.summaries],
                "next_before": None,
            }
        )


def question_of(query: SearchQuery) -> TextSearch:
    return TextSearch(
        query.q,
        session=_storable(query.session),
        room=_storable(query.room),
        channels=query.channel,
        from_wall_ms=query.since,
        to_wall_ms=query.until,
        from_ms=query.from_ms or None,
        to_ms=query.to_ms,
        term=_storable(query.term),
        conf_min=query.conf_min,
        language=_language(query.language),
        marked=query.marked,
        talker=_storable(query.talker),
        length_min_ms=query.length_min_ms,
        before=None if query.before is None else int(query.before[2:]),
        limit=query.limit,
    )


def body_of(hit: Hit, words: str, score: float | None = None) -> dict[str, Any]:
    moment = datetime.fromtimestamp((hit.t0_wall_ms + hit.start_ms) / 1000, UTC)
    return {
        "segment": hit.segment,
        "session": hit.session,
        "session_name": hit.session_name,
        "channel": hit.channel,
        "label": hit.label,
        "seq": hit.seq,
        "start_ms": hit.start_ms,
        "end_ms": hit.end_ms,
        "start": timecode(hit.start_ms),
        "end": timecode(hit.end_ms),
        "start_wall": iso_ms(moment),
        "text": hit.text,
        "raw": hit.raw,
        "language": hit.language,
        "conf": hit.conf,
        "parts": [_part(part) for part in parts(hit.text, words)],
        "raw_parts": [_part(part) for part in parts(hit.raw, words)],
        "revision": hit.revision,
        "is_redacted": bool(hit.is_redacted),
        "marks": list(hit.extras.marks),
        "notes": list(hit.extras.notes),
        "talkers": list(hit.talkers),
        "score": score,
    }


def summary_of(hit: SummaryHit) -> dict[str, Any]:
    of_session = f"/api/sessions/{hit.session}/summaries/{hit.summary}"
    return {
        "kind": "summary",
        "session": hit.session or None,
        "room": None if hit.session else hit.summary,
        "session_name": hit.session_name,
        "summary": hit.summary,
        "href": of_session if hit.session else f"/api/v1/conversation/rooms/{hit.summary}",
        "channel": hit.channel,
        "title": hit.title,
        "text": hit.text,
        "from_ms": hit.from_ms,
        "to_ms": hit.to_ms,
        "start": timecode(hit.from_ms),
        "end": timecode(hit.to_ms),
        "made_wall": iso_ms(datetime.fromtimestamp(hit.made_wall_ms / 1000, UTC)),
        "score": hit.score,
    }


def _part(part: Part) -> dict[str, Any]:
    return {"text": part.text, "hit": part.is_hit}


def _language(given: str | None) -> str | None:
    """The code of the language, in whichever way the query names it; None for `auto`: any language."""
    code = read_language(given or "")
    return None if code == AUTO else code or _storable(given)


def _storable(text: str | None) -> str | None:
    """The text without characters that a database refuses: lone surrogates and NUL."""
    return None if text is None else text.encode(errors="replace").decode().replace("\0", "\ufffd")
