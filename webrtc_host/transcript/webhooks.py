"""The rows of webhooks and of their outbox: SQL only, on a connection that the caller passes.

Invariant: the deliveries of a webhook are at most `outbox_max` that wait and DONE_KEPT that are done.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from webrtc_host.transcript.schema import deliveries, segments, webhooks

Rows = Sequence[Row[Any]]
State = Literal["active", "paused", "off"]
ACTIVE, PAUSED, OFF = "active", "paused", "off"
WAITING, DELIVERED, FAILED = "waiting", "delivered", "failed"
DONE_KEPT = 100


@dataclass(frozen=True, slots=True)
class Subscription:
    """A webhook that gets events. events: their names."""

    webhook: str
    events: frozenset[str]


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """id: what the receiver gets. body: JSON."""

    id: str
    webhook: str
    event: str
    body: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """The outcome of one attempt. next_wall_ms: of the next one; None: there is none."""

    number: int
    webhook: str
    is_ok: bool
    wall_ms: int
    status: int | None
    error: str | None
    next_wall_ms: int | None = None
    counts: bool = True
    """Whether a failure counts for the pause; a test does not."""


def all_webhooks(connection: Connection) -> Rows:
    """With the number of their waiting deliveries as `waiting`."""
    waiting = (
        select(func.count())
        .select_from(deliveries)
        .where(deliveries.c.webhook == webhooks.c.id, deliveries.c.state == WAITING)
        .scalar_subquery()
        .label("waiting")
    )
    return connection.execute(select(webhooks, waiting).order_by(webhooks.c.created_wall_ms)).all()


def find(connection: Connection, webhook: str) -> Row[Any] | None:
    return next((row for row in all_webhooks(connection) if row.id == webhook), None)


def subscriptions(connection: Connection) -> tuple[Subscription, ...]:
    """Of all webhooks that a person has not turned off; a paused one gets its deliveries later."""
    rows = connection.execute(select(webhooks.c.id, webhooks.c.events).where(webhooks.c.state != OFF))
    return tuple(Subscription(row.id, frozenset(json.loads(row.events))) for row in rows)


def count(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(webhooks)).scalar_one()


def add(connection: Connection, values: Mapping[str, Any]) -> None:
    connection.execute(insert(webhooks).values(failures=0, dropped=0, **values))


def change(connection: Connection, webhook: str, values: Mapping[str, Any]) -> bool:
    """False: there is no such webhook."""
    return connection.execute(update(webhooks).where(webhooks.c.id == webhook).values(**values)).rowcount > 0


def retry_now(connection: Connection, webhook: str, wall_ms: int) -> None:
    """Everything that waits is due now."""
    of_webhook = (deliveries.c.webhook == webhook, deliveries.c.state == WAITING)
    connection.execute(update(deliveries).where(*of_webhook).values(next_wall_ms=wall_ms))


def remove(connection: Connection, webhook: str) -> bool:
    """Delete the webhook with its deliveries. False: there is no such webhook."""
    return connection.execute(delete(webhooks).where(webhooks.c.id == webhook)).rowcount > 0


def enqueue(
    connection: Connection,
    new: Iterable[NewDelivery],
    wall_ms: int,
    outbox_max: int,
    *,
    next_wall_ms: int | None = None,
) -> None:
    """Add deliveries. Over the limit of a webhook, its oldest ones are dropped and counted.

    next_wall_ms: when the first attempt is due; None: now. A delivery of a removed webhook is left out.
    """
    known = set(connection.execute(select(webhooks.c.id)).scalars())
    rows = [
        {
            "id": one.id,
            "webhook": one.webhook,
            "event": one.event,
            "body": one.body,
            "state": WAITING,
            "tries": 0,
            "next_wall_ms": wall_ms if next_wall_ms is None else next_wall_ms,
            "created_wall_ms": wall_ms,
        }
        for one in new
        if one.webhook in known
    ]
    if rows:
        connection.execute(insert(deliveries), rows)
    for webhook in {str(row["webhook"]) for row in rows}:
        _drop_oldest(connection, webhook, outbox_max)


def due(connection: Connection, wall_ms: int, busy: Iterable[str]) -> tuple[list[Row[Any]], int | None]:
    """(the oldest due delivery of each active webhook that is not busy, when the next one is due).

    Each row has the webhook's url, secret and failures.
    """
    found: list[Row[Any]] = []
    next_ms: int | None = None
    ids = select(webhooks.c.id).where(webhooks.c.state == ACTIVE, webhooks.c.id.not_in(list(busy)))
    for webhook in connection.execute(ids).scalars().all():
        of_webhook = (deliveries.c.webhook == webhook, deliveries.c.state == WAITING)
        query = (
            select(deliveries, webhooks.c.url, webhooks.c.secret, webhooks.c.failures)
            .join(webhooks, webhooks.c.id == deliveries.c.webhook)
            .where(*of_webhook, deliveries.c.next_wall_ms <= wall_ms)
            .order_by(deliveries.c.number)
            .limit(1)
        )
        row = connection.execute(query).first()
        if row is not None:
            found.append(row)
            continue
        earliest = connection.execute(select(func.min(deliveries.c.next_wall_ms)).where(*of_webhook)).scalar()
        if earliest is not None:
            next_ms = earliest if next_ms is None else min(next_ms, earliest)
    return found, next_ms


def delivery(connection: Connection, delivery_id: str) -> Row[Any] | None:
    """A delivery with the webhook's url and secret."""
    query = select(deliveries, webhooks.c.url, webhooks.c.secret, webhooks.c.failures)
    query = query.join(webhooks, webhooks.c.id == deliveries.c.webhook)
    return connection.execute(query.where(deliveries.c.id == delivery_id)).first()


