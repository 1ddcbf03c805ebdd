"""What `range.redacted` changes in the record: the words of its lines go, the event stays.

SQL only, on a connection that the caller passes, in the transaction that saves the event. So there is no
moment at which the record has the event and the words. Doing it twice changes nothing.
Invariant: afterwards no row of the database has a word of the lines, except for terms that a person accepted
into the glossary.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, or_, select, update

from webrtc_host.events import RangeRedacted
from webrtc_host.glossary.spelling import key_of
from webrtc_host.seams import EventType
from webrtc_host.transcript import rooms
from webrtc_host.transcript.event_codec import Envelope, encode_json
from webrtc_host.transcript.meta import delete_meta, meta_with_prefix, put_meta
from webrtc_host.transcript.redaction import REDACTED, Removed, without_words
from webrtc_host.transcript.schema import (
    alerts,
    channels,
    deliveries,
    events,
    jobs,
    marks,
    meanings,
    notes,
    segments,
    sessions,
    suggestions,
    summaries,
    summary_parts,
)

LINES_MAX = 1000
"""Lines of one redaction."""
WITHOUT_WORDS = (
    EventType.SESSION_STARTED,
    EventType.SESSION_ENDED,
    EventType.CHANNEL_OPENED,
    EventType.CHANNEL_CLOSED,
    EventType.CHANNEL_STATE,
    EventType.SPEECH_STARTED,
    EventType.SPEECH_ENDED,
    EventType.COVERAGE,
    EventType.RANGE_REDACTED,
)
"""Types that never have words of a line: they need not be read."""
AUDIO_NOTE = "redact_audio:"
"""Begins the keys of `meta` that name redactions whose audio is still in the archive."""


@dataclass(frozen=True, slots=True)
class AudioToRemove:
    """A redaction whose audio is still in the archive. key: of its note in `meta`."""

    key: str
    session: str
    channel: str
    from_ms: int
    to_ms: int


def range_redacted(connection: Connection, envelope: Envelope, event: RangeRedacted) -> list[dict[str, Any]]:
    """Returns the rows whose text is new, for the search index."""
    if event.has_audio:
        note = {"channel": event.channel, "from_ms": event.from_ms, "to_ms": event.to_ms}
        put_meta(connection, {f"{AUDIO_NOTE}{envelope.session}:{envelope.seq}": json.dumps(note)})
    if not event.has_text:
        return []
    of_lines = (segments.c.session == envelope.session, segments.c.id.in_(event.segments))
    found = connection.execute(select(segments).where(*of_lines)).all()
    said = [row.text for row in found] + [row.raw for row in found]
    removed = removed_by(connection, envelope.session, event)
    said += _redact_events(connection, envelope, removed)
    _redact_deliveries(connection, removed)
    connection.execute(update(alerts).where(alerts.c.id.in_(removed.subjects)).values(matched=REDACTED))
    _delete_summaries(connection, envelope.session, removed)
    of_vectors = meanings.c.segment.in_(event.segments)
    connection.execute(update(meanings).where(of_vectors).values(is_waiting=True, vector=None))
    _redact_notes(connection, event.segments)
    _forget_suggestions(connection, said)
    gone = {"text": REDACTED, "raw": REDACTED, "words": "[]", "edits": "[]", "redacted_seq": envelope.seq}
    connection.execute(update(segments).where(*of_lines).values(**gone))
    return [{"id": row.id, "text": REDACTED, "raw": REDACTED} for row in found]


def removed_by(connection: Connection, session: str, event: RangeRedacted) -> Removed:
    """What the redaction removes: its lines, and alerts about them or about interims in the range."""
    query = select(alerts.c.id).where(
        alerts.c.session == session,
        alerts.c.channel == event.channel,
        alerts.c.matched.is_not(None),
        or_(alerts.c.segment.in_(event.segments), _touches(alerts, event.from_ms, event.to_ms)),
    )
    subjects = frozenset((*event.segments, *connection.execute(query).scalars()))
    return Removed(subjects, event.channel, event.from_ms, event.to_ms)


def _redact_events(connection: Connection, envelope: Envelope, removed: Removed) -> list[str]:
    """Redact the events that have removed words. Returns the texts that were in them."""
    said, changed = list[str](), list[tuple[int, str]]()
    stored = select(events.c.seq, events.c.data).where(
        events.c.session == envelope.session,
        or_(events.c.channel == removed.channel, events.c.channel.is_(None)),
        events.c.type.not_in([kind.value for kind in WITHOUT_WORDS]),
    )
    for row in connection.execute(stored):
        new = removed.redacted(row.data.encode())
        if new is not None:
            said += _texts_of(row.data)
            changed.append((row.seq, new.decode()))
    for seq, data in changed:
        connection.execute(
            update(events).where(events.c.session == envelope.session, events.c.seq == seq).values(data=data)
        )
    return said


def _texts_of(data: str) -> list[str]:
    body: dict[str, Any] = json.loads(data)
    return [
        value for name in ("text", "raw", "old_text", "matched") if isinstance(value := body.get(name), str)
    ]


def _redact_deliveries(connection: Connection, removed: Removed) -> None:
    """Redact what waits for the receivers of webhooks."""
    waiting = select(deliveries.c.number, deliveries.c.body).where(deliveries.c.body != "")
    changed: list[tuple[int, str]] = []
    for row in connection.execute(waiting):
        if removed.concerns(row.body.encode()):
            body: dict[str, Any] = json.loads(row.body)
            changed.append((row.number, encode_json({**body, "data": without_words(body["data"])}).decode()))
    for number, new in changed:
        connection.execute(update(deliveries).where(deliveries.c.number == number).values(body=new))


def _delete_summaries(connection: Connection, session: str, removed: Removed) -> None:
    """Delete summaries of the range. One that is being made from the old lines finds no row any more."""
    table = summaries.c
    connection.execute(
        delete(summaries).where(
            table.session == session,
            or_(table.channel.is_(None), table.channel == removed.channel),
            table.from_ms < removed.to_ms,
            or_(table.to_ms.is_(None), table.to_ms > removed.from_ms),
        )
    )
    connection.execute(delete(summary_parts).where(summary_parts.c.session == session))
    connection.execute(update(jobs).where(jobs.c.session == session).values(results="{}"))
    rooms.forget_text(connection, session)


def _redact_notes(connection: Connection, lines: Sequence[str]) -> None:
    """A note may quote the line; so may the reason of a report."""
    connection.execute(update(notes).where(notes.c.segment.in_(lines)).values(note=REDACTED))
    has_reason = (marks.c.segment.in_(lines), marks.c.reason.is_not(None))
    connection.execute(update(marks).where(*has_reason).values(reason=REDACTED))


def _forget_suggestions(connection: Connection, said: Sequence[str]) -> None:
    """Delete suggestions whose words are in the lines, unless a person accepted them.

    A word that is also in other lines is counted again when it is heard again.
    """
    keys = [key_of(one) for one in said]
    rows = connection.execute(
        select(suggestions.c.id, suggestions.c.text).where(suggestions.c.state != "accepted")
    )
    gone = [row.id for row in rows if (key := key_of(row.text)) and any(key in one for one in keys)]
    if gone:
        connection.execute(delete(suggestions).where(suggestions.c.id.in_(gone)))


def lines_in(connection: Connection, session: str, channel: str, from_ms: int, to_ms: int) -> list[str]:
    """The ids of the lines that touch the range and still have their text; at most LINES_MAX + 1."""
    query = (
        select(segments.c.id)
        .where(
            segments.c.session == session,
            segments.c.channel == channel,
            _touches(segments, from_ms, to_ms),
            segments.c.redacted_seq.is_(None),
        )
        .order_by(segments.c.start_ms, segments.c.seq)
        .limit(LINES_MAX + 1)
    )
    return list(connection.execute(query).scalars())


def have_text(connection: Connection, lines: Sequence[str]) -> list[str]:
    """Those of the lines that still have their text."""
    query = select(segments.c.id).where(segments.c.id.in_(lines), segments.c.redacted_seq.is_(None))
    return list(connection.execute(query).scalars())


def is_held(connection: Connection, session: str, channel: str) -> bool:
    """True when the session or this channel is under a hold."""
    one = select(sessions.c.id).where(sessions.c.id == session, sessions.c.is_held)
    other = select(channels.c.session).where(
        channels.c.session == session, channels.c.channel == channel, channels.c.is_held
    )
    return connection.execute(one.union(other).limit(1)).first() is not None


def redactions_of(connection: Connection, session: str, limit: int) -> list[str]:
    """The JSON of a session's `range.redacted` events, oldest first."""
    query = (
        select(events.c.data)
        .where(events.c.session == session, events.c.type == EventType.RANGE_REDACTED.value)
        .order_by(events.c.seq)
        .limit(limit)
    )
    return list(connection.execute(query).scalars())


def audio_to_remove(connection: Connection) -> list[AudioToRemove]:
    """Redactions whose audio is still in the archive: the server ended before it was removed."""
    found = []
    for key, value in sorted(meta_with_prefix(connection, AUDIO_NOTE).items()):
        session = key.removeprefix(AUDIO_NOTE).partition(":")[0]
        note = json.loads(value)
        found.append(AudioToRemove(key, session, note["channel"], note["from_ms"], note["to_ms"]))
    return found


def audio_removed(connection: Connection, key: str) -> None:
    delete_meta(connection, key)


def _touches(table: Table, from_ms: int, to_ms: int) -> ColumnElement[bool]:
    """Also true for a row without length in the range."""
    is_after = or_(table.c.end_ms > from_ms, table.c.start_ms >= from_ms)
    return and_(is_after, table.c.start_ms < to_ms)
