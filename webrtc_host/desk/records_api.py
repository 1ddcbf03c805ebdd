"""The HTTP interface to the record: sessions, their finals, coverage and statistics, and the audit.

The routes `/api/sessions...` and `/api/audit`. Running sessions come from the registry, everything else comes
from the store. Invariants: a session has the same response while it runs and years later; an id from a caller
is only looked up.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from aiohttp import web
from pydantic import Field
from sqlalchemy import Connection, Row

from webrtc_host.archive.archive import Archive
from webrtc_host.desk.coverage_view import live_coverage, stored_coverage
from webrtc_host.desk.session_view import (
    FoundSession,
    body_of,
    find_session,
    span_of,
    storable,
    unknown,
    wall_of,
)
from webrtc_host.errors import RequestError
from webrtc_host.http import responses
from webrtc_host.http.auth import GATE
from webrtc_host.http.requests import (
    Body,
    Name,
    Query,
    RangeQuery,
    Whole,
    read_body,
    read_query,
)
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import json_response
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.session.session import Session
from webrtc_host.transcript import records
from webrtc_host.transcript.store import Store
from webrtc_host.transport.reception import RECEPTION

logger = logging.getLogger(__name__)

SESSION = "/api/sessions/{session}"

SEGMENTS_PER_PAGE = 1000


class SessionsQuery(Query):
    limit: int = Field(100, ge=1, le=500, description="sessions on a page")
    before: str | None = Field(None, max_length=64, description="the last session of the previous page")


class SegmentsQuery(RangeQuery):
    after: Whole = Field(0, description="`next_after` of the previous page")


class AuditQuery(Query):
    limit: int = Field(100, ge=1, le=500)
    before: Whole | None = Field(None, description="`next_before` of the previous page")


class SessionChange(Body):
    name: Name | None = None
    is_held: bool | None = Field(None, description="a hold: nothing is removed; needs the role supervisor")


class RecordsApi:
    def __init__(self, registry: SessionRegistry, store: Store, archive: Archive | None) -> None:
        """archive: the audio of a removed session is removed from it; None: no audio is kept."""
        self._registry = registry
        self._store = store
        self._archive = archive

    @Route(
        "GET",
        "/api/sessions",
        Role.VIEWER,
        "Sessions, newest first",
        query=SessionsQuery,
        response=responses.SessionsResponse,
        errors=(404,),
    )
    async def list(self, request: web.Request) -> web.Response:
        query = read_query(request, SessionsQuery)
        before = None
        if query.before is not None:
            row = await self.row(query.before)
            if row is None:
                raise unknown(query.before)
            before = (row.t0_wall_ms, row.id)
        rows, channels = await self._store.read(lambda c: _session_page(c, query.limit + 1, before))
        shown = rows[: query.limit]
        bodies = [body_of(FoundSession(self._live(row.id), row), channels.get(row.id, ())) for row in shown]
        if before is None:
            kept = {row.id for row in rows}
            bodies[:0] = [body_of(FoundSession(s, None), ()) for s in self._registry if _is_unsaved(s, kept)]
        next_before = shown[-1].id if len(rows) > query.limit else None
        return json_response({"sessions": bodies, "next_before": next_before})

    @Route(
        "GET",
        SESSION,
        Role.VIEWER,
        "One session",
        response=responses.SessionResponse,
        errors=(404,),
    )
    async def show(self, request: web.Request) -> web.Response:
        return json_response(await self._body(await self._find(request)))

    @Route(
        "PATCH",
        SESSION,
        Role.OPERATOR,
        "Rename a session, or set or lift its hold",
        audit="changed",
        body=SessionChange,
        response=responses.SessionResponse,
        errors=(404, 422),
    )
    async def change(self, request: web.Request) -> web.Response:
        change = await read_body(request, SessionChange)
        found = await self._find(request)
        if change.is_held is not None:
            request.app[GATE].check_role(request, Role.SUPERVISOR)
        await self._store.write(lambda c: _change(c, found.id, change))
        if found.live is not None and change.name is not None:
            found.live.rename(change.name)
        return json_response(await self._body(FoundSession(found.live, await self.row(found.id))))

    @Route(
        "DELETE",
        SESSION,
        Role.ADMIN,
        "Remove a session and its audio",
        audit="deleted",
        response=responses.SessionRemovedResponse,
        errors=(404, 409, 503),
    )
    async def remove(self, request: web.Request) -> web.Response:
        """Only a session that has ended and is under no hold.

        The audio goes first: when the removal is interrupted, the session is still in the record, and the
        request can be sent again.
        """
        found = await self._find(request)
        if found.live is not None and not found.live.is_ended:
            message = f"session {found.id} is still running; end it first (POST /api/sessions/{found.id}/end)"
            raise RequestError("session_live", message, 409)
        if await self._store.read(lambda c: records.is_held(c, found.id)):
            message = f"session {found.id} is under a hold; lift it first (PATCH with is_held false)"
            raise RequestError("session_held", message, 409)
        if self._archive is not None:
            await asyncio.to_thread(self._archive.remove, found.id)
        await self._store.write(lambda c: records.remove(c, found.id))
        self._registry.forget(found.id)
        logger.info("session %s removed", found.id)
        return json_response({"session": found.id, "is_removed": True})

    @Route(
        "POST",
        f"{SESSION}/end",
        Role.SUPERVISOR,
        "End a session, after its last words are transcribed",
        audit="ended",
        response=responses.SessionEndResponse,
        errors=(404,),
    )
    async def end(self, request: web.Request) -> web.Response:
        found = await self._find(request)
        if found.live is None:
            return json_response({"session": found.id, "final_seq": found.head_seq})
        return json_response({"session": found.id, "final_seq": await self._registry.end(found.live)})

    @Route(
        "GET",
        f"{SESSION}/segments",
        Role.VIEWER,
        "The finals of a session, in order",
        query=SegmentsQuery,
        response=responses.SegmentsResponse,
        errors=(404, 422),
    )
    async def segments(self, request: web.Request) -> web.Response:
        query = read_query(request, SegmentsQuery)
        found = await self._find(request)
        span = span_of(found.id, query)
        page = await self._store.read(lambda c: records.segment_page(c, span, query.after, SEGMENTS_PER_PAGE))
        next_after = page[-1][0] if len(page) == SEGMENTS_PER_PAGE else None
        # The record has the JSON of each event, so it is joined and not encoded again.
        segments = b",".join(data.encode() for _, data in page)
        head = b'{"session":"%b","segments":[' % found.id.encode()
        tail = b'],"next_after":%b}' % (b"null" if next_after is None else b"%d" % next_after)
        response = web.Response(body=b"".join((head, segments, tail)), content_type="application/json")
        response.headers["Cache-Control"] = "no-store"
        return response

    @Route(
        "GET",
        f"{SESSION}/coverage",
        Role.VIEWER,
        "The coverage: the state of every millisecond",
        query=RangeQuery,
        response=responses.CoverageResponse,
        errors=(404, 422),
    )
    async def coverage(self, request: web.Request) -> web.Response:
        query = read_query(request, RangeQuery)
        found = await self._find(request)
        span = span_of(found.id, query)
        channels = await stored_coverage(self._store, span)
        if found.live is not None:
            channels |= live_coverage(found.live, span)
        return json_response(
            {
                "session": found.id,
                "now_ms": found.now_ms,
                "is_truncated": any(one.is_truncated for one in channels.values()),
                "channels": [one.body() for _, one in sorted(channels.items())],
            }
        )

    @Route(
        "GET",
        f"{SESSION}/statistics",
        Role.VIEWER,
        "Amounts of text and coverage of each channel",
        response=responses.StatisticsResponse,
        errors=(404,),
    )
    async def statistics(self, request: web.Request) -> web.Response:
        found = await self._find(request)
        figures = await self._store.read(lambda c: records.statistics(c, found.id))
        by_channel = {one["channel"]: one for one in figures}
        for channel, reception in RECEPTION.by_channel(found.id).items():
            new = {"channel": channel, "segments": 0, "characters": 0, "text_ms": 0}
            by_channel.setdefault(channel, new)["reception"] = reception
        return json_response(
            {"session": found.id, "channels": [one for _, one in sorted(by_channel.items())]}
        )

    @Route(
        "GET",
        "/api/audit",
        Role.ADMIN,
        "The audit: who sent, exported, removed or listened to what",
        query=AuditQuery,
        response=responses.AuditResponse,
    )
    async def audit(self, request: web.Request) -> web.Response:
        query = read_query(request, AuditQuery)
        rows = await self._store.read(lambda c: records.audit_page(c, query.limit + 1, query.before))
        shown = rows[: query.limit]
        lines = [{**row._asdict(), "wall": wall_of(row.wall_ms)} for row in shown]
        for line in lines:
            del line["wall_ms"]
        next_before = shown[-1].id if len(rows) > query.limit else None
        return json_response({"lines": lines, "next_before": next_before})

    async def row(self, session_id: str) -> Row[Any] | None:
        return await self._store.read(lambda c: records.session(c, storable(session_id)))

    async def _find(self, request: web.Request) -> FoundSession:
        return await find_session(self._registry, self._store, request.match_info["session"])

    async def _body(self, found: FoundSession) -> dict[str, Any]:
        channels = await self._store.read(lambda c: records.channels_of(c, [found.id]))
        return body_of(found, channels.get(found.id, ()))

    def _live(self, session_id: str) -> Session | None:
        return next((s for s in self._registry if s.id == session_id), None)


def _session_page(
    connection: Connection, limit: int, before: tuple[int, str] | None
) -> tuple[records.Rows, dict[str, records.Rows]]:
    rows = records.session_page(connection, limit, before)
    return rows, records.channels_of(connection, [row.id for row in rows])


def _change(connection: Connection, session_id: str, change: SessionChange) -> None:
    if change.name is not None:
        records.rename(connection, session_id, change.name)
    if change.is_held is not None:
        records.hold(connection, session_id, change.is_held)


def _is_unsaved(session: Session, kept: set[str]) -> bool:
    """The session runs, and the record does not have it yet."""
    return session.id not in kept and session.log.saved_seq == 0
