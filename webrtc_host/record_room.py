"""The record put together: store, journal, replay, and the sessions of the process before this one.

Owns their lifetimes and the order of a start: open the record, go on with its sessions, then let callers in.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable

from aiohttp import web
from sqlalchemy import Connection

from webrtc_host.config import MediaProcessConfig
from webrtc_host.desk.subscribers import History
from webrtc_host.errors import StoreError
from webrtc_host.going_on import Restarted, go_on
from webrtc_host.sessions import SessionRegistry
from webrtc_host.speech.ids import Ids
from webrtc_host.transcript.database import MEMORY
from webrtc_host.transcript.event_log import Event
from webrtc_host.transcript.journal import Journal
from webrtc_host.transcript.meta import forget_meta, put_meta
from webrtc_host.transcript.replay import Replay
from webrtc_host.transcript.restart import FormerRecord, read_former
from webrtc_host.transcript.rows import STOPPED_WALL_MS
from webrtc_host.transcript.saved_log import SavedLog
from webrtc_host.transcript.store import Store, StoreConfig
from webrtc_host.transcript.store_writer import WriterConfig

logger = logging.getLogger(__name__)

FORGET_AGAIN_S = 5.0


class RecordRoom:
    """Made once for the process; `running` is its cleanup context, the first to begin and the last to end."""

    def __init__(
        self, config: MediaProcessConfig, ids: Ids, listeners: list[Callable[[Event], None]]
    ) -> None:
        """listeners: hear of every event when watchers may; more may be added before the start."""
        limits = config.limits
        is_memory = config.store.url == MEMORY
        writer = WriterConfig(
            unsaved_max=limits.events_unsaved, keep_events=limits.events_in_memory if is_memory else None
        )
        self.store = Store(StoreConfig(config.data.dir, config.store.url, writer=writer))
        self.journal = Journal(self.store)
        self.history: History | None = None if is_memory else Replay(self.store)
        self.restarted: tuple[Restarted, ...] = ()  # sessions that go on; whoever recovers sound begins here
        self.former = FormerRecord()
        self.listeners = listeners
        self._capacity = limits.events_in_memory
        self._sessions_max = limits.sessions
        self._ids = ids
        self.registry: SessionRegistry | None = None  # set before the start

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
            journal=self.journal,
            head_seq=head_seq,
        )
        self.journal.add(log)
        return log

    async def running(self, _: web.Application) -> AsyncIterator[None]:
        await self.store.open()
        try:
            await self._go_on()
            forgetting = asyncio.create_task(self._forget_stop(), name="forget the former end")
            yield
            forgetting.cancel()
            await asyncio.wait((forgetting,))
        finally:
            await self._close()

    async def _forget_stop(self) -> None:
        """Once the record can be written: on a full disk that may take a while, and nothing waits for it."""
        while True:
            try:
                return await self.store.write(_forget_stop)
            except StoreError as error:
                logger.warning("the former end cannot be taken out of the record yet: %s", error)
            await asyncio.sleep(FORGET_AGAIN_S)

    async def _go_on(self) -> None:
        self.former = await self.store.read(lambda connection: read_former(connection, self._sessions_max))
        self._ids.go_on(self.former.utterance_max, self.former.segment_max)
        if self.registry is not None:
            self.restarted = go_on(self.registry, self.former, self.make_log, time.time())

    async def _close(self) -> None:
        stopped_wall_ms = str(int(time.time() * 1000))
        try:
            await self.store.write(
                lambda connection: put_meta(connection, {STOPPED_WALL_MS: stopped_wall_ms})
            )
        except StoreError as error:
            logger.error("the end could not be written into the record: %s", error)
        await self.store.close()

    def _listen(self, event: Event) -> None:
        for listener in self.listeners:
            listener(event)


def _forget_stop(connection: Connection) -> None:
    """From here on an end without a word is a crash."""
    forget_meta(connection, STOPPED_WALL_MS)
