"""The audit: lines that say who sent, exported, removed or listened to what, in the log and in the record.

This module writes the lines; `desk.records_api` reads them. A request whose route declares an action
(`Route.audit`) writes its line when it ends. A feed writes its line when it begins (`note_feed`).
Invariants: no line holds a token or transcribed text; when the record cannot be written, the log still has
the line.
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
from webrtc_host.http.roles import ANYONE, CALLER, Role
from webrtc_host.http.routes import route_of
from webrtc_host.transcript import records
from webrtc_host.transcript.records import AuditLine
from webrtc_host.transcript.store import Work

logger = logging.getLogger(__name__)

T = TypeVar("T")

DETAIL: web.RequestKey[str] = web.RequestKey("audit_detail", str)
"""What a handler adds to the line of its request."""
OUTCOME: web.RequestKey[str] = web.RequestKey("outcome", str)
"""How the response ended, when it did not end in the normal way."""
BROKEN_OFF = "broken off"
SERVER = "server"
"""The name in a line for something that no request caused."""
BEGUN = "begun"
"""The outcome of a response that is still being sent, or that was being sent when the server was killed."""
_LINE: web.RequestKey[int | None] = web.RequestKey("audit_line", int)
"""The number of the line of a response that has begun; None when the record could not be written."""


class Writes(Protocol):
    """The part of the store that the audit uses."""

    async def write(self, work: Work[T]) -> T: ...


class Audit:
    def __init__(self, store: Writes) -> None:
        self._store = store
        self._writing: set[asyncio.Task[int | None]] = set()

    async def begin(self, request: web.Request) -> None:
        """Write a line before the first byte of a response that is sent in pieces."""
        if _LINE not in request and _action_of(request) is not None:
            request[_LINE] = await self._write(_role_of(request), _line_of(request, BEGUN))

    async def note(self, request: web.Request) -> None:
        """Write the line of this request, if its route declares an action; after `begin`, add the outcome."""
        outcome = request.get(OUTCOME, "")
        if _LINE not in request:
            if _action_of(request) is not None:
                await self._write(_role_of(request), _line_of(request, outcome))
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
        """Write a line without waiting for the disk, so that incoming audio does not wait."""
        caller, remote = request.get(CALLER, ANYONE), request.app[GATE].remote(request)
        line = AuditLine(
            caller.name, remote, action, _cut(session), _cut(channel) or None, detail[:400] or None
        )
        self.write_soon(line, caller.role.value)

    def write_soon(self, line: AuditLine, role: str) -> None:
        """Write a line without waiting. role: of the caller, for the log."""
        task = asyncio.create_task(self._write(role, line), name="audit")
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def note_own(self, action: str, detail: str) -> None:
        """Write a line for something that the server does without a request."""
        line = AuditLine(SERVER, "-", action, None, None, detail[:400])
        logger.info("audit: %s %s: %s", SERVER, action, detail)
        wall_ms = int(time.time() * 1000)
        await self._store_or_warn(lambda connection: records.write_audit(connection, wall_ms, line))

    async def _write(self, role: str, line: AuditLine) -> int | None:
        """The number of the new line; None when only the log has it."""
        logger.info(
            "audit: %s (%s) from %s %s session=%s %s: %s",
            *(line.who, role, line.remote, line.action),
            *(line.session or "-", line.channel or "-", line.detail or "-"),
        )
        wall_ms = int(time.time() * 1000)
        return await self._store_or_warn(lambda connection: records.write_audit(connection, wall_ms, line))

    async def _store_or_warn(self, write: Work[T]) -> T | None:
        try:
            return await self._store.write(write)
        except StoreError as error:
            logger.warning("the audit line above is only in this log, not in the record: %s", error)
            return None


def _role_of(request: web.Request) -> str:
    role: Role = request.get(CALLER, ANYONE).role
    return role.value


def _action_of(request: web.Request) -> str | None:
    route = route_of(request)
    return route.audit if route else None


def _line_of(request: web.Request, outcome: str) -> AuditLine:
    route, match = route_of(request), request.match_info
    what = (route.path if route else "").rpartition("/")[2]
    details = ("" if "{" in what else what, _range_of(request), request.get(DETAIL, ""), outcome)
    return AuditLine(
        who=request.get(CALLER, ANYONE).name,
        remote=request.app[GATE].remote(request),
        action=_action_of(request) or "",
        session=_cut(match.get("session")),
        channel=_cut(match.get("channel") or match.get("segment")),
        detail=" ".join(part for part in details if part)[:400] or None,
    )


AUDIT = web.AppKey("audit", Audit)


def token_name(request: web.Request) -> str | None:
    """The name of the caller's token; None on a server without tokens."""
    caller = request.get(CALLER, ANYONE)
    return None if caller is ANYONE else caller.name


def note_feed(request: web.Request, action: str, session: str, channels: Sequence[str], detail: str) -> None:
    """Write a line for a request that sends audio, or makes a session for it, when the feed begins."""
    if (audit := request.app.get(AUDIT)) is not None:
        audit.note_soon(request, action, session, ",".join(channels), detail)


def _range_of(request: web.Request) -> str:
    """Which part of the session the query names. Never the token."""
    known = ("channel", "from_ms", "to_ms", "clock")
    return " ".join(f"{name}={_cut(request.query[name])!r}" for name in known if name in request.query)


def _cut(text: str | None) -> str | None:
    return None if text is None else text[:64].encode(errors="replace").decode()
