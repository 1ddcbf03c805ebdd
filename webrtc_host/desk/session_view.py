"""A session for responses: as the registry has it, as the record has it, or both.

Finds a session by its id, and makes the JSON that describes it. Invariant: a session has the same JSON while
it runs and years later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row

from webrtc_host.errors import Overloaded, RequestError, StoreError
from webrtc_host.http.requests import RangeQuery, check_range
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.session.session import Session
from webrtc_host.transcript import records
from webrtc_host.transcript.event_codec import iso_ms
from webrtc_host.transcript.records import Span
from webrtc_host.transcript.store import Store

EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class FoundSession:
    """A session as the registry has it, as the record has it, or both."""

    live: Session | None
    row: Row[Any] | None  # at least one of the two is not None

    @property
    def id(self) -> str:
        return self.live.id if self.live is not None else str(self._row.id)

    @property
    def name(self) -> str:
        return self.live.name if self.live is not None else str(self._row.name)

    @property
    def t0_wall_ms(self) -> int:
        if self.live is not None:
            return (self.live.started_wall - EPOCH) // timedelta(milliseconds=1)
        return int(self._row.t0_wall_ms)

    @property
    def is_ended(self) -> bool:
        return self.live.is_ended if self.live is not None else self._row.ended_wall_ms is not None

    @property
    def head_seq(self) -> int:
        return self.live.log.head_seq if self.live is not None else int(self._row.head_seq)

    @property
    def now_ms(self) -> int:
        """The session's time: now, at its end, or, without an end, when it was last noted as running."""
        row = self.row
        if self.live is not None and (row is None or row.ended_wall_ms is None):
            return self.live.now_ms()
        return int(row.length_ms) if row is not None else 0

    @property
    def _row(self) -> Row[Any]:
        assert self.row is not None
        return self.row


async def find_session(registry: SessionRegistry, store: Store, session_id: str) -> FoundSession:
    """The session, running or from the record.

    Raises RequestError 404; StoreError or Overloaded when it does not run and the record cannot be read.
    """
    live = next((s for s in registry if s.id == session_id), None)
    try:
        row = await store.read(lambda c: records.session(c, storable(session_id)))
    except (StoreError, Overloaded):
        if live is None:
            raise
        row = None
    if live is None and row is None:
        raise unknown(session_id)
    return FoundSession(live, row)


def unknown(session_id: str) -> RequestError:
    return RequestError("unknown_session", f"there is no session {session_id[:40]!r}", 404)


def storable(text: str) -> str:
    """The id without characters that a database refuses: lone surrogates and NUL."""
    return text[:100].encode(errors="replace").decode().replace("\0", "\ufffd")


def span_of(session_id: str, query: RangeQuery) -> Span:
    """Raises RequestError 422 for a range that ends before it begins."""
    check_range(query.from_ms, query.to_ms)
    return Span(session_id, query.channel, query.from_ms, query.to_ms)


def body_of(found: FoundSession, channels: Sequence[Row[Any]]) -> dict[str, Any]:
    """The JSON of a session. channels: its rows in the record."""
    row = found.row
    ended_wall_ms = None if row is None else row.ended_wall_ms
    return {
        "session": found.id,
        "name": found.name,
        "t0_wall": wall_of(found.t0_wall_ms),
        "now_ms": found.now_ms,
        "is_ended": found.is_ended,
        "ended_wall": None if ended_wall_ms is None else wall_of(ended_wall_ms),
        "is_held": bool(row is not None and row.is_held),
        "head_seq": found.head_seq,
        "channels": _channels(found.live, channels),
    }


def _channels(live: Session | None, rows: Sequence[Row[Any]]) -> list[dict[str, Any]]:
    known: dict[str, dict[str, Any]] = {
        row.channel: {
            "channel": row.channel,
            "label": row.label,
            "language": row.language,
            "state": None,
            "connection": None,
        }
        for row in rows
    }
    for channel in live.channels.values() if live is not None else ():
        known[channel.id] = {
            "channel": channel.id,
            "label": channel.label,
            "language": channel.language,
            "state": channel.state.value if channel.state else None,
            "connection": channel.connection.id if channel.connection else None,
        }
    return [body for _, body in sorted(known.items())]


def wall_of(wall_ms: int) -> str:
    return iso_ms(EPOCH + timedelta(milliseconds=wall_ms))
