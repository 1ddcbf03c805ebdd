"""The archive as a service: opens and closes it, applies retention, and reports when audio is not archived.

It has two of the server's start steps: `running` repairs files that a crash left and opens the archive;
`maintaining` removes old files and watches for trouble. `archive/` reads and writes the files.
Invariant: without an archive, or with one that fails, transcription continues.
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
from webrtc_host.archive.segment_file import ChannelKey
from webrtc_host.errors import Overloaded, StoreError
from webrtc_host.events import ErrorCode, error_report
from webrtc_host.services.record import RecordService
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.transcript import records
from webrtc_host.transcript.records import SegmentLocation

logger = logging.getLogger(__name__)

RETENTION_S = 60.0
ALARM_S = 0.5
SHED_EVENT_S = 10.0
"""Time between two events about removed audio: on a full disk, files are removed several times a second."""
SHED_REPORT_S = 600.0
"""For so long after the last removed file, `/ready` reports the removal."""
SESSIONS_AT_ONCE = 20
SESSION = re.compile(r"s_[0-9a-z]{1,40}")


class ArchiveService:
    """One per process."""

    def __init__(
        self, registry: SessionRegistry, record: RecordService, archive: Archive | None, holds: HoldsReader
    ) -> None:
        """archive: None when the configuration archives no audio."""
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
    async def maintaining(self) -> AsyncIterator[None]:
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
        """Why audio is not archived, or is being removed, for `/ready`; None otherwise."""
        reason = self.archive.trouble if self.archive is not None else None
        if reason is not None:
            return f"audio is not being archived: {reason}; transcription continues"
        return self._removal_report()

    def _removal_report(self) -> str | None:
        """The report while old audio is removed because of a full disk, and for a while after that."""
        archive = self.archive
        if archive is None or not archive.shed_files or time.time() - archive.shed_wall_s > SHED_REPORT_S:
            return None
        return (
            "the disk is full: to free space, the oldest audio of all sessions is removed, "
            f"{archive.shed_files} files so far; free some space, or keep less (archive.keep_days)"
        )

    async def has_channel(self, key: ChannelKey) -> bool | None:
        """Whether the session has this channel; None: there is no such session."""
        live = next((one for one in self._registry if one.id == key.session), None)
        if live is not None and key.channel in live.channels:
            return True
        is_archived = self.archive is not None and key in self.archive.channels()
        if not SESSION.fullmatch(key.session):
            return None
        if await self._record.store.read(lambda c: records.session(c, key.session)) is None:
            return False if live is not None else None
        opened = await self._record.store.read(lambda c: records.has_channel(c, key.session, key.channel))
        return is_archived or opened

    async def set_hold(self, key: ChannelKey, is_held: bool) -> None:
        """Set or clear the hold of a channel. Raises StoreError."""
        await self._record.store.write(
            lambda connection: records.hold_channel(connection, key.session, key.channel, is_held)
        )

    async def find_segment(self, segment: str) -> SegmentLocation | None:
        """The position of a final, by its id."""
        return await self._record.store.read(lambda connection: records.find_segment(connection, segment))

    async def _retain(self, archive: Archive) -> None:
        while True:
            try:
                holds = await self.holds.read()
                await self._remove_old_sessions(archive, holds)
                await asyncio.to_thread(archive.apply_retention, holds)
            except (StoreError, Overloaded) as error:
                logger.warning("the holds cannot be read, so no audio is removed: %s", error)
            except Exception:
                logger.exception("retention failed; the next try is in %.0f s", RETENTION_S)
            await asyncio.sleep(RETENTION_S)

    async def _remove_old_sessions(self, archive: Archive, holds: Holds) -> None:
        """Remove sessions that ended `keep_days_text` days ago, with audio and text; a few at a time."""
        days = archive.config.keep_days_text
        if not days:
            return
        ended_before_ms = round((time.time() - days * DAY_S) * 1000)
        held = holds.sessions | {key.session for key in holds.channels}
        for session in await self._record.store.read(
            lambda c: records.ended_before(c, ended_before_ms, held, SESSIONS_AT_ONCE)
        ):
            await asyncio.to_thread(archive.remove, session)
            await self._record.store.write(partial(records.remove, session_id=session))
            self._registry.forget(session)
            logger.info("session %s ended more than keep_days_text ago and was removed", session)

    async def _alarm(self, archive: Archive) -> None:
        """Report to every open session: audio is no longer archived, is archived again, or old audio is
        removed because the disk is full.
        """
        reported: str | None = None
        reported_files, reported_s = 0, float("-inf")
        while True:
            if archive.shed_files > reported_files and time.monotonic() - reported_s > SHED_EVENT_S:
                reported_files, reported_s = archive.shed_files, time.monotonic()
                if (removal := self._removal_report()) is not None:
                    self._report(ErrorCode.ARCHIVE_SHED, removal)
            trouble = archive.trouble
            if (trouble is None) != (reported is None):
                message = "audio is being archived again" if trouble is None else str(self.trouble())
                code = ErrorCode.ARCHIVE_DEGRADED if trouble else ErrorCode.ARCHIVE_RECOVERED
                self._report(code, message)
                reported = trouble
            await asyncio.sleep(ALARM_S)

    def _report(self, code: ErrorCode, message: str) -> None:
        for session in self._registry:
            if not session.is_ended:
                session.log.emit(error_report(code, message))
