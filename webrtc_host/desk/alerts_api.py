"""`/api/alerts`: the alerts, their acknowledgement, and the rules that raise them.

Only the routes; `webrtc_host.alerts` has the rules and raises the alerts.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from typing import Any, Literal

from aiohttp import web
from pydantic import Field
from sqlalchemy import Row

from webrtc_host.alerts.rules import RuleList, RulesError, as_dict, parse, version_of, warnings_of
from webrtc_host.alerts.rules_file import RulesConflict
from webrtc_host.alerts.service import AlertService
from webrtc_host.desk.list_mistakes import mistakes_response
from webrtc_host.desk.session_view import wall_of
from webrtc_host.errors import RequestError
from webrtc_host.http.audit import DETAIL, token_name
from webrtc_host.http.requests import Query, read_query
from webrtc_host.http.responses import Response
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import json_response
from webrtc_host.http.versions import IfMatch, etag
from webrtc_host.seams import AlertCause, AlertLevel
from webrtc_host.transcript import alerts as rows
from webrtc_host.transcript.store import Store

logger = logging.getLogger(__name__)

ALERTS = "/api/alerts"
_IF_MATCH = IfMatch("[0-9a-f]{16}", "give the ETag of GET /api/alerts/rules", "rules_changed", 412)
_BEFORE = re.compile(r"([0-9]{1,16})_(a_[0-9a-f]{1,32})")


class AlertsQuery(Query):
    state: Literal["open", "all"] = Field("open", description="open: no operator has acknowledged them")
    session: str | None = Field(None, max_length=64, description="default: all sessions")
    before: str | None = Field(None, max_length=64, description="`next_before` of the previous page")
    limit: int = Field(100, ge=1, le=500, description="alerts on a page")


class AlertEntry(Response):
    alert: str
    session: str
    channel: str
    rule: str = Field(description="name of the rule")
    cause: AlertCause
    level: AlertLevel
    state: Literal["provisional", "open", "withdrawn", "acknowledged"]
    is_escalated: bool
    matched: str | None = Field(description="the words; null: the cause is not in the text")
    utterance: str | None
    segment: str | None = Field(description="the line with the words")
    text: str | None = Field(description="the present text of that line")
    start_ms: int
    end_ms: int
    raised_wall: str
    done_wall: str | None = Field(description="when it was acknowledged or withdrawn")
    by: str | None = Field(description="who acknowledged it")


class AlertsResponse(Response):
    alerts: list[AlertEntry] = Field(description="newest first")
    next_before: str | None = Field(description="`before` of the next page; null: the last page")


class RuleWarning(Response):
    rule: str
    message: str


class RulesResponse(RuleList):
    version: str = Field(description="of this list, for If-Match")
    warnings: list[RuleWarning] = []
    trouble: str | None = Field(None, description="why the file is not in use; left out when it is")


class RulesBody(RuleList):
    version: str | None = Field(None, description="ignored, as `warnings` and `trouble`: those of a GET")
    warnings: list[RuleWarning] = []
    trouble: str | None = None


class AlertsApi:
    def __init__(self, service: AlertService, store: Store) -> None:
        self._service = service
        self._store = store

    @Route(
        "GET",
        ALERTS,
        Role.VIEWER,
        "Alerts, newest first",
        query=AlertsQuery,
        response=AlertsResponse,
    )
    async def list(self, request: web.Request) -> web.Response:
        query = read_query(request, AlertsQuery)
        before = _position(query.before)
        found = await self._store.read(
            lambda c: rows.page(c, query.state, query.session, before, query.limit + 1)
        )
        shown = found[: query.limit]
        next_before = f"{shown[-1].raised_wall_ms}_{shown[-1].id}" if len(found) > query.limit else None
        return json_response({"alerts": [_entry(row) for row in shown], "next_before": next_before})

    @Route(
        "POST",
        ALERTS + "/{alert}/acknowledge",
        Role.OPERATOR,
        "Acknowledge an alert",
        audit="acknowledged alert",
        response=AlertEntry,
        errors=(404,),
    )
    async def acknowledge(self, request: web.Request) -> web.Response:
        """Of two operators, the first one acknowledges; the second one gets the same response, with the name
        of the first.
        """
        alert = request.match_info["alert"][:64]
        request[DETAIL] = alert
        return json_response(_entry(await self._service.acknowledge(alert, token_name(request) or "anyone")))

    @Route(
        "GET",
        ALERTS + "/rules",
        Role.VIEWER,
        "The alert rules in use",
        response=RulesResponse,
    )
    async def rules(self, request: web.Request) -> web.Response:
        """The header ETag has the version, for the If-Match of a PUT."""
        read_query(request, Query)
        return self._rules()

    @Route(
        "PUT",
        ALERTS + "/rules",
        Role.SUPERVISOR,
        "Replace the alert rules",
        audit="changed alert rules",
        body=RulesBody,
        response=RulesResponse,
        errors=(412, 422, 503),
    )
    async def replace(self, request: web.Request) -> web.Response:
        """With the header If-Match, which has the ETag of a GET, the change is refused with 412 when the
        rules have changed since. The body may be the response of a GET. `warnings` names rules that will
        alert more often than a person wants.
        """
        try:
            new = await read_rules(request)
        except RulesError as error:
            return refused(error)
        base = _IF_MATCH.version_of(request)
        try:
            await asyncio.to_thread(self._service.rules.replace, new, base)
        except RulesConflict as error:
            raise RequestError("rules_changed", str(error), 412) from error
        except OSError as error:
            logger.error("the alert rules cannot be written: %s", error)
            message = f"the rules cannot be written to disk ({error.strerror}); the old ones stay in use"
            raise RequestError("rules_not_written", message, 503, retry_after_s=10) from error
        await self._service.refresh()
        request[DETAIL] = f"version={version_of(new)} rules={len(new.rules)}"
        return self._rules()

    def _rules(self) -> web.Response:
        found = self._service.rules.current
        body: dict[str, Any] = {
            "groups": [],
            "rules": [],
            **as_dict(found),
            "version": version_of(found),
            "warnings": [{"rule": one.rule, "message": one.message} for one in warnings_of(found)],
        }
        if (trouble := self._service.rules.trouble) is not None:
            body["trouble"] = trouble
        return json_response(body, headers=etag(version_of(found)))


async def read_rules(request: web.Request) -> RuleList:
    """The list in the body, checked in a thread. Raises RulesError, RequestError 400 for no JSON."""
    try:
        body = json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise RequestError("bad_json", "the body is not JSON", 400) from error
    if isinstance(body, dict):
        for name in ("version", "warnings", "trouble"):
            body.pop(name, None)
    return await asyncio.to_thread(parse, body)


def refused(error: RulesError) -> web.Response:
    """The response to rules with mistakes, with all of them."""
    return mistakes_response("bad_rules", str(error), error.mistakes)


def _position(before: str | None) -> tuple[int, str] | None:
    if before is None:
        return None
    found = _BEFORE.fullmatch(before)
    if found is None:
        message = "`before` is not the `next_before` of a page; leave it out to begin with the newest alerts"
        raise RequestError("bad_before", message, 400)
    return int(found[1]), found[2]


def _entry(row: Row[Any]) -> dict[str, Any]:
    return {
        "alert": row.id,
        "session": row.session,
        "channel": row.channel,
        "rule": row.rule,
        "cause": row.cause,
        "level": row.level,
        "state": row.state,
        "is_escalated": row.is_escalated,
        "matched": row.matched,
        "utterance": row.utterance,
        "segment": row.segment,
        "text": row.text,
        "start_ms": row.start_ms,
        "end_ms": row.end_ms,
        "raised_wall": wall_of(row.raised_wall_ms),
        "done_wall": None if row.done_wall_ms is None else wall_of(row.done_wall_ms),
        "by": row.who,
    }
