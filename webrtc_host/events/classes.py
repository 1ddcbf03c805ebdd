"""The classes of the events: one frozen dataclass for each event type, and the list of them.

An event is checked when it is made. Times ending in `_ms` are whole milliseconds since the session's t = 0.
docs/reference/events.md describes every field. Invariant: the times of an event are whole, not
negative and in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

from webrtc_host.events import alerts, segments, sessions
from webrtc_host.events.base import Event
from webrtc_host.seams import EventType


def _classes(module: ModuleType) -> Iterator[tuple[EventType, type[Event]]]:
    for one in vars(module).values():
        if isinstance(one, type) and issubclass(one, Event) and "kind" in vars(one):
            yield one.kind, one


EVENT_CLASSES: dict[EventType, type[Event]] = {
    kind: one for module in (sessions, segments, alerts) for kind, one in _classes(module)
}
"""The class of every event type."""
