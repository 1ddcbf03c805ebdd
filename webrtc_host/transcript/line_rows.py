"""The rows of marks and notes: what `segment.marked` and `note.added` change, and how they are read.

SQL only, on a connection that the caller passes. Writing an event twice changes nothing.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, select

from webrtc_host.events import NoteAdded, SegmentMarked
from webrtc_host.seams import Mark
from webrtc_host.transcript.event_codec import Envelope, iso_ms
from webrtc_host.transcript.insert_new import insert_new
from webrtc_host.transcript.schema import events, insert_of, marks, notes, segments
from webrtc_host.transcript.storable import storable

_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Extras:
    """What people added to one line."""

    marks: tuple[str, ...] = ()  # star, report, not_said
    notes: tuple[dict[str, Any], ...] = ()  # {seq, wall, by, note}, oldest first

    def fields(self) -> dict[str, Any]:
        """The fields for JSON; a field without a value is left out."""
        found: dict[str, Any] = {}
        if self.marks:
            found["marks"] = list(self.marks)
        if self.notes:
            found["notes"] = list(self.notes)
        return found


def segment_marked(connection: Connection, envelope: Envelope, event: SegmentMarked) -> None:
    row = {
        "segment": event.segment,
        "mark": event.mark.value,
        "session": envelope.session,
        "seq": envelope.seq,
        "is_set": event.is_set,
        "reason": None if event.reason is None else storable(event.reason),
        "who": storable(event.by),
        "wall_ms": envelope.wall_ms,
    }
    connection.execute(_upsert_mark(connection.dialect.name), [row])


def note_added(connection: Connection, envelope: Envelope, event: NoteAdded) -> None:
    row = {
        "session": envelope.session,
        "seq": envelope.seq,
        "segment": event.segment,
        "note": storable(event.note),
        "who": storable(event.by),
        "wall_ms": envelope.wall_ms,
    }
    insert_new(connection, notes, [row])


def extras_of(connection: Connection, found: Sequence[str]) -> dict[str, Extras]:
    """The marks and notes of these segments; a segment without any is left out."""
    ids = list(found)
    marked = marks_by_segment(connection, ids)
    written: dict[str, list[dict[str, Any]]] = {}
    for row in connection.execute(select(notes).where(notes.c.segment.in_(ids)).order_by(notes.c.seq)):
        note = {"seq": row.seq, "wall": _wall(row.wall_ms), "by": row.who, "note": row.note}
        written.setdefault(row.segment, []).append(note)
    return {
        segment: Extras(tuple(marked.get(segment, ())), tuple(written.get(segment, ())))
        for segment in marked.keys() | written.keys()
    }


def marks_by_segment(connection: Connection, ids: Sequence[str]) -> dict[str, list[str]]:
    """The marks that are set on these segments; a segment without any is left out."""
    query = (
        select(marks.c.segment, marks.c.mark)
        .where(marks.c.segment.in_(ids), marks.c.is_set)
        .order_by(marks.c.mark.desc())
    )
    found: dict[str, list[str]] = {}
    for row in connection.execute(query):
        found.setdefault(row.segment, []).append(row.mark)
    return found


def not_said() -> Select[Any]:
    """The ids of the finals that a person has marked as not said."""
    return select(marks.c.segment).where(marks.c.mark == Mark.NOT_SAID.value, marks.c.is_set)


def marks_of(connection: Connection, segment: str) -> list[dict[str, Any]]:
    """Who set the marks of a segment, and when: {mark, wall, by, reason} each, oldest first."""
    query = select(marks).where(marks.c.segment == segment, marks.c.is_set).order_by(marks.c.seq)
    return [
        {"mark": row.mark, "wall": _wall(row.wall_ms), "by": row.who, "reason": row.reason}
        for row in connection.execute(query)
    ]


def talkers_of(connection: Connection, found: Sequence[str]) -> dict[str, tuple[dict[str, Any], ...]]:
    """The radios that were heard in these segments, as on the wire; a segment without any is left out."""
    query = select(segments.c.id, events.c.data).join_from(
        segments, events, and_(events.c.session == segments.c.session, events.c.seq == segments.c.seq)
    )
    rows = connection.execute(query.where(segments.c.id.in_(list(found)), segments.c.talkers.is_not(None)))
    return {row.id: tuple(json.loads(row.data).get("talkers", ())) for row in rows}


def line(connection: Connection, session: str, segment: str) -> Row[Any] | None:
    """The row of a final."""
    query = select(segments).where(segments.c.id == segment, segments.c.session == session)
    return connection.execute(query).first()


def events_of_line(
    connection: Connection, session: str, segment: str, channel: str, after_seq: int, kind: str
) -> list[str]:
    """The JSON of a line's events of one type, oldest first. after_seq: of the final."""
    query = (
        select(events.c.data)
        .where(
            events.c.session == session,
            events.c.channel == channel,
            events.c.seq > after_seq,
            events.c.type == kind,
            events.c.data.contains(f'"segment":"{segment}"', autoescape=True),
        )
        .order_by(events.c.seq)
    )
    return list(connection.execute(query).scalars())


def _wall(wall_ms: int) -> str:
    return iso_ms(_EPOCH + timedelta(milliseconds=wall_ms))


@functools.cache
def _upsert_mark(dialect: str) -> Any:
    statement = insert_of(dialect, marks)
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=[marks.c.segment, marks.c.mark],
        set_={name: new[name] for name in ("seq", "is_set", "reason", "who", "wall_ms")},
        where=marks.c.seq < new.seq,
    )
