"""The rows of alerts: what their events change, and what a restarted server and the desk read.

SQL only, on a connection that the caller passes. Writing an event twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import Connection, Row, delete, func, select, update

from webrtc_host.events import (
    AlertAcknowledged,
    AlertConfirmed,
    AlertEscalated,
    AlertEvent,
    AlertRaised,
    AlertWithdrawn,
)
from webrtc_host.transcript.event_codec import Envelope
from webrtc_host.transcript.insert_new import insert_new
from webrtc_host.transcript.schema import alerts, segments

Rows = Sequence[Row[Any]]
Shown = Literal["open", "all"]
PROVISIONAL, OPEN, WITHDRAWN, ACKNOWLEDGED = "provisional", "open", "withdrawn", "acknowledged"
UNSEEN = (PROVISIONAL, OPEN)


def apply(connection: Connection, envelopes: Sequence[Envelope]) -> None:
    """Write what the events of alerts change, in their order; other events are skipped."""
    for envelope in envelopes:
        match envelope.event:
            case AlertRaised() as event:
                insert_new(connection, alerts, [_row(envelope, event)])
            case AlertEvent() as event:
                _change(connection, envelope, event)


def page(
    connection: Connection, shown: Shown, session: str | None, before: tuple[int, str] | None, limit: int
) -> Rows:
    """Alerts with the present text of their line, newest first. before: (raised_wall_ms, id) of the last one
    of the previous page. The text is None when there is no line, or when it was removed.
    """
    query = (
        select(alerts, segments.c.text)
        .outerjoin(segments, segments.c.id == alerts.c.segment)
        .order_by(alerts.c.raised_wall_ms.desc(), alerts.c.id.desc())
        .limit(limit)
    )
    if shown == "open":
        query = query.where(alerts.c.state.in_(UNSEEN))
    if session is not None:
        query = query.where(alerts.c.session == session)
    if before is not None:
        wall_ms, number = before
        is_older = (alerts.c.raised_wall_ms < wall_ms) | (
            (alerts.c.raised_wall_ms == wall_ms) & (alerts.c.id < number)
        )
        query = query.where(is_older)
    return connection.execute(query).all()


def find(connection: Connection, alert: str) -> Row[Any] | None:
    query = select(alerts, segments.c.text).outerjoin(segments, segments.c.id == alerts.c.segment)
    return connection.execute(query.where(alerts.c.id == alert)).first()


def unseen(connection: Connection, limit: int) -> Rows:
    """The newest alerts that no operator has acknowledged, oldest first."""
    newest = (
        select(alerts).where(alerts.c.state.in_(UNSEEN)).order_by(alerts.c.raised_wall_ms.desc()).limit(limit)
    )
    return list(reversed(connection.execute(newest).all()))


def last_raised(connection: Connection, after_wall_ms: int) -> Sequence[Row[Any, Any, Any, Any]]:
    """rule, session, channel and the newest raised_wall_ms of alerts after a moment, for the cooldowns."""
    newest = func.max(alerts.c.raised_wall_ms).label("raised_wall_ms")
    key = (alerts.c.rule, alerts.c.session, alerts.c.channel)
    query = (
        select(*key, newest)
        .where(alerts.c.raised_wall_ms > after_wall_ms, alerts.c.state != WITHDRAWN)
        .group_by(*key)
        .order_by(newest)
    )
    return connection.execute(query).all()


def forget(connection: Connection, session: str, up_to_seq: int) -> None:
    """Delete the oldest alerts of a session, except those that no operator has acknowledged."""
    is_old = (alerts.c.session == session) & (alerts.c.seq <= up_to_seq)
    connection.execute(delete(alerts).where(is_old, alerts.c.state.not_in(UNSEEN)))


def _row(envelope: Envelope, event: AlertRaised) -> dict[str, Any]:
    return {
        "id": event.alert,
        "session": envelope.session,
        "seq": envelope.seq,
        "channel": event.channel,
        "rule": _storable(event.rule),
        "cause": event.cause.value,
        "level": event.level.value,
        "state": PROVISIONAL if event.is_provisional else OPEN,
        "is_escalated": False,
        "matched": None if event.matched is None else _storable(event.matched),
        "utterance": event.utterance,
        "segment": event.segment,
        "start_ms": event.start_ms,
        "end_ms": event.end_ms,
        "raised_wall_ms": envelope.wall_ms,
    }


def _change(connection: Connection, envelope: Envelope, event: AlertEvent) -> None:
    values: dict[str, Any]
    states: tuple[str, ...] = UNSEEN
    match event:
        case AlertConfirmed():
            values = {
                "segment": event.segment,
                "matched": _storable(event.matched),
                "start_ms": event.start_ms,
                "end_ms": event.end_ms,
            }
            # An operator may have acknowledged the alert before its final came.
            _update(connection, event.alert, (ACKNOWLEDGED,), values)
            states, values = (PROVISIONAL,), values | {"state": OPEN}
        case AlertWithdrawn():
            values = {"state": WITHDRAWN, "done_wall_ms": envelope.wall_ms}
        case AlertEscalated():
            values = {"level": event.level.value, "is_escalated": True}
        case AlertAcknowledged():
            values = {"state": ACKNOWLEDGED, "done_wall_ms": envelope.wall_ms, "who": _storable(event.by)}
        case _:
            return
    _update(connection, event.alert, states, values)


def _update(connection: Connection, alert: str, states: tuple[str, ...], values: dict[str, Any]) -> None:
    of_alert = (alerts.c.id == alert, alerts.c.state.in_(states))
    connection.execute(update(alerts).where(*of_alert).values(**values))


def _storable(text: str) -> str:
    """PostgreSQL accepts every character except NUL. A lone surrogate becomes `?`, as on the wire."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()
