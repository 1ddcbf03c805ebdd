"""The record put together: store, journal, and the sessions of the process before this one.

Owns their lifetimes. Two steps of the server's life: `running` opens the record and closes it as the last of
all, `restoring` makes its sessions live again before callers come in.
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
from webrtc_host.transcript.meta import forget_meta, put_meta
from webrtc_host.transcript.replay import History, Replay
from webrtc_host.transcript.restart import FormerRecord, read_former
from webrtc_host.transcript.rows import STOPPED_WALL_MS
from webrtc_host.transcript.saved_log import SavedLog
from webrtc_host.transcript.store import Store, StoreConfig
from webrtc_host.transcript.store_writer import WriterConfig

logger = logging.getLogger(__name__)

FORGET_AGAIN_S = 5.0


def make_store(config: MediaProcessConfig) -> Store:
    """The record's database, not yet open."""
    limits = config.limits
    writer = WriterConfig(
        unsaved_max=limits.events_unsaved,
        keep_events=limits.events_in_memory if config.store.url == MEMORY else None,
    )
    return Store(StoreConfig(config.data.dir, config.store.url, writer=writer))


def make_history(config: MediaProcessConfig, store: Store) -> History | None:
    """Where watchers read events that no log holds any more; None when the memory is all there is."""
    return None if config.store.url == MEMORY else Replay(store)


class RecordService:
    """Made once for the process."""

    def __init__(
        self,
        config: MediaProcessConfig,
        ids: Ids,
        store: Store,
        listeners: Sequence[Listener],
    ) -> None:
        """listeners: hear of every event of every session, as soon as watchers may."""
        limits = config.limits
        self.store = store
        self.restored: tuple[RestoredSession, ...] = ()  # sessions that continue; recovery starts from them
        self.former = FormerRecord()
        self._listeners = tuple(listeners)
        self._capacity = limits.events_in_memory
        self._sessions_max = limits.sessions
        self._ids = ids

    def trouble(self) -> str | None:
        """Why it cannot be written now, for /ready."""
        state = self.store.state
        return f"the record cannot be written: {state.reason}" if state.is_degraded else self.store.trouble

    def make_log(self, session_id: str, now_ms: Callable[[], int], head_seq: int = 0) -> SavedLog:
        log = SavedLog(
            session_id,
            capacity=self._capacity,
            now_ms=now_ms,
            listener=self._listen,
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
        """Put the sessions of the record into the registry, then forget how the process before this ended."""
        await self._restore(registry)
        forgetting = asyncio.create_task(self._forget_stop(), name="forget the former end")
        try:
            yield
        finally:
            forgetting.cancel()
            await asyncio.wait((forgetting,))

    async def _forget_stop(self) -> None:
        """Once the record can be written: on a full disk that may take a while, and nothing waits for it."""
        while True:
            try:
                return await self.store.write(_forget_stop)
            except StoreError as error:
                logger.warning("the former end cannot be taken out of the record yet: %s", error)
            await asyncio.sleep(FORGET_AGAIN_S)

    async def _restore(self, registry: SessionRegistry) -> None:
        self.former = await self.store.read(lambda connection: read_former(connection, self._sessions_max))
        self._ids.go_on(self.former.utterance_max, self.former.segment_max)
        self.restored = restore_sessions(registry, self.former, self.make_log, time.time())

    async def _close(self) -> None:
        stopped_wall_ms = str(int(time.time() * 1000))
        try:
            await self.store.write(
                lambda connection: put_meta(connection, {STOPPED_WALL_MS: stopped_wall_ms})
            )
        except StoreError as error:
            logger.error("the end could not be written into the record: %s", error)
        await self.store.close()

    def _listen(self, event: LoggedEvent) -> None:
        for listener in self._listeners:
            listener(event)


def _forget_stop(connection: Connection) -> None:
    """From here on an end without a word is a crash."""
    forget_meta(connection, STOPPED_WALL_MS)
