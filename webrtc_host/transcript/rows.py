"""From events to rows: what each event changes in the tables of the record.

Pure SQL on a connection handed in; no transaction, no thread and no clock of its own. Writing an event twice
changes nothing: a commit whose answer was lost is repeated.

Statements are made once and kept: making one anew takes SQLAlchemy longer than SQLite takes to run it.
"""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Connection, Table, bindparam, case, delete, select, update
from sqlalchemy.exc import DBAPIError, InternalError, OperationalError

from webrtc_host.seams import EventType
from webrtc_host.transcript import schema
from webrtc_host.transcript.event_log import Event, encode_json
from webrtc_host.transcript.meta import get_meta, put_meta
from webrtc_host.transcript.runs import Run, laid
from webrtc_host.transcript.schema import insert_of

logger = logging.getLogger(__name__)

Row = dict[str, Any]
Body = dict[str, Any]
Marks = dict[str, int]
"""What the writer knows of `meta` without asking; to be emptied when a transaction fails."""

UTTERANCE_MAX = "utterance_max"  # keys of `meta`: the highest ids given out
SEGMENT_MAX = "segment_max"
ALIVE_WALL_MS = "alive_wall_ms"  # when the server was last known to run
STOPPED_WALL_MS = "stopped_wall_ms"  # when it stopped in order; absent while it runs and after a crash


def insert_events(connection: Connection, events: list[Event], marks: Marks) -> tuple[list[Row], int]:
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


def _insert(connection: Connection, events: list[Event], marks: Marks) -> list[Row]:
    bodies = [json.loads(event.data) for event in events]
    for body in bodies:
        if body["type"] == EventType.SESSION_STARTED:
            _session_started(connection, body)
    _add(connection, schema.events, [_event_row(e, b) for e, b in zip(events, bodies, strict=True)])
    finals = [_segment_row(body) for body in bodies if body["type"] == EventType.SEGMENT_FINAL]
    _add(connection, schema.segments, finals)
    for body in bodies:
        change = _CHANGES.get(body["type"])
        if change is not None:
            change(connection, body)
    _lay_coverage(connection, [body for body in bodies if body["type"] == EventType.COVERAGE])
    _raise_heads(connection, events)
    _raise_ids(connection, bodies, marks)
    return finals


def _insert_alone(connection: Connection, event: Event) -> bool:
    try:
        with connection.begin_nested():
            body = {"type": event.kind.value, "channel": event.channel}
            _add(connection, schema.events, [_event_row(event, body)])
            _raise_heads(connection, [event])
        return True
    except Exception as error:
        if is_of_database(error):
            raise
        logger.error("event %s of %s cannot be written: %s", event.seq, event.session, type(error).__name__)
        return False


def _event_row(event: Event, body: Body) -> Row:
    return {
        "session": event.session,
        "seq": event.seq,
        "type": body["type"],
        "channel": event.channel,
        "data": event.text,
    }


def _segment_row(body: Body) -> Row:
    text = body.get("text", "")
    return {
        "id": body["segment"],
        "session": body["session"],
        "seq": body["seq"],
        "channel": body["channel"],
        "utterance": body.get("utterance", ""),
        "start_ms": body["start_ms"],
        "end_ms": body["end_ms"],
        "wall_ms": wall_ms_of(body["wall"]),
        "text": _storable(text),
        "raw": _storable(str(body.get("raw", text))),
        "language": body.get("language"),
        "conf": body.get("conf"),
        "words": encode_json(body.get("words", [])).decode(),
        "edits": encode_json(body.get("edits", [])).decode(),
        "glossary_version": body.get("glossary_version"),
        "latency_ms": body.get("latency_ms"),
    }


def _session_started(connection: Connection, body: Body) -> None:
    row = {
        "id": body["session"],
        "name": _storable(str(body.get("name") or body["session"])),
        "t0_wall_ms": wall_ms_of(str(body.get("t0_wall") or body["wall"])),
        "ended_wall_ms": None,
        "is_current": bool(body.get("is_current")),
        "is_held": False,
        "head_seq": 0,
        "alive_ms": 0,
    }
    _add(connection, schema.sessions, [row])


def _session_ended(connection: Connection, body: Body) -> None:
    sessions = schema.sessions
    ended = {"ended_wall_ms": wall_ms_of(body["wall"]), "is_current": False}
    connection.execute(update(sessions).where(sessions.c.id == body["session"]).values(**ended))


def _channel_opened(connection: Connection, body: Body) -> None:
    row = {
        "session": body["session"],
        "channel": body["channel"],
        "label": _storable(str(body.get("label") or body["channel"])),
        "language": _storable(body.get("language") or "auto"),
        "first_opened_ms": body["start_ms"],
        "is_held": False,
        "glossary": encode_json(body["glossary"]).decode() if "glossary" in body else None,
    }
    connection.execute(_putting_channel(connection.dialect.name), [row])
    feed = {
        "session": body["session"],
        "opened_seq": body["seq"],
        "channel": body["channel"],
        "connection": body["connection"],
        "door": body.get("door", ""),
        "opened_ms": body["start_ms"],
        "closed_ms": None,
        "reason": None,
    }
    _add(connection, schema.feeds, [feed])


def _channel_closed(connection: Connection, body: Body) -> None:
    feeds = schema.feeds
    connection.execute(
        update(feeds)
        .where(
            feeds.c.session == body["session"],
            feeds.c.channel == body["channel"],
            feeds.c.connection == body["connection"],
            feeds.c.opened_seq < body["seq"],
            feeds.c.closed_ms.is_(None),
        )
        .values(closed_ms=body["end_ms"], reason=_storable(body.get("reason") or ""))
    )


_CHANGES: dict[str, Callable[[Connection, Body], None]] = {
    EventType.SESSION_ENDED: _session_ended,
    EventType.CHANNEL_OPENED: _channel_opened,
    EventType.CHANNEL_CLOSED: _channel_closed,
}


def _lay_coverage(connection: Connection, bodies: Iterable[Body]) -> None:
    """Bring each channel's runs up to date with its coverage events, in their order."""
    by_channel: dict[tuple[str, str], list[Run]] = {}
    for body in bodies:
        run = Run(body["from_ms"], body["to_ms"], body["state"], body.get("reason"))
        if run.from_ms < run.to_ms:
            by_channel.setdefault((body["session"], body["channel"]), []).append(run)
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
        after = laid(before, news)
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


def _raise_heads(connection: Connection, events: list[Event]) -> None:
    heads = {event.session: event.seq or 0 for event in events}
    connection.execute(_HEAD, [{"of_session": session, "to_seq": seq} for session, seq in heads.items()])


def _raise_ids(connection: Connection, bodies: list[Body], marks: Marks) -> None:
    """Remember the highest ids given out, so that a restarted server goes on behind them."""
    raised: dict[str, str] = {}
    for key, field in ((UTTERANCE_MAX, "utterance"), (SEGMENT_MAX, "segment")):
        number = max((number_of(body.get(field)) for body in bodies), default=0)
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


def wall_ms_of(iso: str) -> int:
    return round(datetime.fromisoformat(iso).timestamp() * 1000)


def _storable(text: str) -> str:
    """PostgreSQL takes every character but NUL."""
    return text.replace("\0", "\ufffd")


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
