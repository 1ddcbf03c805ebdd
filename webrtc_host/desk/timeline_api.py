"""`GET /api/sessions/{session}/timeline`: all channels of a range in a few columns, for a picture.

Each channel gets one character for the state of each column and one digit for the share of speech, whatever
the length of the range. So the response for eight hours is as small as that for one minute. The lines of the
range are in the response when they are few. Invariant: a loss shorter than a column is shown by that column.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from aiohttp import web
from pydantic import Field
from sqlalchemy import Connection

from webrtc_host.desk.coverage_view import live_coverage
from webrtc_host.desk.session_view import find_session, span_of, wall_of
from webrtc_host.http.requests import RangeQuery, read_query
from webrtc_host.http.responses import MarkName, Response
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import json_response
from webrtc_host.seams import CoverageState
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.session.session import Session
from webrtc_host.transcript import lanes, records
from webrtc_host.transcript.coverage import NOT_FED
from webrtc_host.transcript.lanes import Columns, Piece, ShownLine
from webrtc_host.transcript.records import Span
from webrtc_host.transcript.store import Store

COLUMNS_MAX = 2000
LINES_MAX = 1000
SAVED_WITHIN_MS = 5000
"""A reported run is in the record after this time, unless the database is late."""

LETTERS = {
    CoverageState.FAILED: "f",
    CoverageState.LOST: "l",
    CoverageState.SHED: "h",
    CoverageState.REDACTED: "r",
    CoverageState.TRANSCRIBED: "t",
    CoverageState.SILENCE: "s",
    CoverageState.CLOSED: "c",
}
ABSENT = "d"
UNKNOWN = "."
URGENCY = "flhrt"
"""The first of these that a column has is its letter, however short it is. Else: the longest of the rest."""
SHARES = 9
"""The digit of a column that is speech from end to end."""


class TimelineQuery(RangeQuery):
    columns: int = Field(600, ge=1, le=COLUMNS_MAX, description="parts of the range; each is `step_ms` long")


class TimelineLine(Response):
    segment: str
    channel: str
    start_ms: int
    end_ms: int
    text: str = Field(description=f"the newest text, at most {lanes.TEXT_MAX} characters of it")
    language: str | None
    marks: list[MarkName] = Field(description="what people marked the line as")


class TimelineLane(Response):
    channel: str
    label: str
    states: str = Field(
        description="one letter for each column: f failed, l lost, h shed, r redacted, t transcribed, "
        "s silence, c closed, d no connection, `.` not known"
    )
    speech: str = Field(description="one digit for each column: the share that is transcribed, 0 to 9")


class TimelineResponse(Response):
    session: str
    t0_wall: str
    now_ms: int
    is_ended: bool
    from_ms: int
    to_ms: int
    step_ms: int = Field(description="the length of a column")
    channels: list[TimelineLane]
    lines: list[TimelineLine] | None = Field(
        description=f"null: there are more than {LINES_MAX} in the range"
    )


class TimelineApi:
    def __init__(self, registry: SessionRegistry, store: Store) -> None:
        self._registry = registry
        self._store = store
        # A run is reported late, so the newest time is read from the session and not from the record.
        self._tail_ms = registry.coverage.config.report_every_ms + SAVED_WITHIN_MS

    @Route(
        "GET",
        "/api/sessions/{session}/timeline",
        Role.VIEWER,
        "The state and the speech of all channels in columns, for a picture of a range",
        query=TimelineQuery,
        response=TimelineResponse,
        errors=(404, 422, 503),
    )
    async def timeline(self, request: web.Request) -> web.Response:
        query = read_query(request, TimelineQuery)
        found = await find_session(self._registry, self._store, request.match_info["session"])
        span = span_of(found.id, query)
        to_ms = max(span.from_ms + 1, found.now_ms if span.to_ms is None else span.to_ms)
        columns = Columns.of(span.from_ms, to_ms, query.columns)
        labels, stored, lines = await self._store.read(lambda c: _read(c, span, columns))
        tail = {} if found.live is None else _tail(found.live, columns, span.channels, self._tail_ms)
        if found.live is not None:
            labels |= _live_labels(found.live, span.channels)
        # A thousand pieces of each channel take tens of milliseconds, which live audio must not wait for.
        drawn = await asyncio.to_thread(_lanes, labels, stored, tail, columns)
        return json_response(
            {
                "session": found.id,
                "t0_wall": wall_of(found.t0_wall_ms),
                "now_ms": found.now_ms,
                "is_ended": found.is_ended,
                "from_ms": columns.from_ms,
                "to_ms": columns.to_ms,
                "step_ms": columns.step_ms,
                "channels": drawn,
                "lines": None if len(lines) > LINES_MAX else [asdict(one) for one in _ordered(lines)],
            }
        )


def _lanes(
    labels: Mapping[str, str],
    stored: Mapping[str, list[Piece]],
    tail: Mapping[str, tuple[int, list[Piece]]],
    columns: Columns,
) -> list[dict[str, str]]:
    """The channels of the response, in the order of their ids."""
    return [
        {"channel": id, "label": label, **drawing(_joined(stored.get(id, []), tail.get(id)), columns)}
        for id, label in sorted(labels.items())
    ]


def drawing(pieces: Iterable[Piece], columns: Columns) -> dict[str, str]:
    """The letters and digits of one channel."""
    amounts: list[dict[str, int]] = [{} for _ in range(columns.count)]
    for piece in pieces:
        letter = ABSENT if piece.is_absent else LETTERS[piece.state]
        first, last = columns.of_ms(piece.from_ms), columns.of_ms(piece.to_ms - 1)
        for column in range(first, last + 1):
            low = columns.start_ms(column)
            inside = min(piece.to_ms, low + columns.step_ms) - max(piece.from_ms, low)
            amount = min(inside, piece.amount_ms)
            amounts[column][letter] = amounts[column].get(letter, 0) + amount
    return {
        "states": "".join(map(_state, amounts)),
        "speech": "".join(_share(amount.get("t", 0), columns.step_ms) for amount in amounts),
    }


def _state(amounts: dict[str, int]) -> str:
    urgent = next((letter for letter in URGENCY if amounts.get(letter)), None)
    return urgent or max(amounts, key=amounts.__getitem__, default=UNKNOWN)


def _share(transcribed_ms: int, step_ms: int) -> str:
    """A column with any speech has at least 1, so that a call of one second is seen in eight hours."""
    return str(min(SHARES, -(-transcribed_ms * SHARES // step_ms)))


def _read(
    connection: Connection, span: Span, columns: Columns
) -> tuple[dict[str, str], dict[str, list[Piece]], list[ShownLine]]:
    """Labels by channel, pieces by channel, lines; one line more than LINES_MAX if there are too many."""
    rows = records.channels_of(connection, [span.session]).get(span.session, ())
    labels = {row.channel: row.label for row in rows if _is_wanted(row.channel, span.channels)}
    stored: dict[str, list[Piece]] = {}
    for piece in lanes.pieces(connection, span.session, columns, span.channels):
        stored.setdefault(piece.channel, []).append(piece)
    return labels, stored, lanes.lines(connection, span.session, columns, sorted(labels), LINES_MAX + 1)


def _tail(
    session: Session, columns: Columns, channels: frozenset[str] | None, tail_ms: int
) -> dict[str, tuple[int, list[Piece]]]:
    """By channel: where its newest part begins, and the coverage of this part in the running session."""
    found: dict[str, tuple[int, list[Piece]]] = {}
    for channel in session.channels.values():
        if channel.coverage.origin_ms is None or not _is_wanted(channel.id, channels):
            continue
        column = columns.of_ms(max(columns.from_ms, channel.coverage.covered_to_ms - tail_ms))
        from_ms = columns.start_ms(column)
        span = Span(session.id, frozenset((channel.id,)), from_ms, columns.to_ms)
        if from_ms >= columns.to_ms or (one := live_coverage(session, span).get(channel.id)) is None:
            continue
        runs = []
        for run in one.runs:
            is_absent, length = run.reason == NOT_FED, run.to_ms - run.from_ms
            runs.append(Piece(channel.id, run.from_ms, run.to_ms, run.state, is_absent, length))
        found[channel.id] = (from_ms, runs)
    return found


def _joined(stored: Sequence[Piece], tail: tuple[int, list[Piece]] | None) -> list[Piece]:
    """The stored pieces up to the tail, and the tail."""
    if tail is None:
        return list(stored)
    from_ms, runs = tail
    cut = [
        Piece(one.channel, one.from_ms, min(one.to_ms, from_ms), one.state, one.is_absent, one.amount_ms)
        for one in stored
        if one.from_ms < from_ms
    ]
    return [*cut, *runs]


def _ordered(lines: Sequence[ShownLine]) -> list[ShownLine]:
    return sorted(lines, key=lambda line: (line.start_ms, line.channel))


def _is_wanted(channel: str, channels: frozenset[str] | None) -> bool:
    return channels is None or channel in channels


def _live_labels(session: Session, channels: frozenset[str] | None) -> dict[str, str]:
    return {one.id: one.label for one in session.channels.values() if _is_wanted(one.id, channels)}
