"""Reads what the summary of a room is made from: the lines of its members, on one clock.

A stream has the time at which it was spoken. When a recording was made is not known, so it begins where the
members before it end. All times of the summary are on this clock; `places` leads back to the sessions.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, Row

from webrtc_host.summaries.content import Line, Place, Unseen, Why
from webrtc_host.summaries.sources import LINES_MAX, Source, gaps_of, lines_of
from webrtc_host.transcript import rooms
from webrtc_host.transcript.jobs import OPEN
from webrtc_host.transcript.records import Span


@dataclass(slots=True)
class _Clock:
    """The room's clock while its members get their times on it, in their order."""

    end_ms: int = 0
    first_wall_ms: int | None = None
    """When the first stream began, by the wall clock; on this clock it began at `first_ms`."""
    first_ms: int = 0

    def offset_of(self, member: Row[Any]) -> int:
        """What to add to a time of the member's session."""
        if member.kind == rooms.JOB:
            return self.end_ms
        begin_wall_ms = member.t0_wall_ms + member.from_ms
        if self.first_wall_ms is None:
            self.first_wall_ms, self.first_ms = begin_wall_ms, self.end_ms
        return int(self.first_ms + begin_wall_ms - self.first_wall_ms - member.from_ms)


@dataclass(slots=True)
class _Read:
    lines: list[list[Line]] = field(default_factory=list)
    places: dict[str, Place] = field(default_factory=dict)
    unseen: list[Unseen] = field(default_factory=list)


def read_room(connection: Connection, room: str) -> Source | None:
    """None: there is no such room."""
    if rooms.get(connection, room) is None:
        return None
    clock, read = _Clock(), _Read()
    for member in rooms.members(connection, (room,)):
        if member.text_session is not None:
            _read_member(connection, member, clock, read)
    lines = tuple(heapq.merge(*read.lines, key=lambda line: line.start_ms))
    end_ms = clock.end_ms
    return Source(lines, 0, end_ms, end_ms, end_ms, tuple(read.unseen), read.places)


def _read_member(connection: Connection, member: Row[Any], clock: _Clock, read: _Read) -> None:
    channels = None if member.channel is None else frozenset((member.channel,))
    span = Span(member.text_session, channels, member.from_ms or 0, member.to_ms)
    offset = clock.offset_of(member)
    found, cut_ms = lines_of(connection, span, LINES_MAX - len(read.places))
    read.places.update(
        (line.segment, Place(member.text_session, line.start_ms, line.end_ms)) for line in found
    )
    read.lines.append([_moved(line, offset, member.job_title) for line in found])
    end_ms = max((line.end_ms for line in found), default=span.from_ms)
    if member.kind == rooms.JOB:
        end_ms = max(end_ms, member.job_total_ms or member.job_done_ms or 0)
        if (member.job_done_ms or 0) < end_ms and member.job_state != "completed":
            why = Why.NOT_YET if member.job_state in OPEN else Why.FAILED
            begin_ms, missing_ms = member.job_done_ms + offset, end_ms - member.job_done_ms
            read.unseen.append(Unseen(why, begin_ms, end_ms + offset, missing_ms))
    elif member.to_ms is not None:
        end_ms = max(end_ms, member.to_ms)
    if cut_ms is not None:
        read.unseen.append(Unseen(Why.TOO_MANY, cut_ms + offset, end_ms + offset, max(0, end_ms - cut_ms)))
    read.unseen += (
        replace(gap, from_ms=max(0, gap.from_ms + offset), to_ms=gap.to_ms + offset)
        for gap in gaps_of(connection, span)
    )
    clock.end_ms = max(clock.end_ms, end_ms + offset)


def _moved(line: Line, offset: int, title: str | None) -> Line:
    """A line on the room's clock; a recording's channel without a label of its own gets its title."""
    label = title if title and line.label in ("", line.channel) else line.label
    start_ms = max(0, line.start_ms + offset)
    return replace(line, label=label, start_ms=start_ms, end_ms=max(start_ms, line.end_ms + offset))
