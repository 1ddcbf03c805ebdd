"""From events to rows: what each event changes in the tables of the record.

Pure SQL on a connection handed in; no transaction, no thread and no clock of its own. Writing an event twice
changes nothing: a commit whose answer was lost is repeated.

Statements are made once and kept: making one anew takes SQLAlchemy longer than SQLite takes to run it.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable
from typing import Any

from sqlalchemy import BigInteger, Connection, Table, bindparam, case, delete, select, update
from sqlalchemy.exc import DBAPIError, InternalError, OperationalError

from webrtc_host.events import (
    ChannelClosed,
    ChannelOpened,
    CoverageChanged,
    Event,
    SegmentFinal,
    SessionEnded,
    SessionStarted,
)
from webrtc_host.transcript import schema
from webrtc_host.transcript.event_codec import Envelope, encode_edits, encode_json, encode_words, wall_ms
from webrtc_host.transcript.event_log import LoggedEvent
from webrtc_host.transcript.meta import get_meta, put_meta
from webrtc_host.transcript.runs import Run, apply_runs
from webrtc_host.transcript.schema import insert_of

logger = logging.getLogger(__name__)

Row = dict[str, Any]
Marks = dict[str, int]
"""What the writer knows of `meta` without asking; to be emptied when a transaction fails."""

UTTERANCE_MAX = "utterance_max"  # keys of `meta`: the highest ids given out
SEGMENT_MAX = "segment_max"
ALIVE_WALL_MS = "alive_wall_ms"  # when the server was last known to run
STOPPED_WALL_MS = "stopped_wall_ms"  # when it stopped in order; absent while it runs and after a crash


def insert_events(connection: Connection, events: list[LoggedEvent], marks: Marks) -> tuple[list[Row], int]:
    """Write events and all that follows from them. Returns the rows of the finals, and how many were refused.

    An event that the database does not take is written without what follows from it, or, when even that is
    refused (its session was deleted), logged and left out: it may not stop those behind it.
    """
    try:
        with connection.begin_nested():
            return _insert(connection, events, marks), 0
    except Exception as error:
        if is_of_database(error):
            raise
    finals: list[Row] = []
    refused = 0
    for event in events:
        try:
            with connection.begin_nested():
                finals += _insert(connection, [event], marks)
        except Exception as error:
            if is_of_database(error):
                raise
            logger.exception("event %s of %s has no place in the tables", event.seq, event.session)
            refused += not _insert_alone(connection, event)
    return finals, refused


def is_of_database(error: Exception) -> bool:
    """The database cannot be written at all, whatever the event: disk full, gone, damaged."""
    if isinstance(error, OperationalError | InternalError):
        return True
    return isinstance(error, DBAPIError) and (error.connection_invalidated or "malformed" in str(error.orig))


def note_alive(connection: Connection, wall_ms: int) -> None:
    """The server runs at this moment; sessions that go on are alive."""
    put_meta(connection, {ALIVE_WALL_MS: str(wall_ms)})
    connection.execute(_ALIVE, {"wall_ms": wall_ms})


def forget_events(connection: Connection, session: str, up_to_seq: int) -> None:
    """Remove a session's oldest events, and the finals among them."""
    for table in (schema.events, schema.segments):
        connection.execute(delete(table).where(table.c.session == session, table.c.seq <= up_to_seq))


def _insert(connection: Connection, events: list[LoggedEvent], marks: Marks) -> list[Row]:
    envelopes = [event.envelope for event in events]
    for envelope in envelopes:
        if isinstance(envelope.event, SessionStarted):
            _session_started(connection, envelope, envelope.event)
    _add(connection, schema.events, [_event_row(event) for event in events])
    finals = [_segment_row(one, one.event) for one in envelopes if isinstance(one.event, SegmentFinal)]
    _add(connection, schema.segments, finals)
    for envelope in envelopes:
        match envelope.event:
            case SessionEnded():
                _session_ended(connection, envelope)
            case ChannelOpened() as event:
                _channel_opened(connection, envelope, event)
            case ChannelClosed() as event:
                _channel_closed(connection, envelope, event)
    _lay_coverage(connection, envelopes)
    _raise_heads(connection, events)
    _raise_ids(connection, [envelope.event for envelope in envelopes], marks)
    return finals


def _insert_alone(connection: Connection, event: LoggedEvent) -> bool:
    try:
        with connection.begin_nested():
            _add(connection, schema.events, [_event_row(event)])
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
        "text": _storable(final.text),
        "raw": _storable(final.text if final.raw is None else final.raw),
        "language": final.language,
        "conf": final.conf,
        "words": encode_words(final.words).decode(),
        "edits": encode_edits(final.edits).decode(),
        "glossary_version": final.glossary_version,
        "latency_ms": envelope.latency_ms,
    }


