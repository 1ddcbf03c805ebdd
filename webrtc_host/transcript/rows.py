"""Turns events into rows: what each event changes in the tables of the record.

SQL only, on a connection that the caller passes: no transaction, thread or clock. Writing an event twice
changes nothing, because a commit is repeated when its reply was lost.

Statements are made once and cached: SQLAlchemy takes longer to make one than SQLite takes to run it.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import BigInteger, Connection, bindparam, case, delete, or_, select, update
from sqlalchemy.exc import DBAPIError, InternalError, OperationalError

from webrtc_host.events import (
    AlertEvent,
    ChannelClosed,
    ChannelOpened,
    Event,
    NoteAdded,
    RangeRedacted,
    SegmentFinal,
    SegmentMarked,
    SegmentRevised,
    SessionEnded,
    SessionStarted,
    Talker,
)
from webrtc_host.transcript import alerts, coverage_rows, line_rows, redaction_rows, schema
from webrtc_host.transcript.event_codec import Envelope, encode_edits, encode_json, encode_words, wall_ms
from webrtc_host.transcript.event_log import LoggedEvent
from webrtc_host.transcript.insert_new import insert_new
from webrtc_host.transcript.meta import get_meta, put_meta
from webrtc_host.transcript.schema import insert_of
from webrtc_host.transcript.search_text import names_key
from webrtc_host.transcript.storable import storable

logger = logging.getLogger(__name__)

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class NewTexts:
    """Segments whose text is new in a transaction: rows with at least `id`, `text` and `raw`."""

    finals: list[Row] = field(default_factory=list)
    revised: list[Row] = field(default_factory=list)


OF_EARLIER_LINES = (SegmentRevised, SegmentMarked, NoteAdded, AlertEvent)
"""Events that name the id of an earlier final, so they give out none."""
Marks = dict[str, int]
"""Values of `meta` that the writer has in memory; emptied when a transaction fails."""

UTTERANCE_MAX = "utterance_max"  # keys of `meta`: the highest ids used
SEGMENT_MAX = "segment_max"
ALIVE_WALL_MS = "alive_wall_ms"  # when the server was last known to run
STOPPED_WALL_MS = "stopped_wall_ms"  # when it stopped in order; not there while it runs, and after a crash


def insert_events(connection: Connection, events: list[LoggedEvent], marks: Marks) -> tuple[NewTexts, int]:
    """Write events with all their rows. Returns the new texts, and the number of refused events.

    When the database refuses an event, only its row in `events` is written. When that is refused too (its
    session was deleted), the event is logged and left out: it must not block the events after it.
    """
    try:
        with connection.begin_nested():
            return _insert(connection, events, marks), 0
    except Exception as error:
        # Together it is fast. One bad event fails the group; then they are written one by one, to find it.
        if is_of_database(error):
            raise
    new = NewTexts()
    refused = 0
    for event in events:
        try:
            with connection.begin_nested():
                one = _insert(connection, [event], marks)
            new.finals.extend(one.finals)
            new.revised.extend(one.revised)
        except Exception as error:
            if is_of_database(error):
                raise
            logger.exception("event %s of %s does not fit the tables", event.seq, event.session)
            refused += not _insert_alone(connection, event)
    return new, refused


def is_of_database(error: Exception) -> bool:
    """True when no event can be written at all: the disk is full, the database not reachable or damaged."""
    if isinstance(error, OperationalError | InternalError):
        return True
    return isinstance(error, DBAPIError) and (error.connection_invalidated or "malformed" in str(error.orig))


def note_alive(connection: Connection, wall_ms: int) -> None:
    """Note that the server runs at this moment, also in every session that has not ended."""
    put_meta(connection, {ALIVE_WALL_MS: str(wall_ms)})
    connection.execute(_ALIVE, {"wall_ms": wall_ms})


def forget_events(connection: Connection, session: str, up_to_seq: int) -> None:
    """Delete a session's oldest events, and the finals, marks, notes and finished alerts among them."""
    for table in (schema.events, schema.segments, schema.marks, schema.notes):
        connection.execute(delete(table).where(table.c.session == session, table.c.seq <= up_to_seq))
    alerts.forget(connection, session, up_to_seq)


