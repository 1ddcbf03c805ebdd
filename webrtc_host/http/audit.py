"""The audit: who brought audio in, exported, removed, ended or listened, in the log and in the record.

Owns the writing of lines and the route that reads them. Which calls leave one when they end is
`roles.AUDITED`; what brings audio in says so itself, when it begins (`note_feed`). Invariant: no line holds a
token or a word of what was said; a record that cannot be written costs no line of the log.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Protocol, TypeVar

from aiohttp import web
from sqlalchemy import Connection

from webrtc_host.errors import StoreError
from webrtc_host.http.auth import GATE
from webrtc_host.http.roles import ANYONE, AUDITED, CALLER, route_of
from webrtc_host.transcript import records
from webrtc_host.transcript.records import AuditLine
from webrtc_host.transcript.store import Work

logger = logging.getLogger(__name__)

T = TypeVar("T")

OUTCOME: web.RequestKey[str] = web.RequestKey("outcome", str)
"""How it ended, where that is not how it should."""
BROKEN_OFF = "broken off"
BEGUN = "begun"
"""Of an answer that is still being sent, or whose end nobody saw because the server was killed."""
_LINE: web.RequestKey[int | None] = web.RequestKey("audit_line", int)
"""Of an answer that has begun: the number of its line, None when the record could not be written."""


class Writes(Protocol):
    """The store, as the audit needs it."""

    async def write(self, work: Work[T]) -> T: ...


class Audit:
    def __init__(self, store: Writes) -> None:
        self._store = store
        self._writing: set[asyncio.Task[int | None]] = set()
        self.unwritten = 0

    async def begin(self, request: web.Request) -> None:
        """Leave a line before the first byte of an answer that is sent piece by piece."""
        if _LINE not in request and _action_of(request) is not None:
            request[_LINE] = await self._write(request, _line_of(request, BEGUN))

    async def note(self, request: web.Request) -> None:
        """Leave a line for this call, when calls of its route leave one; how it ended, when it had begun."""
        outcome = request.get(OUTCOME, "")
        if _LINE not in request:
            if _action_of(request) is not None:
                await self._write(request, _line_of(request, outcome))
            return
        line = _line_of(request, outcome)
        if outcome:
            logger.info("audit: %s of session=%s by %s: %s", line.action, line.session, line.who, outcome)
        number = request[_LINE]
        if number is None:
            return

        def write(connection: Connection) -> None:
            records.end_audit(connection, number, line.detail)

        await self._store_or_warn(write)

    def note_soon(self, request: web.Request, action: str, session: str, channel: str, detail: str) -> None:
        """Leave a line without waiting for the disk: audio that comes in waits for nothing."""
        who, remote = request.get(CALLER, ANYONE).name, request.app[GATE].remote(request)
        line = AuditLine(who, remote, action, _cut(session), _cut(channel) or None, detail[:400] or None)
        task = asyncio.create_task(self._write(request, line), name="audit")
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _write(self, request: web.Request, line: AuditLine) -> int | None:
        """The number of the new line; None when it is in the log alone."""
        logger.info(
            "audit: %s (%s) from %s %s session=%s %s: %s",
            *(line.who, request.get(CALLER, ANYONE).role.value, line.remote, line.action),
            *(line.session or "-", line.channel or "-", line.detail or "-"),
        )
        wall_ms = int(time.time() * 1000)
        return await self._store_or_warn(lambda connection: records.write_audit(connection, wall_ms, line))

    async def _store_or_warn(self, write: Work[T]) -> T | None:
        try:
            return await self._store.write(write)
        except StoreError as error:
            self.unwritten += 1
            logger.warning("the line of the audit above is in this log alone: %s", error)
            return None


def _action_of(request: web.Request) -> str | None:
    route = route_of(request)
    return AUDITED.get(route) if route else None


def _line_of(request: web.Request, outcome: str) -> AuditLine:
    route, match = route_of(request), request.match_info
    what = (route[1] if route else "").rpartition("/")[2]
    said = ("" if "{" in what else what, _asked(request), outcome)
    return AuditLine(
        who=request.get(CALLER, ANYONE).name,
        remote=request.app[GATE].remote(request),
        action=_action_of(request) or "",
        session=_cut(match.get("session")),
        channel=_cut(match.get("channel") or match.get("segment")),
        detail=" ".join(part for part in said if part)[:400] or None,
    )


AUDIT = web.AppKey("audit", Audit)


def token_name(request: web.Request) -> str | None:
    """The name of the caller's token; None where nobody is asked for one."""
    caller = request.get(CALLER, ANYONE)
    return None if caller is ANYONE else caller.name


def note_feed(request: web.Request, action: str, session: str, channels: Sequence[str], detail: str) -> None:
    """Leave a line for a call that brings audio in, or makes room for it, when it begins."""
    if (audit := request.app.get(AUDIT)) is not None:
        audit.note_soon(request, action, session, ",".join(channels), detail)


def _asked(request: web.Request) -> str:
    """What of it, from the query: never the token."""
    known = ("channel", "from_ms", "to_ms", "clock")
    return " ".join(f"{name}={_cut(request.query[name])!r}" for name in known if name in request.query)


def _cut(text: str | None) -> str | None:
    return None if text is None else text[:64].encode(errors="replace").decode()
