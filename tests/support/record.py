"""A record with data in a folder or in memory, for tests of the code that reads records."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.support.events import an_event
from tests.support.new_records import place_record
from webrtc_host.seams import EventType
from webrtc_host.transcript.event_log import EventLog
from webrtc_host.transcript.search_writer import SearchWriter
from webrtc_host.transcript.store import Store, StoreConfig

T0 = datetime(2026, 11, 21, 6, 10, tzinfo=UTC)
T0_WALL_MS = int(T0.timestamp() * 1000)


@dataclass
class Record:
    store: Store
    search: SearchWriter
    segments: int = 0
    logs: dict[str, EventLog] = field(default_factory=dict)

    def session(self, session_id: str = "s_1", name: str = "night shift") -> EventLog:
        def listen(event: Any) -> None:
            if event.seq is not None:
                self.store.append(event)

        log = EventLog(session_id, capacity=100_000, now_ms=lambda: 0, wall=lambda: T0, listener=listen)
        self.logs[session_id] = log
        log.emit(an_event(EventType.SESSION_STARTED, name=name, t0_wall="2026-11-21T06:10:00.000Z"))
        return log

    def channel(self, log: EventLog, channel: str, label: str | None = None) -> None:
        log.emit(
            an_event(
                EventType.CHANNEL_OPENED,
                channel,
                connection=f"c_{channel}",
                label=label or channel,
                language="ko",
                door="webrtc",
                start_ms=0,
            )
        )

    def final(self, log: EventLog, text: str, start_ms: int = 0, channel: str = "C01", **more: Any) -> str:
        self.segments += 1
        segment = f"g_{self.segments}"
        fields: dict[str, Any] = {"end_ms": start_ms + 1500, "raw": text, "language": "ko", "conf": -0.27}
        fields |= {"utterance": f"u_{self.segments}", "words": [], "edits": [], **more}
        log.emit(
            an_event(
                EventType.SEGMENT_FINAL,
                channel,
                segment=segment,
                start_ms=start_ms,
                text=text,
                **fields,
            )
        )
        return segment

    def coverage(self, log: EventLog, from_ms: int, to_ms: int, state: str, channel: str = "C01") -> None:
        log.emit(an_event(EventType.COVERAGE, channel, from_ms=from_ms, to_ms=to_ms, state=state))

    async def written(self) -> None:
        """Wait until the events so far can be read from the record."""
        await self.store.write(lambda connection: None)


@asynccontextmanager
async def a_record(folder: Path, url: str = "memory") -> AsyncIterator[Record]:
    search = SearchWriter()
    if not url:
        place_record(folder)
    store = Store(StoreConfig(folder, url), after_segments=search.add)
    await store.open()
    try:
        yield Record(store, search)
    finally:
        await store.close()