def _insert(connection: Connection, events: list[LoggedEvent], marks: Marks) -> NewTexts:
    envelopes = [event.envelope for event in events]
    for envelope in envelopes:
        if isinstance(envelope.event, SessionStarted):
            _session_started(connection, envelope, envelope.event)
    insert_new(connection, schema.events, [_event_row(event) for event in events])
    finals = [_segment_row(one, one.event) for one in envelopes if isinstance(one.event, SegmentFinal)]
    insert_new(connection, schema.segments, finals)
    revised: list[Row] = []
    for envelope in envelopes:
        match envelope.event:
            case SegmentRevised() as event:
                revised += _segment_revised(connection, envelope, event)
            case SegmentMarked() as event:
                line_rows.segment_marked(connection, envelope, event)
            case NoteAdded() as event:
                line_rows.note_added(connection, envelope, event)
            case RangeRedacted() as event:
                revised += redaction_rows.range_redacted(connection, envelope, event)
            case SessionEnded():
                _session_ended(connection, envelope)
            case ChannelOpened() as event:
                _channel_opened(connection, envelope, event)
            case ChannelClosed() as event:
                _channel_closed(connection, envelope, event)
    coverage_rows.apply(connection, envelopes)
    alerts.apply(connection, envelopes)
    _raise_heads(connection, events)
    _raise_ids(connection, [e.event for e in envelopes if not isinstance(e.event, OF_EARLIER_LINES)], marks)
    return NewTexts(finals, revised)


def _insert_alone(connection: Connection, event: LoggedEvent) -> bool:
    try:
        with connection.begin_nested():
            insert_new(connection, schema.events, [_event_row(event)])
            _raise_heads(connection, [event])
        return True
    except Exception as error:
        if is_of_database(error):
            raise
        logger.error("event %s of %s cannot be written: %s", event.seq, event.session, type(error).__name__)
        return False


def _event_row(event: LoggedEvent) -> Row:
    return {
        "session": event.session,
        "seq": event.seq,
        "type": event.kind.value,
        "channel": event.channel,
        "data": event.text,
    }


def _segment_row(envelope: Envelope, final: SegmentFinal) -> Row:
    return {
        "id": final.segment,
        "session": envelope.session,
        "seq": envelope.seq,
        "channel": final.channel,
        "utterance": final.utterance,
        "start_ms": final.start_ms,
        "end_ms": final.end_ms,
        "wall_ms": envelope.wall_ms,
        "text": storable(final.text),
        "raw": storable(final.text if final.raw is None else final.raw),
        "language": final.language,
        "conf": final.conf,
        "words": encode_words(final.words).decode(),
        "edits": encode_edits(final.edits).decode(),
        "glossary_version": final.glossary_version,
        "latency_ms": envelope.latency_ms,
        "talkers": names_key(names_of(final.talkers)) or None,
    }


def _segment_revised(connection: Connection, envelope: Envelope, revised: SegmentRevised) -> list[Row]:
    """Give the final its newest text; its row, or none: it is unknown, or has this or a higher revision.

    `words` and `raw` stay the engine's: they say what was heard, and when.
    """
    table = schema.segments
    values: dict[str, Any] = {
        "text": storable(revised.text),
        "edits": encode_edits(revised.edits).decode(),
        "revision": revised.revision,
        "revised_seq": envelope.seq,
    }
    if revised.glossary_version is not None:
        values["glossary_version"] = revised.glossary_version
    of_segment = (table.c.id == revised.segment, table.c.session == envelope.session)
    is_newer = or_(table.c.revision.is_(None), table.c.revision < revised.revision)
    is_there = table.c.redacted_seq.is_(None)
    if not connection.execute(update(table).where(*of_segment, is_newer, is_there).values(**values)).rowcount:
        return []
    found = connection.execute(select(table.c.id, table.c.text, table.c.raw).where(*of_segment))
    return [dict(row) for row in found.mappings()]


def names_of(talkers: Iterable[Talker]) -> list[str]:
    """What a radio can be searched by: its number and its name."""
    return [storable(f"{one.id} {one.label or ''}") for one in talkers]


