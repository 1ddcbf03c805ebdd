"""The archive put together: kept audio, its retention and its alarm.

Owns their lifetimes. Two steps of the server's life: `running` mends what a crash left and opens the archive,
`caring` removes what is due and tells when no audio is kept. Invariant: without an archive, or with one in
trouble, text goes on.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from webrtc_host.archive.archive import Archive
from webrtc_host.archive.holds import HoldsReader
from webrtc_host.archive.retention import DAY_S, Holds
from webrtc_host.archive.writer import ChannelKey
from webrtc_host.errors import Overloaded, StoreError
from webrtc_host.events import ErrorReported
from webrtc_host.services.record import RecordService
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.transcript import records
from webrtc_host.transcript.records import SegmentPlace

logger = logging.getLogger(__name__)

RETENTION_S = 60.0
ALARM_S = 0.5
SHED_EVENT_S = 10.0
"""Between two events about removed audio: a full disk loses files several times a second."""
SHED_TOLD_S = 600.0
"""`/ready` speaks of it for so long after the last file."""
SESSIONS_AT_ONCE = 20
SESSION = re.compile(r"s_[0-9a-z]{1,40}")


class ArchiveService:
    """Made once for the process."""

    def __init__(
        self, registry: SessionRegistry, record: RecordService, archive: Archive | None, holds: HoldsReader
    ) -> None:
        """archive: None where the configuration keeps no audio."""
        self._registry, self._record = registry, record
        self.archive, self.holds = archive, holds

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        if self.archive is None:
            yield
            return
        self.holds.start()
        await asyncio.to_thread(self.archive.open)
        try:
            yield
        finally:
            await asyncio.to_thread(self.archive.close)

    @asynccontextmanager
    async def caring(self) -> AsyncIterator[None]:
        if self.archive is None:
            yield
            return
        tasks = [
            asyncio.create_task(self._retain(self.archive), name="audio retention"),
            asyncio.create_task(self._alarm(self.archive), name="audio alarm"),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    def trouble(self) -> str | None:
        """For `/ready`."""
        reason = self.archive.trouble if self.archive is not None else None
        if reason is not None:
            return f"sound is not being kept: {reason}; text goes on"
        return self._making_room()

    def _making_room(self) -> str | None:
        """Told while old audio is removed for a full disk, and for a while after."""
        archive = self.archive
        if archive is None or not archive.shed_files or time.time() - archive.shed_wall_s > SHED_TOLD_S:
            return None
        return (
            "the disk is full: room is made by removing the oldest sound of all sessions, "
            f"{archive.shed_files} files so far; free some space, or keep less (archive.keep_days)"
        )

    async def has_channel(self, place: ChannelKey) -> bool | None:
        """None: there is no such session."""
        live = next((one for one in self._registry if one.id == place.session), None)
        if live is not None and place.channel in live.channels:
            return True
        is_kept = self.archive is not None and place in self.archive.channels()
        if not SESSION.fullmatch(place.session):
            return None
        if await self._record.store.read(lambda c: records.session(c, place.session)) is None:
            return False if live is not None else None
        opened = await self._record.store.read(lambda c: records.has_channel(c, place.session, place.channel))
        return is_kept or opened

    async def set_hold(self, place: ChannelKey, is_held: bool) -> None:
        """Raises StoreError."""
        await self._record.store.write(
            lambda connection: records.hold_channel(connection, place.session, place.channel, is_held)
        )

    async def find_segment(self, segment: str) -> SegmentPlace | None:
        """Where a final lies, by its id."""
        return await self._record.store.read(lambda connection: records.find_segment(connection, segment))

    async def _retain(self, archive: Archive) -> None:
        while True:
            try:
                holds = await self.holds.read()
                await self._remove_old_sessions(archive, holds)
                await asyncio.to_thread(archive.apply_retention, holds)
            except (StoreError, Overloaded) as error:
                logger.warning("no sound is removed, the holds are not known: %s", error)
            except Exception:
                logger.exception("retention failed; it is tried again in %.0f s", RETENTION_S)
            await asyncio.sleep(RETENTION_S)

    async def _remove_old_sessions(self, archive: Archive, holds: Holds) -> None:
        """Those that ended `keep_days_text` ago, whole; a few at a time."""
        days = archive.config.keep_days_text
        if not days:
            return
        ended_before_ms = round((time.time() - days * DAY_S) * 1000)
        held = holds.sessions | {place.session for place in holds.channels}
        for session in await self._record.store.read(
            lambda c: records.ended_before(c, ended_before_ms, held, SESSIONS_AT_ONCE)
        ):
            await asyncio.to_thread(archive.remove, session)
            await self._record.store.write(partial(records.remove, session_id=session))
            self._registry.forget(session)
            logger.info("session %s is past its days and was removed", session)

    async def _alarm(self, archive: Archive) -> None:
        """Tell every live session when sound stops being kept, when it is kept again, and when old sound is
        removed for a full disk.
        """
        told: str | None = None
        told_files, told_s = 0, float("-inf")
        while True:
            if archive.shed_files > told_files and time.monotonic() - told_s > SHED_EVENT_S:
                told_files, told_s = archive.shed_files, time.monotonic()
                self._tell("archive_shed", self._making_room() or "")
            trouble = archive.trouble
            if (trouble is None) != (told is None):
                message = "sound is being kept again" if trouble is None else str(self.trouble())
                code = "archive_degraded" if trouble else "archive_recovered"
                self._tell(code, message)
                told = trouble
            await asyncio.sleep(ALARM_S)

    def _tell(self, code: str, message: str) -> None:
        for session in self._registry:
            if not session.is_ended:
                session.log.emit(ErrorReported(code=code, message=message))
