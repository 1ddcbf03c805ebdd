"""The events of a job, in order: first those of the past, then new ones as they are saved.

They are read from the record at each change, so a reader of a running job and one of a job of last year get
the same events, and nothing waits in memory for a slow reader. Invariant: with the id of the last event that
a reader got, it misses no segment and gets none twice.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Row

from webrtc_host.jobs.changes import JobChanges
from webrtc_host.transcript import jobs as rows
from webrtc_host.transcript import records
from webrtc_host.transcript.jobs import JobState
from webrtc_host.transcript.records import Span
from webrtc_host.transcript.store import Store

PAGE = 200
NOTHING = -1
"""`after` of a reader that has no event yet."""
QUEUED_ID, STARTED_ID = 0, 1
"""The session's own events begin with 1 (`session.started`), so the number of a final is always higher."""
END = "end"


@dataclass(frozen=True, slots=True)
class JobEvent:
    """name: queued, started, progress, transcript_segment, completed, failed, cancelled, or of a result such
    as final_summary. id: where a reader continues; None: the event is not part of the history.
    """

    name: str
    data: dict[str, Any]
    id: str | None = None


class _Reader:
    """What one reader was sent."""

    def __init__(self, store: Store, job_id: str, after: int) -> None:
        self._store, self._job_id = store, job_id
        self._after = after
        self._progress: tuple[int, int | None] | None = None
        self._results: set[str] = set()
        self.is_over = False

    async def new(self) -> AsyncIterator[JobEvent]:
        row = await self._store.read(partial(rows.find, job_id=self._job_id))
        if row is None:
            self.is_over = True
            return
        state = JobState(row.state)
        for event in self._begun(row, state):
            yield event
        async for event in self._segments(row):
            yield event
        for event in self._standing(row, state):
            yield event

    def _begun(self, row: Row[Any], state: JobState) -> list[JobEvent]:
        events = []
        if self._after < QUEUED_ID:
            events.append(JobEvent("queued", self._data(title=row.title), str(QUEUED_ID)))
            self._after = QUEUED_ID
        if self._after < STARTED_ID and row.session is not None:
            channels = [
                {"channel": one["channel"], "label": one["label"]} for one in json.loads(row.progress)
            ]
            data = self._data(session=row.session, channels=channels)
            events.append(JobEvent("started", data, str(STARTED_ID)))
            self._after = STARTED_ID
        return events

    async def _segments(self, row: Row[Any]) -> AsyncIterator[JobEvent]:
        if row.session is None:
            return
        while True:
            read = partial(records.segment_page, span=Span(row.session), after_seq=self._after, limit=PAGE)
            found = await self._store.read(read)
            for seq, data in found:
                self._after = seq
                yield JobEvent("transcript_segment", self._segment(json.loads(data)), str(seq))
            if len(found) < PAGE:
                return

    def _standing(self, row: Row[Any], state: JobState) -> list[JobEvent]:
        events = []
        if self._after >= STARTED_ID and not state.is_final and self._progress != (row.done_ms, row.total_ms):
            self._progress = (row.done_ms, row.total_ms)
            events.append(JobEvent("progress", self._data(**progress_of(row))))
        for name, result in json.loads(row.results).items():
            if name not in self._results:
                self._results.add(name)
                events.append(JobEvent(name, self._data(**result)))
        if state.is_final:
            self.is_over = True
            error = {"error": {"code": row.error_code, "message": row.error}} if row.error_code else {}
            data = self._data(session=row.session, warning=row.warning, **progress_of(row), **error)
            events.append(JobEvent(state.value, data, END))
        return events

    def _segment(self, event: dict[str, Any]) -> dict[str, Any]:
        names = ("seq", "channel", "segment", "start_ms", "end_ms", "text", "language", "conf", "words")
        data = {name: event[name] for name in names if name in event}
        return self._data(**data, start_s=event["start_ms"] / 1000, end_s=event["end_ms"] / 1000)

    def _data(self, **more: Any) -> dict[str, Any]:
        return {"job": self._job_id, **more}


def progress_of(row: Row[Any]) -> dict[str, Any]:
    """The progress of a job in seconds; total_s: null as long as it is not known."""
    total = row.total_ms
    return {"done_s": row.done_ms / 1000, "total_s": None if total is None else total / 1000}


async def follow(
    store: Store, changes: JobChanges, job_id: str, after: int, idle_s: float
) -> AsyncGenerator[JobEvent | None, None]:
    """All events after `after` (NOTHING: all), until the job has ended. None: nothing happened for `idle_s`.

    Raises StoreError and Overloaded when the record cannot be read.
    """
    reader = _Reader(store, job_id, after)
    with changes.watching(job_id) as changed:
        while True:
            changed.clear()  # before the read: a change during the read makes another one
            async for event in reader.new():
                yield event
            if reader.is_over:
                return
            try:
                async with asyncio.timeout(idle_s):
                    await changed.wait()
            except TimeoutError:
                yield None
