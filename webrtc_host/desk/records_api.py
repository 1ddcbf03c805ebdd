"""The HTTP interface to the record: sessions, their finals, coverage and statistics, and the audit.

The routes `/api/sessions...` and `/api/audit`. Running sessions come from the registry, everything else comes
from the store. Invariants: a session has the same response while it runs and years later; an id from a caller
is only looked up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web
from pydantic import Field
from sqlalchemy import Connection, Row

from webrtc_host.archive.archive import Archive
from webrtc_host.errors import Overloaded, RequestError, StoreError
from webrtc_host.http import responses
from webrtc_host.http.auth import GATE
from webrtc_host.http.requests import (
    Body,
    Name,
    Query,
    RangeQuery,
    Whole,
    check_range,
    read_body,
    read_query,
)
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import json_response
from webrtc_host.seams import CoverageState
from webrtc_host.session.registry import Session, SessionRegistry
from webrtc_host.transcript import records
from webrtc_host.transcript.coverage import CoverageRun
from webrtc_host.transcript.event_codec import iso_ms
from webrtc_host.transcript.records import Span
from webrtc_host.transcript.store import Store

logger = logging.getLogger(__name__)

SESSION = "/api/sessions/{session}"

SEGMENTS_PER_PAGE = 1000
RUNS_MAX = 50_000
EPOCH = datetime.fromtimestamp(0, UTC)


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


@dataclass(frozen=True, slots=True)
class Known:
    """A session as the registry has it, as the record has it, or both."""

    live: Session | None
    row: Row[Any] | None  # at least one of the two is not None

    @property
    def id(self) -> str:
        return self.live.id if self.live is not None else str(self._row.id)

    @property
    def name(self) -> str:
        return self.live.name if self.live is not None else str(self._row.name)

    @property
    def t0_wall_ms(self) -> int:
        if self.live is not None:
            return (self.live.started_wall - EPOCH) // timedelta(milliseconds=1)
        return int(self._row.t0_wall_ms)

    @property
    def is_ended(self) -> bool:
        return self.live.is_ended if self.live is not None else self._row.ended_wall_ms is not None

    @property
    def head_seq(self) -> int:
        return self.live.log.head_seq if self.live is not None else int(self._row.head_seq)

    @property
    def _row(self) -> Row[Any]:
        assert self.row is not None
        return self.row


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
        bodies = [body_of(Known(self._live(row.id), row), channels.get(row.id, ())) for row in shown]
        if before is None:
            kept = {row.id for row in rows}
            bodies[:0] = [body_of(Known(s, None), ()) for s in self._registry if _is_unsaved(s, kept)]
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
        return json_response(await self._body(await self._known(request)))

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
        known = await self._known(request)
        if change.is_held is not None:
            request.app[GATE].check_role(request, Role.SUPERVISOR)
        await self._store.write(lambda c: _change(c, known.id, change))
        if known.live is not None and change.name is not None:
            known.live.name = change.name
        return json_response(await self._body(Known(known.live, await self.row(known.id))))

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
        known = await self._known(request)
        if known.live is not None and not known.live.is_ended:
            message = f"session {known.id} is still running; end it first (POST /api/sessions/{known.id}/end)"
            raise RequestError("session_live", message, 409)
        if await self._store.read(lambda c: records.is_held(c, known.id)):
            message = f"session {known.id} is under a hold; lift it first (PATCH with is_held false)"
            raise RequestError("session_held", message, 409)
        if self._archive is not None:
            await asyncio.to_thread(self._archive.remove, known.id)
        await self._store.write(lambda c: records.remove(c, known.id))
        self._registry.forget(known.id)
        logger.info("session %s removed", known.id)
        return json_response({"session": known.id, "is_removed": True})

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
        known = await self._known(request)
        if known.live is None:
            return json_response({"session": known.id, "final_seq": known.head_seq})
        return json_response({"session": known.id, "final_seq": await self._registry.end(known.live)})

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
        known = await self._known(request)
        span = span_of(known.id, query)
        page = await self._store.read(lambda c: records.segment_page(c, span, query.after, SEGMENTS_PER_PAGE))
        next_after = page[-1][0] if len(page) == SEGMENTS_PER_PAGE else None
        # The record has the JSON of each event, so it is joined and not encoded again.
        found = b",".join(data.encode() for _, data in page)
        head = b'{"session":"%b","segments":[' % known.id.encode()
        tail = b'],"next_after":%b}' % (b"null" if next_after is None else b"%d" % next_after)
        response = web.Response(body=b"".join((head, found, tail)), content_type="application/json")
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
        known = await self._known(request)
        span = span_of(known.id, query)
        ledgers = await self._stored_ledgers(span)
        if known.live is not None:
            ledgers |= _live_ledgers(known.live, span)
        is_truncated = any(len(ledger.runs) > RUNS_MAX for ledger in ledgers.values())
        return json_response(
            {
                "session": known.id,
                "now_ms": _now_ms(known),
                "is_truncated": is_truncated,
                "channels": [ledger.body() for _, ledger in sorted(ledgers.items())],
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
        known = await self._known(request)
        figures = await self._store.read(lambda c: records.statistics(c, known.id))
        return json_response({"session": known.id, "channels": figures})

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
        lines = [{**row._asdict(), "wall": _wall(row.wall_ms)} for row in shown]
        for line in lines:
            del line["wall_ms"]
        next_before = shown[-1].id if len(rows) > query.limit else None
        return json_response({"lines": lines, "next_before": next_before})

    async def row(self, session_id: str) -> Row[Any] | None:
        return await self._store.read(lambda c: records.session(c, storable(session_id)))

    async def _stored_ledgers(self, span: Span) -> dict[str, Ledger]:
        # Runs first: a channel whose first run is written between the two reads has no extent yet.
        rows = await self._store.read(lambda c: records.coverage_runs(c, span, RUNS_MAX + 1))
        ends = await self._store.read(lambda c: records.extents(c, Span(span.session, span.channels)))
        ledgers = {channel: Ledger(channel, low, high, []) for channel, low, high in ends}
        for row in rows:
            low, high = max(row.from_ms, span.from_ms), min(row.to_ms, _end(span, row.to_ms))
            if low < high and row.channel in ledgers:  # else its session was removed meanwhile
                run = CoverageRun(low, high, CoverageState(row.state), row.reason)
                ledgers[row.channel].runs.append(run)
        return ledgers

    async def _known(self, request: web.Request) -> Known:
        return await known_session(self._registry, self._store, request.match_info["session"])

    async def _body(self, known: Known) -> dict[str, Any]:
        channels = await self._store.read(lambda c: records.channels_of(c, [known.id]))
        return body_of(known, channels.get(known.id, ()))

    def _live(self, session_id: str) -> Session | None:
        return next((s for s in self._registry if s.id == session_id), None)


async def known_session(registry: SessionRegistry, store: Store, session_id: str) -> Known:
    """Raises RequestError 404."""
    live = next((s for s in registry if s.id == session_id), None)
    try:
        row = await store.read(lambda c: records.session(c, storable(session_id)))
    except (StoreError, Overloaded):
        if live is None:
            raise
        row = None
    if live is None and row is None:
        raise unknown(session_id)
    return Known(live, row)


def unknown(session_id: str) -> RequestError:
    return RequestError("unknown_session", f"there is no session {session_id[:40]!r}", 404)


def storable(text: str) -> str:
    """An id as a database can look for it: no lone surrogate, no NUL."""
    return text[:100].encode(errors="replace").decode().replace("\0", "\ufffd")


def span_of(session_id: str, query: RangeQuery) -> Span:
    """Raises RequestError 422 for a range that ends before it begins."""
    check_range(query.from_ms, query.to_ms)
    return Span(session_id, query.channel, query.from_ms, query.to_ms)


def body_of(known: Known, kept: Sequence[Row[Any]]) -> dict[str, Any]:
    row = known.row
    return {
        "session": known.id,
        "name": known.name,
        "t0_wall": _wall(known.t0_wall_ms),
        "now_ms": _now_ms(known),
        "is_ended": known.is_ended,
        "ended_wall": _wall(row.ended_wall_ms) if row is not None and row.ended_wall_ms is not None else None,
        "is_held": bool(row is not None and row.is_held),
        "head_seq": known.head_seq,
        "channels": _channels(known.live, kept),
    }


def _channels(live: Session | None, kept: Sequence[Row[Any]]) -> list[dict[str, Any]]:
    known: dict[str, dict[str, Any]] = {
        row.channel: {
            "channel": row.channel,
            "label": row.label,
            "language": row.language,
            "state": None,
            "connection": None,
        }
        for row in kept
    }
    for channel in live.channels.values() if live is not None else ():
        known[channel.id] = {
            "channel": channel.id,
            "label": channel.label,
            "language": channel.language,
            "state": channel.state.value if channel.state else None,
            "connection": channel.connection.id if channel.connection else None,
        }
    return [body for _, body in sorted(known.items())]


def _now_ms(known: Known) -> int:
    row = known.row
    if row is not None and row.ended_wall_ms is not None:
        return max(0, int(row.ended_wall_ms - row.t0_wall_ms))
    if known.live is not None:
        return known.live.now_ms()
    return int(row.alive_ms) if row is not None else 0


@dataclass(frozen=True, slots=True)
class Ledger:
    """One channel's coverage, as far as it was asked for."""

    channel: str
    from_ms: int
    covered_to_ms: int
    runs: list[CoverageRun]

    def body(self) -> dict[str, Any]:
        totals: dict[str, int] = {}
        for run in self.runs[:RUNS_MAX]:
            totals[run.state.value] = totals.get(run.state.value, 0) + run.to_ms - run.from_ms
        return {
            "channel": self.channel,
            "from_ms": self.from_ms,
            "covered_to_ms": self.covered_to_ms,
            "totals_ms": totals,
            "runs": [
                {"from_ms": run.from_ms, "to_ms": run.to_ms, "state": run.state.value, "reason": run.reason}
                for run in self.runs[:RUNS_MAX]
            ],
        }