def _session_started(connection: Connection, envelope: Envelope, started: SessionStarted) -> None:
    row = {
        "id": envelope.session,
        "name": storable(started.name or envelope.session),
        "t0_wall_ms": wall_ms(started.t0_wall),
        "ended_wall_ms": None,
        "is_current": started.is_current,
        "is_held": False,
        "head_seq": 0,
        "alive_ms": 0,
    }
    insert_new(connection, schema.sessions, [row])


def _session_ended(connection: Connection, envelope: Envelope) -> None:
    sessions = schema.sessions
    ended = {"ended_wall_ms": envelope.wall_ms, "is_current": False}
    connection.execute(update(sessions).where(sessions.c.id == envelope.session).values(**ended))


def _channel_opened(connection: Connection, envelope: Envelope, opened: ChannelOpened) -> None:
    row = {
        "session": envelope.session,
        "channel": opened.channel,
        "label": storable(opened.label or opened.channel),
        "language": storable(opened.language or "auto"),
        "first_opened_ms": opened.start_ms,
        "is_held": False,
        "glossary": None if opened.glossary is None else encode_json(opened.glossary).decode(),
    }
    connection.execute(_upsert_channel(connection.dialect.name), [row])
    feed = {
        "session": envelope.session,
        "opened_seq": envelope.seq,
        "channel": opened.channel,
        "connection": opened.connection,
        "door": opened.door,
        "opened_ms": opened.start_ms,
        "closed_ms": None,
        "reason": None,
    }
    insert_new(connection, schema.feeds, [feed])


def _channel_closed(connection: Connection, envelope: Envelope, closed: ChannelClosed) -> None:
    feeds = schema.feeds
    connection.execute(
        update(feeds)
        .where(
            feeds.c.session == envelope.session,
            feeds.c.channel == closed.channel,
            feeds.c.connection == closed.connection,
            feeds.c.opened_seq < envelope.seq,
            feeds.c.closed_ms.is_(None),
        )
        .values(closed_ms=closed.end_ms, reason=storable(closed.reason))
    )


def _raise_heads(connection: Connection, events: list[LoggedEvent]) -> None:
    heads = {event.session: event.seq or 0 for event in events}
    connection.execute(_HEAD, [{"of_session": session, "to_seq": seq} for session, seq in heads.items()])


def _raise_ids(connection: Connection, events: list[Event], marks: Marks) -> None:
    """Store the highest ids used, so that a restarted server continues after them."""
    raised: dict[str, str] = {}
    for key, name in ((UTTERANCE_MAX, "utterance"), (SEGMENT_MAX, "segment")):
        number = max((number_of(getattr(event, name, None)) for event in events), default=0)
        if key not in marks:
            marks[key] = int(get_meta(connection, key) or 0)
        if number > marks[key]:
            marks[key] = number
            raised[key] = str(number)
    if raised:
        put_meta(connection, raised)


def number_of(name: object) -> int:
    """52 for `g_52`; 0 for any other value."""
    digits = name.partition("_")[2] if isinstance(name, str) else ""
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 16 else 0


@functools.cache
def _upsert_channel(dialect: str) -> Any:
    table = schema.channels
    statement = insert_of(dialect, table)
    new = statement.excluded
    earliest = case(
        (new.first_opened_ms < table.c.first_opened_ms, new.first_opened_ms), else_=table.c.first_opened_ms
    )
    return statement.on_conflict_do_update(
        index_elements=[table.c.session, table.c.channel],
        set_={
            "label": new.label,
            "language": new.language,
            "first_opened_ms": earliest,
            "glossary": new.glossary,
        },
    )


_HEAD = (
    update(schema.sessions)
    .where(schema.sessions.c.id == bindparam("of_session"), schema.sessions.c.head_seq < bindparam("to_seq"))
    .values(head_seq=bindparam("to_seq"))
)
_ALIVE_MS = bindparam("wall_ms", type_=BigInteger) - schema.sessions.c.t0_wall_ms
_ALIVE = (
    update(schema.sessions)
    .where(schema.sessions.c.ended_wall_ms.is_(None), schema.sessions.c.alive_ms < _ALIVE_MS)
    .values(alive_ms=_ALIVE_MS)
)
