"""Puts events into the outbox, in the transaction that saves them: an event that is on disk is also
delivered.

`store` runs in the thread that writes the record; `subscriptions` is replaced as a whole in the event loop.
"""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from webrtc_host.transcript import webhooks as rows
from webrtc_host.transcript.event_codec import encode_json, iso_ms
from webrtc_host.transcript.event_log import LoggedEvent
from webrtc_host.transcript.rows import is_of_database
from webrtc_host.transcript.webhooks import NewDelivery, Subscription
from webrtc_host.webhooks.signing import SCHEMA_VERSION

logger = logging.getLogger(__name__)

HEALTH, TEST = "health.changed", "webhook.test"
SUBSCRIBABLE = (
    "alert.raised",
    "alert.confirmed",
    "alert.withdrawn",
    "alert.escalated",
    "alert.acknowledged",
    "segment.final",
    "segment.revised",
    "session.ended",
    HEALTH,
)
"""The events that a webhook can subscribe to."""


@dataclass(frozen=True, slots=True)
class Subscriptions:
    """All webhooks with their events, and the names of all events that any of them gets."""

    each: tuple[Subscription, ...] = ()
    names: frozenset[str] = frozenset()

    @classmethod
    def of(cls, each: tuple[Subscription, ...]) -> Subscriptions:
        return cls(each, frozenset(name for one in each for name in one.events))


class Outbox:
    """One per process; made before the record, which calls `store`."""

    def __init__(self, outbox_max: int, wall_s: Callable[[], float] = time.time) -> None:
        """outbox_max: deliveries that may wait for one webhook."""
        self.outbox_max = outbox_max
        self._wall_s = wall_s
        self._subscriptions = Subscriptions()

    def use(self, subscriptions: tuple[Subscription, ...]) -> None:
        self._subscriptions = Subscriptions.of(subscriptions)

    def wants(self, name: str) -> bool:
        return name in self._subscriptions.names

    def store(self, connection: Connection, events: Sequence[LoggedEvent]) -> None:
        """Store the deliveries of these events. A fault of this function loses deliveries, never events."""
        subscriptions = self._subscriptions
        wanted = [event for event in events if event.kind.value in subscriptions.names]
        if not wanted:
            return
        try:
            with connection.begin_nested():
                texts = rows.texts_of(connection, _lines_of(wanted))
                new = [
                    delivery
                    for event in wanted
                    for delivery in _deliveries(subscriptions, event.kind.value, _data(event, texts))
                ]
                rows.enqueue(connection, new, int(self._wall_s() * 1000), self.outbox_max)
        except Exception as error:
            if is_of_database(error):
                raise
            logger.exception("the deliveries of %s events could not be stored", len(wanted))

    def of_server(self, event: str, data: dict[str, Any]) -> list[NewDelivery]:
        """The deliveries of something that belongs to no session, such as the state of the server."""
        return _deliveries(self._subscriptions, event, data)


def delivery_of(webhook: str, event: str, data: dict[str, Any]) -> NewDelivery:
    delivery = f"d_{secrets.token_hex(12)}"
    body = {
        "schema_version": SCHEMA_VERSION,
        "id": delivery,
        "type": event,
        "created": iso_ms(datetime.now(UTC)),
        "data": data,
    }
    return NewDelivery(delivery, webhook, event, encode_json(body).decode())


def _deliveries(subscriptions: Subscriptions, event: str, data: dict[str, Any]) -> list[NewDelivery]:
    return [delivery_of(one.webhook, event, data) for one in subscriptions.each if event in one.events]


def _lines_of(events: Sequence[LoggedEvent]) -> set[str]:
    found = (getattr(event.event, "segment", None) for event in events if event.kind.startswith("alert."))
    return {segment for segment in found if segment}


def _data(event: LoggedEvent, texts: dict[str, str]) -> dict[str, Any]:
    """The event as watchers get it. An alert also has the present text of its line, as `text`."""
    data: dict[str, Any] = json.loads(event.data)
    data.pop("durable", None)
    if event.kind.startswith("alert.") and data.get("segment") in texts:
        data["text"] = texts[data["segment"]]
    return data