def _session_started(connection: Connection, envelope: Envelope, started: SessionStarted) -> None:
    row = {
        "id": envelope.session,
        "name": _storable(started.name or envelope.session),
        "t0_wall_ms": wall_ms(started.t0_wall),
        "ended_wall_ms": None,
        "is_current": started.is_current,
        "is_held": False,
        "head_seq": 0,
        "alive_ms": 0,
    }
    _add(connection, schema.sessions, [row])


def _session_ended(connection: Connection, envelope: Envelope) -> None:
    sessions = schema.sessions
    ended = {"ended_wall_ms": envelope.wall_ms, "is_current": False}
    connection.execute(update(sessions).where(sessions.c.id == envelope.session).values(**ended))


def _channel_opened(connection: Connection, envelope: Envelope, opened: ChannelOpened) -> None:
    row = {
        "session": envelope.session,
        "channel": opened.channel,
        "label": _storable(opened.label or opened.channel),
        "language": _storable(opened.language or "auto"),
        "first_opened_ms": opened.start_ms,
        "is_held": False,
        "glossary": None if opened.glossary is None else encode_json(opened.glossary).decode(),
    }
    connection.execute(_putting_channel(connection.dialect.name), [row])
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
    _add(connection, schema.feeds, [feed])


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
        .values(closed_ms=closed.end_ms, reason=_storable(closed.reason))
    )


def _lay_coverage(connection: Connection, envelopes: Iterable[Envelope]) -> None:
    """Bring each channel's runs up to date with its coverage events, in their order."""
    by_channel: dict[tuple[str, str], list[Run]] = {}
    for envelope in envelopes:
        event = envelope.event
        if isinstance(event, CoverageChanged) and event.from_ms < event.to_ms:
            run = Run(event.from_ms, event.to_ms, event.state.value, event.reason)
            by_channel.setdefault((envelope.session, event.channel), []).append(run)
    table = schema.coverage
    for (session, channel), news in by_channel.items():
        from_ms, to_ms = min(run.from_ms for run in news), max(run.to_ms for run in news)
        # Neighbours too (<=, >=): they may become one run with the new ones.
        touched = (
            table.c.session == session,
            table.c.channel == channel,
            table.c.from_ms <= to_ms,
            table.c.to_ms >= from_ms,
        )
        found = connection.execute(select(table).where(*touched).order_by(table.c.from_ms)).all()
        before = [Run(row.from_ms, row.to_ms, row.state, row.reason) for row in found]
        after = apply_runs(before, news)
        gone = [run.from_ms for run in before if run not in after]
        if gone:
            connection.execute(delete(table).where(*touched[:2], table.c.from_ms.in_(gone)))
        _add(
            connection,
            table,
            [_coverage_row(session, channel, run) for run in after if run not in before],
        )


def _coverage_row(session: str, channel: str, run: Run) -> Row:
    return {
        "session": session,
        "channel": channel,
        "from_ms": run.from_ms,
        "to_ms": run.to_ms,
        "state": run.state,
        "reason": run.reason,
    }


def _raise_heads(connection: Connection, events: list[LoggedEvent]) -> None:
    heads = {event.session: event.seq or 0 for event in events}
    connection.execute(_HEAD, [{"of_session": session, "to_seq": seq} for session, seq in heads.items()])


def _raise_ids(connection: Connection, events: list[Event], marks: Marks) -> None:
    """Remember the highest ids given out, so that a restarted server goes on behind them."""
    raised: dict[str, str] = {}
    for key, field in ((UTTERANCE_MAX, "utterance"), (SEGMENT_MAX, "segment")):
        number = max((number_of(getattr(event, field, None)) for event in events), default=0)
        if key not in marks:
            marks[key] = int(get_meta(connection, key) or 0)
        if number > marks[key]:
            marks[key] = number
            raised[key] = str(number)
    if raised:
        put_meta(connection, raised)


def number_of(name: object) -> int:
    """52 of `g_52`; 0 of anything else."""
    digits = name.partition("_")[2] if isinstance(name, str) else ""
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 16 else 0


def _storable(text: str) -> str:
    """PostgreSQL takes every character but NUL. A lone surrogate becomes `?`, as on the wire."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


def _add(connection: Connection, table: Table, rows: list[Row]) -> None:
    """Insert what is not there yet."""
    if rows:
        connection.execute(_adding(connection.dialect.name, table), rows)


@functools.cache
def _adding(dialect: str, table: Table) -> Any:
    return insert_of(dialect, table).on_conflict_do_nothing()


@functools.cache
def _putting_channel(dialect: str) -> Any:
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
