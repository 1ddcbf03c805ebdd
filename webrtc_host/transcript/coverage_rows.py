"""What `coverage` events change in the record: the stored runs of their channels.

SQL only, on a connection that the caller passes, in the transaction that saves the events. `runs.py` computes
the new runs. Doing it twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, delete, select

from webrtc_host.events import CoverageChanged
from webrtc_host.transcript.event_codec import Envelope
from webrtc_host.transcript.insert_new import insert_new
from webrtc_host.transcript.runs import Run, apply_runs
from webrtc_host.transcript.schema import coverage


def apply(connection: Connection, envelopes: Iterable[Envelope]) -> None:
    """Apply the coverage events to the stored runs of each channel, in their order; skip other events."""
    by_channel: dict[tuple[str, str], list[Run]] = {}
    for envelope in envelopes:
        event = envelope.event
        if isinstance(event, CoverageChanged) and event.from_ms < event.to_ms:
            run = Run(event.from_ms, event.to_ms, event.state.value, event.reason)
            by_channel.setdefault((envelope.session, event.channel), []).append(run)
    for (session, channel), newer in by_channel.items():
        _apply_to_channel(connection, session, channel, newer)


def _apply_to_channel(connection: Connection, session: str, channel: str, newer: list[Run]) -> None:
    from_ms, to_ms = min(run.from_ms for run in newer), max(run.to_ms for run in newer)
    of_channel = (coverage.c.session == session, coverage.c.channel == channel)
    # Neighbours too (<= and >=): they may become one run together with the new ones.
    touched = (*of_channel, coverage.c.from_ms <= to_ms, coverage.c.to_ms >= from_ms)
    found = connection.execute(select(coverage).where(*touched).order_by(coverage.c.from_ms)).all()
    before = [Run(row.from_ms, row.to_ms, row.state, row.reason) for row in found]
    after = apply_runs(before, newer)
    removed = [run.from_ms for run in before if run not in after]
    if removed:
        connection.execute(delete(coverage).where(*of_channel, coverage.c.from_ms.in_(removed)))
    insert_new(connection, coverage, [_row(session, channel, run) for run in after if run not in before])


def _row(session: str, channel: str, run: Run) -> dict[str, Any]:
    return {
        "session": session,
        "channel": channel,
        "from_ms": run.from_ms,
        "to_ms": run.to_ms,
        "state": run.state,
        "reason": run.reason,
    }
