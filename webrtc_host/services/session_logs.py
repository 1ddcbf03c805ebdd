"""The log of any session of the record, also of one that the registry does not have.

The registry has the running sessions and the newest ended ones. People also change lines of older sessions,
and every change is an event of its session. Invariant: at no time are there two logs of one session.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from webrtc_host.errors import RequestError
from webrtc_host.session.channel_seams import SessionLog
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.session.session import Session
from webrtc_host.transcript import records
from webrtc_host.transcript.storable import storable
from webrtc_host.transcript.store import Store

OPENED_MAX = 16
"""Logs of older sessions that stay in memory; each holds only the events of people's changes."""


class MakeLog(Protocol):
    def __call__(self, session_id: str, now_ms: Callable[[], int], head_seq: int = 0) -> SessionLog: ...


class SessionLogs:
    """One per process."""

    def __init__(self, registry: SessionRegistry, store: Store, make_log: MakeLog) -> None:
        """make_log: (session id, function that returns milliseconds since its t = 0, newest seq) -> a log."""
        self._registry, self._store, self._make_log = registry, store, make_log
        self._opened: OrderedDict[str, SessionLog] = OrderedDict()

    def live(self, session_id: str) -> Session | None:
        """The session, if the registry has it."""
        return next((one for one in self._registry if one.id == session_id), None)

    async def of(self, session_id: str) -> SessionLog:
        """Raises RequestError 404 for an unknown session, StoreError."""
        if (live := self.live(session_id)) is not None:
            return live.log
        if (known := self._opened.get(session_id)) is not None:
            return known
        name = storable(session_id[:100])
        row = await self._store.read(lambda connection: records.session(connection, name))
        if row is None:
            raise RequestError("unknown_session", f"there is no session {session_id[:40]!r}", 404)
        if (known := self._opened.get(session_id)) is not None:  # another request was faster
            return known
        self._drop_oldest()
        log = self._opened[session_id] = self._make_log(session_id, lambda: 0, int(row.head_seq))
        return log

    def _drop_oldest(self) -> None:
        """Drop logs over the limit, but none with an event that is not in the record yet."""
        saved = [name for name, log in self._opened.items() if log.saved_seq == log.head_seq]
        for name in saved[: max(0, len(self._opened) - OPENED_MAX + 1)]:
            del self._opened[name]