def note_attempt(connection: Connection, attempt: Attempt, pause_after: int) -> None:
    """Write the outcome. After `pause_after` failures without a success, the webhook is paused."""
    is_done = attempt.is_ok or attempt.next_wall_ms is None
    values: dict[str, Any] = {
        "tries": deliveries.c.tries + 1,
        "status": attempt.status,
        "error": attempt.error,
    }
    if is_done:
        state = DELIVERED if attempt.is_ok else FAILED
        values |= {"state": state, "done_wall_ms": attempt.wall_ms, "body": ""}
    else:
        values["next_wall_ms"] = attempt.next_wall_ms
    connection.execute(update(deliveries).where(deliveries.c.number == attempt.number).values(**values))
    of_webhook = webhooks.c.id == attempt.webhook
    if attempt.is_ok:
        connection.execute(update(webhooks).where(of_webhook).values(failures=0, reason=None))
    elif attempt.counts:
        connection.execute(
            update(webhooks).where(of_webhook).values(failures=webhooks.c.failures + 1, reason=attempt.error)
        )
        connection.execute(
            update(webhooks)
            .where(of_webhook, webhooks.c.failures >= pause_after, webhooks.c.state == ACTIVE)
            .values(state=PAUSED, changed_wall_ms=attempt.wall_ms)
        )
    if is_done:
        _forget_done(connection, attempt.webhook)


def newest(connection: Connection, webhook: str, limit: int) -> Rows:
    """Deliveries, newest first."""
    query = select(deliveries).where(deliveries.c.webhook == webhook)
    return connection.execute(query.order_by(deliveries.c.number.desc()).limit(limit)).all()


def waiting(connection: Connection) -> int:
    """Deliveries that wait, of all webhooks."""
    query = select(func.count()).select_from(deliveries).where(deliveries.c.state == WAITING)
    return connection.execute(query).scalar_one()


def texts_of(connection: Connection, ids: Iterable[str]) -> dict[str, str]:
    """The present texts of lines, by their ids."""
    query = select(segments.c.id, segments.c.text).where(segments.c.id.in_(list(ids)))
    return {row.id: row.text for row in connection.execute(query)}


def _drop_oldest(connection: Connection, webhook: str, outbox_max: int) -> None:
    of_webhook = (deliveries.c.webhook == webhook, deliveries.c.state == WAITING)
    total = connection.execute(select(func.count()).select_from(deliveries).where(*of_webhook)).scalar_one()
    if total <= outbox_max:
        return
    oldest = select(deliveries.c.number).where(*of_webhook).order_by(deliveries.c.number)
    numbers = connection.execute(oldest.limit(total - outbox_max)).scalars().all()
    connection.execute(delete(deliveries).where(deliveries.c.number.in_(numbers)))
    counted = webhooks.c.dropped + len(numbers)
    connection.execute(update(webhooks).where(webhooks.c.id == webhook).values(dropped=counted))


def _forget_done(connection: Connection, webhook: str) -> None:
    of_webhook = (deliveries.c.webhook == webhook, deliveries.c.state != WAITING)
    last_kept = (
        select(deliveries.c.number).where(*of_webhook).order_by(deliveries.c.number.desc()).offset(DONE_KEPT)
    )
    number = connection.execute(last_kept.limit(1)).scalar()
    if number is not None:
        connection.execute(delete(deliveries).where(*of_webhook, deliveries.c.number <= number))
