"""The JSON bodies of responses, as models from which the OpenAPI document is made.

Only shapes. The handlers do not build their responses through these models (a page of finals is sent as the
bytes that watchers got); the tests compare the responses with the models.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Response(BaseModel):
    model_config = ConfigDict(extra="forbid")


class MistakeEntry(Response):
    place: Annotated[str, Field(description="such as `terms[3].aliases[0]`; empty: the whole list")]
    path: list[str | int]
    message: str
    term: Annotated[str, Field(description="the canonical form of the term; empty outside of terms")]
    line: Annotated[int | None, Field(description="of a list in YAML")]


class ErrorBody(Response):
    code: str
    message: str
    mistakes: Annotated[
        list[MistakeEntry] | None, Field(description="of a glossary that is refused; all of them")
    ] = None


class ErrorResponse(Response):
    error: ErrorBody


class HealthResponse(Response):
    status: Literal["ok"]
    version: str
    uptime_s: float


class IceServerEntry(Response):
    urls: list[str]
    username: str
    credential: str


class IceServersResponse(Response):
    ice_servers: list[IceServerEntry]


class ChannelOfSession(Response):
    channel: str
    label: str
    language: str
    state: str | None
    connection: Annotated[str | None, Field(description="the connection that sends audio to it now")]


class SessionResponse(Response):
    session: str
    name: str
    t0_wall: str
    now_ms: Annotated[int, Field(description="the session's time now, or when it ended")]
    is_ended: bool
    ended_wall: str | None
    is_held: Annotated[bool, Field(description="under a hold: nothing of the session is removed")]
    head_seq: int
    channels: list[ChannelOfSession]


class SessionsResponse(Response):
    sessions: list[SessionResponse]
    next_before: Annotated[str | None, Field(description="`before` of the next page; null: the last page")]


class SessionEndResponse(Response):
    session: str
    final_seq: int


class SessionRemovedResponse(Response):
    session: str
    is_removed: bool


class SegmentsResponse(Response):
    session: str
    segments: Annotated[list[dict[str, Any]], Field(description="segment.final events with their revisions")]
    next_after: Annotated[int | None, Field(description="`after` of the next page; null: the last page")]


class CoverageRun(Response):
    from_ms: int
    to_ms: int
    state: Literal["transcribed", "silence", "shed", "lost", "failed", "closed", "redacted"]
    reason: str | None


class ChannelCoverage(Response):
    channel: str
    from_ms: Annotated[int, Field(description="where the coverage begins: the channel's first feed")]
    covered_to_ms: Annotated[int, Field(description="before this time, every millisecond has its state")]
    totals_ms: Annotated[dict[str, int], Field(description="of the runs in this response, by state")]
    runs: list[CoverageRun]


class CoverageResponse(Response):
    session: str
    now_ms: int
    is_truncated: Annotated[
        bool, Field(description="there are more runs than one response holds; request a range")
    ]
    channels: list[ChannelCoverage]


class StatisticsResponse(Response):
    session: str
    channels: list[dict[str, Any]]


class HoldResponse(Response):
    session: str
    channel: str
    is_held: bool


class TextPart(Response):
    text: str
    hit: bool


class NoteEntry(Response):
    seq: Annotated[int, Field(description="of its event note.added")]
    wall: str
    by: Annotated[str, Field(description="name of the token")]
    note: str


class TalkerEntry(Response):
    id: Annotated[int, Field(description="number of the radio")]
    start_ms: Annotated[int, Field(description="when it began to send")]
    label: Annotated[str | None, Field(description="its name, if the radio system has one")] = None


MarkName = Literal["star", "report", "not_said"]


class MarkEntry(Response):
    mark: MarkName
    wall: str
    by: Annotated[str, Field(description="name of the token")]
    reason: Annotated[str | None, Field(description="of a report")]


class SearchHit(Response):
    segment: str
    session: str
    session_name: str
    channel: str
    label: str
    seq: int
    start_ms: int
    end_ms: int
    start: str
    end: str
    start_wall: str
    text: str
    raw: str
    language: str | None
    conf: float | None
    parts: Annotated[list[TextPart], Field(description="`text` in parts; the words of the query have `hit`")]
    raw_parts: list[TextPart]
    revision: Annotated[int, Field(description="0: the text was not corrected")]
    is_redacted: bool
    marks: Annotated[list[MarkName], Field(description="marks of people")]
    notes: list[NoteEntry]
    talkers: Annotated[list[TalkerEntry], Field(description="the radios that were heard, if known")]
    score: Annotated[
        float | None, Field(description="mode=meaning: similarity, at best 1; mode=both: rank; else null")
    ]


class FoundSummary(Response):
    kind: Literal["summary"]
    session: Annotated[str | None, Field(description="null: of a room")]
    room: Annotated[str | None, Field(description="null: of a session")]
    session_name: Annotated[str, Field(description="or the title of the room")]
    summary: Annotated[str, Field(description="its id; of a room, that of the room")]
    href: Annotated[str, Field(description="where the whole summary is")]
    channel: Annotated[str | None, Field(description="null: of all channels")]
    title: str
    text: str
    from_ms: Annotated[int, Field(description="what it covers, on the timeline of the session or room")]
    to_ms: int
    start: str
    end: str
    made_wall: str
    score: Annotated[float, Field(description="similarity, at best 1")]


class SearchResponse(Response):
    hits: Annotated[list[SearchHit], Field(description="newest first; by meaning: best first")]
    summaries: Annotated[list[FoundSummary], Field(description="by meaning: best first; else empty")]
    next_before: Annotated[str | None, Field(description="`before` of the next page; null: the last page")]


class AuditEntry(Response):
    id: int
    wall: str
    who: str
    remote: str
    action: str
    session: str | None
    channel: str | None
    detail: str | None


class AuditResponse(Response):
    lines: Annotated[list[AuditEntry], Field(description="newest first")]
    next_before: int | None
