"""Resume tokens kept: what a client was given holds over a restart of the server.

Owns the way between the claims in memory and their rows in the record: read and taken up before callers come
in, written behind the doors' backs when they change. Nobody waits for it; while the record cannot be written
it is tried again, and a crash then costs clients their channels' names, no sound and no text.
Invariant: a token's time runs from the end of its connection by the wall clock, whatever was restarted.
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
from webrtc_host.transcript.resumes import KeptResume, forget_resumes, put_resumes, read_resumes

logger = logging.getLogger(__name__)

RETRY_S = 1.0
FORGET_S = 60.0
"""Those whose time is over are removed from the record as often."""


class ClaimChanges:
    """Claims that changed since they were last written. The doors tell it (`ResumeTokens`) and never wait."""

    def __init__(self) -> None:
        self._changed: dict[str, Claim] = {}
        self._forgotten: set[str] = set()
        self._is_due = asyncio.Event()

    def note(self, claim: Claim) -> None:
        self._changed[claim.token_hash] = claim
        self._is_due.set()

    def drop(self, claim: Claim) -> None:
        self._changed.pop(claim.token_hash, None)
        self._forgotten.add(claim.token_hash)
        self._is_due.set()

    async def wait(self) -> None:
        """Until there is something to write."""
        await self._is_due.wait()

    def take(self) -> tuple[dict[str, Claim], set[str]]:
        """All of it, by the token's hash: changed, and forgotten."""
        changed, forgotten = self._changed, self._forgotten
        self._changed, self._forgotten = {}, set()
        self._is_due.clear()
        return changed, forgotten

    def put_back(self, changed: dict[str, Claim], forgotten: set[str]) -> None:
        """It could not be written; what changed meanwhile is newer."""
        self._changed = changed | self._changed
        self._forgotten |= forgotten
        self._is_due.set()


class ResumeTokenService:
    """Made once for the process; `running` is a step of its life, after the record's."""

    def __init__(
        self,
        tokens: ResumeTokens,
        changes: ClaimChanges,
        record: RecordService,
        clock: Clock = time.monotonic,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        """changes: told by these tokens. clock: the tokens' own."""
        self._tokens, self._changes, self._record = tokens, changes, record
        self._clock, self._wall_s = clock, wall_s

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self._take_up()
        task = asyncio.create_task(self._run(), name="resume tokens")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait((task,))
            try:
                await self._write()
            except (StoreError, Overloaded) as error:
                logger.warning("resume tokens are not kept over this restart: %s", error)

    async def _take_up(self) -> None:
        """What stood when the server went away closed then."""
        kept = await self._record.store.read(read_resumes)
        down_wall_ms = self._record.former.down_from_wall_ms
        for one in kept:
            closed_wall_ms = one.closed_wall_ms
            is_new = closed_wall_ms is None
            if closed_wall_ms is None:
                closed_wall_ms = round(self._wall_s() * 1000) if down_wall_ms is None else down_wall_ms
            ago_s = max(0.0, self._wall_s() - closed_wall_ms / 1000)
            claim = Claim(
                one.token_hash, "", one.session, one.channels, one.connection, self._clock() - ago_s
            )
            self._tokens.take_up(claim)
            if is_new:
                self._changes.note(claim)

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FORGET_S):
                    await self._changes.wait()
            try:
                await self._write()
            except (StoreError, Overloaded) as error:
                logger.debug("resume tokens wait for the record: %s", error)
                await asyncio.sleep(RETRY_S)
            except Exception:
                logger.exception("resume tokens could not be written")
                await asyncio.sleep(RETRY_S)

    async def _write(self) -> None:
        """Bring the record up to date. Raises StoreError; then it is still to be done."""
        changed, forgotten = self._changes.take()
        rows = [self._kept(claim) for claim in changed.values()]
        over_ms = round((self._wall_s() - self._tokens.resume_s) * 1000)
        try:
            await self._record.store.write(
                partial(_bring_up_to_date, rows=rows, over_ms=over_ms, forgotten=sorted(forgotten))
            )
        except BaseException:
            self._changes.put_back(changed, forgotten)
            raise

    def _kept(self, claim: Claim) -> KeptResume:
        closed_wall_ms = None
        if claim.closed_s is not None:
            closed_wall_ms = round((self._wall_s() - (self._clock() - claim.closed_s)) * 1000)
        return KeptResume(claim.token_hash, claim.session, claim.channels, claim.connection, closed_wall_ms)


def _bring_up_to_date(
    connection: Connection, rows: list[KeptResume], over_ms: int, forgotten: list[str]
) -> None:
    if rows:
        put_resumes(connection, rows)
    forget_resumes(connection, over_ms, forgotten)
