"""The queries of the timeline: coverage added up by column, and the lines of a short range.

SQL only, on a connection that the caller passes. Invariant: the number of rows depends on the columns and the
channels of the request, never on the length of the record. The database adds up the runs that are shorter
than a column; a longer run takes a column of its own, so there are few of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, case, func, select

from webrtc_host.seams import CoverageState
from webrtc_host.transcript.coverage import NOT_FED
from webrtc_host.transcript.line_rows import marks_by_segment
from webrtc_host.transcript.schema import coverage, segments

LINE_MS_MAX = 120_000
"""No final is longer. So a line that reaches into a range begins at most this long before it, and the index
on the start of lines finds it.
"""
TEXT_MAX = 240
"""Characters of a line in the response; more do not fit on a timeline."""


@dataclass(frozen=True, slots=True)
class Columns:
    """A range of a session's time in columns of one width. The last column may end after `to_ms`."""

    from_ms: int
    to_ms: int
    step_ms: int

    @classmethod
    def of(cls, from_ms: int, to_ms: int, columns: int) -> Columns:
        return cls(from_ms, to_ms, max(1, -(-(to_ms - from_ms) // columns)))

    @property
    def count(self) -> int:
        return -(-(self.to_ms - self.from_ms) // self.step_ms)

    def start_ms(self, column: int) -> int:
        return self.from_ms + column * self.step_ms

    def of_ms(self, ms: int) -> int:
        """The column of a moment, cut to the range."""
        return min(max((ms - self.from_ms) // self.step_ms, 0), self.count - 1)


@dataclass(frozen=True, slots=True)
class Piece:
    """A state of a channel from one moment to another. amount_ms: how much of that time has the state."""

    channel: str
    from_ms: int
    to_ms: int
    state: CoverageState
    is_absent: bool  # no connection fed the channel
    amount_ms: int


@dataclass(frozen=True, slots=True)
class ShownLine:
    """A final on the timeline, with its newest text, cut to TEXT_MAX characters."""

    segment: str
    channel: str
    start_ms: int
    end_ms: int
    text: str
    language: str | None
    marks: tuple[str, ...] = ()  # star, report, not_said


def pieces(
    connection: Connection, session: str, columns: Columns, channels: frozenset[str] | None
) -> list[Piece]:
    """The coverage of the range: its long runs, and the sums of its short runs in each column."""
    wanted = [
        coverage.c.session == session,
        coverage.c.to_ms > columns.from_ms,
        coverage.c.from_ms < columns.to_ms,
    ]
    if channels is not None:
        wanted.append(coverage.c.channel.in_(sorted(channels)))
    return [*_long(connection, columns, wanted), *_short(connection, columns, wanted)]


def _long(connection: Connection, columns: Columns, wanted: Sequence[ColumnElement[bool]]) -> list[Piece]:
    is_long = coverage.c.to_ms - coverage.c.from_ms >= columns.step_ms
    return [
        Piece(
            row.channel,
            max(row.from_ms, columns.from_ms),
            min(row.to_ms, columns.to_ms),
            CoverageState(row.state),
            row.reason == NOT_FED,
            min(row.to_ms, columns.to_ms) - max(row.from_ms, columns.from_ms),
        )
        for row in connection.execute(select(coverage).where(*wanted, is_long))
    ]


def _short(connection: Connection, columns: Columns, wanted: Sequence[ColumnElement[bool]]) -> list[Piece]:
    """A short run counts in the column of its middle. It may reach into the next column, by less than one."""
    length = coverage.c.to_ms - coverage.c.from_ms
    middle = (coverage.c.from_ms + coverage.c.to_ms) // 2
    column = ((middle - columns.from_ms) // columns.step_ms).label("column")
    is_absent = case((coverage.c.reason == NOT_FED, 1), else_=0).label("is_absent")
    query = (
        select(coverage.c.channel, column, coverage.c.state, is_absent, func.sum(length).label("ms"))
        .where(*wanted, length < columns.step_ms)
        .group_by(coverage.c.channel, column, coverage.c.state, is_absent)
    )
    found = []
    for row in connection.execute(query):
        low = columns.start_ms(min(max(row.column, 0), columns.count - 1))
        high, state = low + columns.step_ms, CoverageState(row.state)
        found.append(Piece(row.channel, low, high, state, bool(row.is_absent), int(row.ms)))
    return found


def lines(
    connection: Connection, session: str, columns: Columns, channels: Sequence[str], limit: int
) -> list[ShownLine]:
    """The finals of these channels that overlap the range; at most `limit` of them, in any order."""
    query = (
        select(
            *(segments.c.id, segments.c.channel, segments.c.start_ms, segments.c.end_ms, segments.c.language),
            func.substr(segments.c.text, 1, TEXT_MAX).label("text"),
        )
        .where(
            segments.c.session == session,
            segments.c.channel.in_(channels),
            segments.c.start_ms >= columns.from_ms - LINE_MS_MAX,
            segments.c.start_ms < columns.to_ms,
            segments.c.end_ms > columns.from_ms,
        )
        .limit(limit)
    )
    rows = connection.execute(query).all()
    marked = marks_by_segment(connection, [row.id for row in rows])
    return [
        ShownLine(
            segment=row.id,
            channel=row.channel,
            start_ms=row.start_ms,
            end_ms=row.end_ms,
            text=row.text,
            language=row.language,
            marks=tuple(marked.get(row.id, ())),
        )
        for row in rows
    ]
