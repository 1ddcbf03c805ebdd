"""The journal: between the event logs of all sessions and the store that saves their events.

Owns which log hears of which saved event, and that every log hears when the store degrades. Runs on the
event loop's thread. Invariant: what a log appended is acknowledged in order, or its log is degraded.
"""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakValueDictionary

from webrtc_host.transcript.event_log import Event, EventLog
from webrtc_host.transcript.store import Store
from webrtc_host.transcript.store_writer import WriterState


class Journal:
    def __init__(self, store: Store) -> None:
        self.on_state: Callable[[WriterState], None] = lambda state: None
        self._store = store
        self._logs: WeakValueDictionary[str, EventLog] = WeakValueDictionary()
        store.writer.on_saved = self._saved
        store.writer.on_state = self._changed

    @property
    def is_degraded(self) -> bool:
        return self._store.state.is_degraded

    def add(self, log: EventLog) -> None:
        self._logs[log.session] = log

    def append(self, event: Event) -> None:
        self._store.append(event)

    def _saved(self, events: list[Event]) -> None:
        newest = {event.session: event.seq for event in events}
        for session, seq in newest.items():
            log = self._logs.get(session)
            if log is not None and seq is not None:
                log.acknowledge(seq)

    def _changed(self, state: WriterState) -> None:
        if state.is_degraded:
            for log in list(self._logs.values()):
                log.degrade()
        self.on_state(state)
