"""The record as a service: opens and closes the database, and restores the sessions of the former process.

It has two of the server's start steps. `running` opens the record first, and closes it last. `restoring`
makes the sessions of the record live again before clients are accepted.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from sqlalchemy import Connection

from webrtc_host.config import MediaProcessConfig
from webrtc_host.errors import StoreError
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.session.restore import RestoredSession, restore_sessions
from webrtc_host.speech.ids import Ids
from webrtc_host.transcript.database import MEMORY
from webrtc_host.transcript.event_log import Listener, LoggedEvent
from webrtc_host.transcript.meta import delete_meta, put_meta
from webrtc_host.transcript.replay import History, Replay
from webrtc_host.transcript.restart import FormerRecord, read_former
from webrtc_host.transcript.rows import STOPPED_WALL_MS
from webrtc_host.transcript.saved_log import SavedLog
from webrtc_host.transcript.store import Store, StoreConfig
from webrtc_host.transcript.store_writer import AfterEvents, AfterSegments, WriterConfig

logger = logging.getLogger(__name__)

DELETE_RETRY_S = 5.0


def make_store(
    config: MediaProcessConfig, after_segments: AfterSegments, after_events: AfterEvents | None = None
) -> Store:
    """The record's database, not opened yet.

    after_segments: indexes the texts that are saved. after_events: stores the deliveries of the webhooks.
    """
    limits = config.limits
    writer = WriterConfig(
        unsaved_max=limits.events_unsaved,
        keep_events=limits.events_in_memory if config.store.url == MEMORY else None,
    )
    store_config = StoreConfig(config.data.dir, config.store.url, writer=writer)
    return Store(store_config, after_segments=after_segments, after_events=after_events)


def make_history(config: MediaProcessConfig, store: Store) -> History | None:
    """Where watchers read older events than the log holds; None when events are only in memory."""
    return None if config.store.url == MEMORY else Replay(store)


class RecordService:
    """One per process."""

    def __init__(
        self,
        config: MediaProcessConfig,
        ids: Ids,
        store: Store,
        listeners: Sequence[Listener],
    ) -> None:
        """listeners: called with every event of every session, at the moment when watchers may get it."""
        limits = config.limits
        self.store = store
        self.restored: tuple[RestoredSession, ...] = ()  # sessions that continue; recovery starts from them
        self.former = FormerRecord()
        self._listeners = tuple(listeners)
        self._capacity = limits.events_in_memory
        self._sessions_max = limits.sessions
        self._ids = ids

    def trouble(self) -> str | None:
        """Why the record cannot be written now, for `/ready`; None while it can."""
        state = self.store.state
        return f"the record cannot be written: {state.reason}" if state.is_degraded else self.store.trouble

    def make_log(self, session_id: str, now_ms: Callable[[], int], head_seq: int = 0) -> SavedLog:
        log = SavedLog(
            session_id,
            capacity=self._capacity,
            now_ms=now_ms,
            listener=self._call_listeners,
            journal=self.store.journal,
            head_seq=head_seq,
        )
        self.store.journal.add(log)
        return log

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.store.open()
        try:
            yield
        finally:
            await self._close()

    @asynccontextmanager
    async def restoring(self, registry: SessionRegistry) -> AsyncIterator[None]:
        """Restore the sessions of the record, then delete the note how the last process ended."""
        await self._restore(registry)
        deleting = asyncio.create_task(self._delete_stop_note(), name="forget the former end")
        try:
            yield
        finally:
            deleting.cancel()
            await asyncio.wait((deleting,))

    async def _delete_stop_note(self) -> None:
        """Delete the note as soon as the record can be written; on a full disk this can take a while."""
        while True:
            try:
                return await self.store.write(_delete_stop_note)
            except StoreError as error:
                logger.warning("the note of the last stop cannot be deleted from the record yet: %s", error)
            await asyncio.sleep(DELETE_RETRY_S)

    async def _restore(self, registry: SessionRegistry) -> None:
        self.former = await self.store.read(lambda connection: read_former(connection, self._sessions_max))
        self._ids.continue_after(self.former.utterance_max, self.former.segment_max)
        self.restored = restore_sessions(registry, self.former, self.make_log, time.time())

    async def _close(self) -> None:
        stopped_wall_ms = str(int(time.time() * 1000))
        try:
            await self.store.write(
                lambda connection: put_meta(connection, {STOPPED_WALL_MS: stopped_wall_ms})
            )
        except StoreError as error:
            logger.error("the stop of the server could not be written into the record: %s", error)
        await self.store.close()

    def _call_listeners(self, event: LoggedEvent) -> None:
        for listener in self._listeners:
            listener(event)


def _delete_stop_note(connection: Connection) -> None:
    """Without this note, the next start treats the end of this process as a crash."""
    delete_meta(connection, STOPPED_WALL_MS)