def _live_ledgers(session: Session, span: Span) -> dict[str, Ledger]:
    """What the keepers know, newer than what was told. Without a feed, it is `closed` or
    `lost` until now."""
    ledgers: dict[str, Ledger] = {}
    for channel in session.channels.values():
        keeper = channel.coverage
        if keeper.origin_ms is None or (span.channels is not None and channel.id not in span.channels):
            continue
        runs, covered_to_ms = keeper.runs(span.from_ms, span.to_ms), keeper.covered_to_ms
        if channel.connection is None and not session.is_ended and session.now_ms() > covered_to_ms:
            low, covered_to_ms = max(covered_to_ms, span.from_ms), session.now_ms()
            high = min(covered_to_ms, _end(span, covered_to_ms))
            if low < high:
                runs.append(CoverageRun(low, high, keeper.gap.state or CoverageState.LOST, keeper.gap.reason))
        ledgers[channel.id] = Ledger(channel.id, keeper.origin_ms, covered_to_ms, runs)
    return ledgers


def _end(span: Span, otherwise: int) -> int:
    return otherwise if span.to_ms is None else span.to_ms


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
    """It runs, and the record has not heard of it yet."""
    return session.id not in kept and session.log.saved_seq == 0


def _wall(wall_ms: int) -> str:
    return iso_ms(EPOCH + timedelta(milliseconds=wall_ms))
