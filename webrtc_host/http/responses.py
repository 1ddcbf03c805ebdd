"""What the routes of the record answer, as models: the OpenAPI document is made of them.

Owns shapes alone. Answers are not built through them (a page of finals goes out as the bytes watchers got);
the tests hold both against each other.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ErrorBody(Answer):
    code: str
    message: str


class ErrorAnswer(Answer):
    error: ErrorBody


class ChannelAnswer(Answer):
    channel: str
    label: str
    language: str
    state: str | None
    connection: Annotated[str | None, Field(description="what feeds it now")]


class SessionAnswer(Answer):
    session: str
    name: str
    t0_wall: str
    now_ms: Annotated[int, Field(description="its time now, or when it ended")]
    is_ended: bool
    ended_wall: str | None
    is_held: Annotated[bool, Field(description="under a hold: nothing of it is removed")]
    head_seq: int
    channels: list[ChannelAnswer]


class SessionsAnswer(Answer):
    sessions: list[SessionAnswer]
    next_before: Annotated[str | None, Field(description="`before` of the next page; null: the last one")]


class EndAnswer(Answer):
    session: str
    final_seq: int


class RemovedAnswer(Answer):
    session: str
    is_removed: bool


class SegmentsAnswer(Answer):
    session: str
    segments: Annotated[list[dict[str, Any]], Field(description="segment.final events, as on the wire")]
    next_after: Annotated[int | None, Field(description="`after` of the next page; null: the last one")]


class RunAnswer(Answer):
    from_ms: int
    to_ms: int
    state: Literal["transcribed", "silence", "shed", "lost", "failed", "closed"]
    reason: str | None


class ChannelCoverageAnswer(Answer):
    channel: str
    from_ms: Annotated[int, Field(description="where its ledger begins: the first opening")]
    covered_to_ms: Annotated[
        int, Field(description="the watermark: before it every millisecond has its state")
    ]
    totals_ms: Annotated[dict[str, int], Field(description="of the runs shown")]
    runs: list[RunAnswer]


class CoverageAnswer(Answer):
    session: str
    now_ms: int
    is_truncated: Annotated[bool, Field(description="more runs than one answer holds; ask for a range")]
    channels: list[ChannelCoverageAnswer]


class StatisticsAnswer(Answer):
    session: str
    channels: list[dict[str, Any]]


class PartAnswer(Answer):
    text: str
    hit: bool


class HitAnswer(Answer):
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
    parts: Annotated[list[PartAnswer], Field(description="`text` in pieces, the words asked for marked")]
    raw_parts: list[PartAnswer]


class SearchAnswer(Answer):
    hits: Annotated[list[HitAnswer], Field(description="newest first")]
    next_before: Annotated[str | None, Field(description="`before` of the next page; null: the last one")]


class AuditLineAnswer(Answer):
    id: int
    wall: str
    who: str
    remote: str
    action: str
    session: str | None
    channel: str | None
    detail: str | None


class AuditAnswer(Answer):
    lines: Annotated[list[AuditLineAnswer], Field(description="newest first")]
    next_before: int | None
