"""The audit: who exported, removed, ended or listened, in the log and in the record.

Owns the writing of lines and the route that reads them. Which calls leave one is `roles.AUDITED`. Invariant:
no line holds a token or a word of what was said; a record that cannot be written costs no line of the log.
"""

from __future__ import annotations

import logging
import time
from typing import Protocol

from aiohttp import web
from sqlalchemy import Connection

from webrtc_host.desk.auth import GATE
from webrtc_host.desk.roles import ANYONE, AUDITED, CALLER, route_of
from webrtc_host.errors import StoreError
from webrtc_host.transcript import records
from webrtc_host.transcript.records import AuditLine
from webrtc_host.transcript.store import Work

logger = logging.getLogger(__name__)

OUTCOME: web.RequestKey[str] = web.RequestKey("outcome", str)
"""How it ended, where that is not how it should."""


class Writes(Protocol):
    """The store, as the audit needs it."""

    async def write(self, work: Work[None]) -> None: ...


class Audit:
    def __init__(self, store: Writes) -> None:
        self._store = store
        self.unwritten = 0

    async def note(self, request: web.Request) -> None:
        """Leave a line for this call, when calls of its route leave one."""
        route = route_of(request)
        action = AUDITED.get(route) if route else None
        if action is None:
            return
        caller = request.get(CALLER, ANYONE)
        match = request.match_info
        what = (route[1] if route else "").rpartition("/")[2]
        said = ("" if "{" in what else what, _asked(request), request.get(OUTCOME, ""))
        detail = " ".join(part for part in said if part)
        line = AuditLine(
            who=caller.name,
            remote=request.app[GATE].remote(request),
            action=action,
            session=_cut(match.get("session")),
            channel=_cut(match.get("channel") or match.get("segment")),
            detail=detail[:400] or None,
        )
        logger.info(
            "audit: %s (%s) from %s %s session=%s %s: %s",
            *(line.who, caller.role.value, line.remote, line.action),
            *(line.session or "-", line.channel or "-", line.detail or "-"),
        )
        wall_ms = int(time.time() * 1000)

        def write(connection: Connection) -> None:
            records.write_audit(connection, wall_ms, line)

        try:
            await self._store.write(write)
        except StoreError as error:
            self.unwritten += 1
            logger.warning("the line of the audit above is in this log alone: %s", error)


AUDIT = web.AppKey("audit", Audit)


def _asked(request: web.Request) -> str:
    """What of it, from the query: never the token."""
    known = ("channel", "from_ms", "to_ms", "clock")
    return " ".join(f"{name}={_cut(request.query[name])!r}" for name in known if name in request.query)


def _cut(text: str | None) -> str | None:
    return None if text is None else text[:64].encode(errors="replace").decode()
