"""The journal: connects the event logs of all sessions with the store that saves their events.

It reports to each log which of its events are saved, and to all logs when the store is degraded. Runs in the
event loop. Invariant: the events of a log are acknowledged in order, or the log is degraded.
"""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakValueDictionary

from webrtc_host.transcript.event_log import EventLog, LoggedEvent
from webrtc_host.transcript.store_writer import WriterState


class Journal:
    """One per store; implements `event_log.Journal`."""

    def __init__(self, append: Callable[[LoggedEvent], None], state: Callable[[], WriterState]) -> None:
        """append: gives an event to the writer. state: returns the writer's present state."""
        self._append, self._state = append, state
        self._logs: WeakValueDictionary[str, EventLog] = WeakValueDictionary()

    @property
    def is_degraded(self) -> bool:
        return self._state().is_degraded

    def add(self, log: EventLog) -> None:
        self._logs[log.session] = log

    def append(self, event: LoggedEvent) -> None:
        self._append(event)

    def saved(self, events: list[LoggedEvent]) -> None:
        """These events are on disk: their logs pass them on to watchers."""
        newest = {event.session: event.seq for event in events}
        for session, seq in newest.items():
            log = self._logs.get(session)
            if log is not None and seq is not None:
                log.acknowledge(seq)

    def state_changed(self, state: WriterState) -> None:
        """The writer has become degraded, or can write again."""
        if state.is_degraded:
            for log in list(self._logs.values()):
                log.degrade()
