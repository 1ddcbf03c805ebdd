"""Saves resume tokens in the record, so that they are valid after a restart of the server.

At the start the saved claims are loaded before clients are accepted. Later changes are written in the
background, so no client waits for the disk. While the record cannot be written, the write is repeated. After
a crash in that time, clients lose the right to their channels, but no audio and no text.
Invariant: the validity of a token counts from the end of its connection, by the wall clock, over restarts.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from sqlalchemy import Connection

from webrtc_host.errors import Overloaded, StoreError
from webrtc_host.seams import Clock
from webrtc_host.services.record import RecordService
from webrtc_host.session.resume import Claim, ResumeTokens
from webrtc_host.transcript.resumes import SavedClaim, delete_claims, put_claims, read_claims

logger = logging.getLogger(__name__)

RETRY_S = 1.0
REMOVE_S = 60.0
"""Expired claims are removed from the record once in this time."""


class ClaimChanges:
    """The claims that changed since the last write. `ResumeTokens` reports changes here, and never waits."""

    def __init__(self) -> None:
        self._changed: dict[str, Claim] = {}
        self._forgotten: set[str] = set()
        self._has_changes = asyncio.Event()

    def note(self, claim: Claim) -> None:
        self._changed[claim.token_hash] = claim
        self._has_changes.set()

    def drop(self, claim: Claim) -> None:
        self._changed.pop(claim.token_hash, None)
        self._forgotten.add(claim.token_hash)
        self._has_changes.set()

    async def wait(self) -> None:
        """Wait until there is something to write."""
        await self._has_changes.wait()

    def take(self) -> tuple[dict[str, Claim], set[str]]:
        """Take all changes, by the token's hash: changed claims, and removed ones."""
        changed, forgotten = self._changed, self._forgotten
        self._changed, self._forgotten = {}, set()
        self._has_changes.clear()
        return changed, forgotten

    def put_back(self, changed: dict[str, Claim], forgotten: set[str]) -> None:
        """Put changes back that could not be written; newer changes have precedence."""
        self._changed = changed | self._changed
        self._forgotten |= forgotten
        self._has_changes.set()


class ResumeTokenService:
    """One per process; `running` is a start step after the record's."""

    def __init__(
        self,
        tokens: ResumeTokens,
        changes: ClaimChanges,
        record: RecordService,
        clock: Clock = time.monotonic,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        """changes: the object that `tokens` reports to. clock: the same clock as that of `tokens`."""
        self._tokens, self._changes, self._record = tokens, changes, record
        self._clock, self._wall_s = clock, wall_s

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self._load()
        task = asyncio.create_task(self._run(), name="resume tokens")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait((task,))
            try:
                await self._write()
            except (StoreError, Overloaded) as error:
                logger.warning("resume tokens could not be saved for the next start: %s", error)

    async def _load(self) -> None:
        """Load the saved claims. A connection that was open when the server ended counts as closed then."""
        saved = await self._record.store.read(read_claims)
        down_wall_ms = self._record.former.down_from_wall_ms
        for one in saved:
            closed_wall_ms = one.closed_wall_ms
            is_new = closed_wall_ms is None
            if closed_wall_ms is None:
                closed_wall_ms = round(self._wall_s() * 1000) if down_wall_ms is None else down_wall_ms
            ago_s = max(0.0, self._wall_s() - closed_wall_ms / 1000)
            claim = Claim(
                one.token_hash, "", one.session, one.channels, one.connection, self._clock() - ago_s
            )
            self._tokens.load(claim)
            if is_new:
                self._changes.note(claim)

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REMOVE_S):
                    await self._changes.wait()
            try:
                await self._write()
            except (StoreError, Overloaded) as error:
                logger.debug("resume tokens wait until the record can be written: %s", error)
                await asyncio.sleep(RETRY_S)
            except Exception:
                logger.exception("resume tokens could not be written")
                await asyncio.sleep(RETRY_S)

    async def _write(self) -> None:
        """Write all changes. Raises StoreError; the changes are kept then."""
        changed, forgotten = self._changes.take()
        rows = [self._row_of(claim) for claim in changed.values()]
        over_ms = round((self._wall_s() - self._tokens.resume_s) * 1000)
        try:
            await self._record.store.write(
                partial(_save, rows=rows, over_ms=over_ms, forgotten=sorted(forgotten))
            )
        except BaseException:
            self._changes.put_back(changed, forgotten)
            raise

    def _row_of(self, claim: Claim) -> SavedClaim:
        closed_wall_ms = None
        if claim.closed_s is not None:
            closed_wall_ms = round((self._wall_s() - (self._clock() - claim.closed_s)) * 1000)
        return SavedClaim(claim.token_hash, claim.session, claim.channels, claim.connection, closed_wall_ms)


def _save(connection: Connection, rows: list[SavedClaim], over_ms: int, forgotten: list[str]) -> None:
    if rows:
        put_claims(connection, rows)
    delete_claims(connection, over_ms, forgotten)
