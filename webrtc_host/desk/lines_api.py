"""`/api/sessions/{session}/segments/{segment}`: one line, its corrections, marks and notes.

Only the routes; `services.line_changes` makes the changes. The header ETag of a line is its revision; a
correction names it in If-Match. Invariant: a correction without If-Match is refused, because it could
overwrite the text of another person.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from aiohttp import web
from pydantic import Field

from host_stt.contract import error_body
from webrtc_host.desk.session_view import wall_of
from webrtc_host.errors import RequestError
from webrtc_host.http.audit import DETAIL, token_name
from webrtc_host.http.requests import Body, read_body
from webrtc_host.http.responses import MarkEntry, MarkName, NoteEntry, Response
from webrtc_host.http.roles import ANYONE, CALLER, Caller, Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import json_response
from webrtc_host.http.versions import etag
from webrtc_host.seams import Mark
from webrtc_host.services.line_changes import Line, LineChanges, LineConflict, LineKey
from webrtc_host.transcript.timecode import timecode

LINE = "/api/sessions/{session}/segments/{segment}"
SEGMENT = re.compile(r"g_[0-9]{1,15}")
TEXT_CHARS_MAX = 2000
NOTE_CHARS_MAX = 1000


class LineCorrection(Body):
    text: str = Field(max_length=TEXT_CHARS_MAX, description="the whole new text; empty: nothing was said")


class LineMark(Body):
    is_set: bool
    reason: str | None = Field(None, max_length=NOTE_CHARS_MAX, description="of a report: what is wrong")


class LineNote(Body):
    note: str = Field(max_length=NOTE_CHARS_MAX)


class RevisionEntry(Response):
    revision: int
    wall: str
    by: str = Field(description="name of the token, or of a part of the server")
    old_text: str
    text: str


class LineResponse(Response):
    session: str
    segment: str
    channel: str
    start_ms: int
    end_ms: int
    start: str
    end: str
    wall: str = Field(description="when the line was written")
    text: str = Field(description="the newest text")
    raw: str = Field(description="the engine's text, before any correction")
    language: str | None
    conf: float | None
    revision: int = Field(description="0: the text was not corrected")
    is_redacted: bool
    marks: list[MarkName]
    notes: list[NoteEntry]


class LineHistoryResponse(LineResponse):
    first_text: str = Field(description="the text as it was first shown: `raw` after the glossary")
    revisions: list[RevisionEntry] = Field(description="the corrections, oldest first")
    marked: list[MarkEntry] = Field(description="who set the present marks, and when")


class CorrectedResponse(LineResponse):
    suggestions: list[str] = Field(description="words that the glossary now suggests because of it")


class MeResponse(Response):
    name: str
    role: Literal["viewer", "listener", "operator", "supervisor", "admin"]


class LinesApi:
    def __init__(self, lines: LineChanges) -> None:
        self._lines = lines

    @Route(
        "GET",
        LINE,
        Role.VIEWER,
        "One line with its corrections, marks and notes",
        response=LineHistoryResponse,
        errors=(404,),
    )
    async def show(self, request: web.Request) -> web.Response:
        """The header ETag is the revision, for the If-Match of a PATCH."""
        line = await self._lines.find(_key(request))
        revisions = await self._lines.history(line)
        body = {
            **body_of(line),
            "first_text": revisions[0]["old_text"] if revisions else line.row.text,
            "revisions": [{name: one[name] for name in RevisionEntry.model_fields} for one in revisions],
            "marked": await self._lines.marked(line),
        }
        return json_response(body, headers=etag(line.revision))

    @Route(
        "PATCH",
        LINE,
        Role.OPERATOR,
        "Correct the text of a line",
        audit="corrected",
        body=LineCorrection,
        response=CorrectedResponse,
        errors=(404, 409, 412, 422, 428),
    )
    async def correct(self, request: web.Request) -> web.Response:
        """If-Match has the ETag of the line. 412 has the present line in `error.current`."""
        base = _base_revision(request)
        correction = await read_body(request, LineCorrection)
        try:
            line, offers = await self._lines.correct(_key(request), correction.text, base, _who(request))
        except LineConflict as conflict:
            body = error_body(conflict.code, conflict.message)
            body["error"]["current"] = body_of(conflict.current)
            return json_response(body, conflict.status, headers=etag(conflict.current.revision))
        request[DETAIL] = f"revision={line.revision}"
        return json_response({**body_of(line), "suggestions": offers}, headers=etag(line.revision))

    @Route(
        "PUT",
        LINE + "/marks/{mark}",
        Role.OPERATOR,
        "Star or report a line, mark it as not said, or take the mark away",
        audit="marked",
        body=LineMark,
        response=LineResponse,
        errors=(404, 409, 422),
    )
    async def mark(self, request: web.Request) -> web.Response:
        name = request.match_info["mark"]
        if name not in list(Mark):
            raise RequestError("unknown_mark", f"a mark is star, report or not_said, not {name[:20]!r}", 404)
        wanted = await read_body(request, LineMark)
        mark = Mark(name)
        line = await self._lines.mark(_key(request), mark, wanted.is_set, wanted.reason, _who(request))
        request[DETAIL] = f"{mark}={'set' if wanted.is_set else 'cleared'}"
        return json_response(body_of(line), headers=etag(line.revision))

    @Route(
        "POST",
        LINE + "/notes",
        Role.OPERATOR,
        "Write a note about a line",
        audit="noted",
        body=LineNote,
        response=LineResponse,
        errors=(404, 409, 422),
    )
    async def note(self, request: web.Request) -> web.Response:
        body = await read_body(request, LineNote)
        line = await self._lines.note(_key(request), body.note, _who(request))
        return json_response(body_of(line), headers=etag(line.revision))

    @Route("GET", "/api/me", Role.VIEWER, "The name and the role of the token", response=MeResponse)
    async def me(self, request: web.Request) -> web.Response:
        caller: Caller = request.get(CALLER, ANYONE)
        return json_response({"name": caller.name, "role": caller.role.value})


def body_of(line: Line) -> dict[str, Any]:
    row = line.row
    return {
        "session": row.session,
        "segment": row.id,
        "channel": row.channel,
        "start_ms": row.start_ms,
        "end_ms": row.end_ms,
        "start": timecode(row.start_ms),
        "end": timecode(row.end_ms),
        "wall": wall_of(row.wall_ms),
        "text": row.text,
        "raw": row.raw,
        "language": row.language,
        "conf": row.conf,
        "revision": line.revision,
        "is_redacted": line.is_redacted,
        "marks": list(line.extras.marks),
        "notes": list(line.extras.notes),
    }


def _key(request: web.Request) -> LineKey:
    session, segment = request.match_info["session"], request.match_info["segment"]
    if not SEGMENT.fullmatch(segment):
        raise RequestError("unknown_segment", f"there is no line {segment[:40]!r}", 404)
    return LineKey(session, segment)


def _base_revision(request: web.Request) -> int:
    given = request.headers.get("If-Match", "").strip()
    if not given:
        message = (
            'a correction needs the header If-Match with the revision that you saw, such as "0"; it is the '
            "ETag of the line, and it keeps two people from overwriting each other"
        )
        raise RequestError("revision_missing", message, 428)
    number = given.removeprefix("W/").strip('"')
    if not (number.isascii() and number.isdigit()) or len(number) > 9:
        message = f'If-Match is the revision of the line in quotes, such as "0", not {given[:20]!r}'
        raise RequestError("bad_revision", message, 422)
    return int(number)


def _who(request: web.Request) -> str:
    return token_name(request) or ANYONE.name
