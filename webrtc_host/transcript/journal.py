"""The journal: between the event logs of all sessions and the store that saves their events.

Owns which log hears of which saved event, and that every log hears when the store degrades. Runs on the
event loop's thread. Invariant: what a log appended is acknowledged in order, or its log is degraded.
"""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakValueDictionary

from webrtc_host.transcript.event_log import EventLog, LoggedEvent
from webrtc_host.transcript.store_writer import WriterState


class Journal:
    """Made by the store, one for each; implements `event_log.Journal`."""

    def __init__(self, append: Callable[[LoggedEvent], None], state: Callable[[], WriterState]) -> None:
        """append: hands an event to the writer. state: the writer's, at this moment."""
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
        """These are on disk: the logs that they came from hand them to watchers."""
        newest = {event.session: event.seq for event in events}
        for session, seq in newest.items():
            log = self._logs.get(session)
            if log is not None and seq is not None:
                log.acknowledge(seq)

    def state_changed(self, state: WriterState) -> None:
        """The writer degraded or is well again."""
        if state.is_degraded:
            for log in list(self._logs.values()):
                log.degrade()
