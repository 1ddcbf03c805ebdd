"""Roles: what each of them may do, route by route, and which calls leave a line in the audit.

Owns the two tables. A route that stands in neither this table nor among those open to all is the
administrator's; a test wants every route named. Each role may do what the ones before it may.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from aiohttp import web


class Role(StrEnum):
    VIEWER = "viewer"  # reads text
    LISTENER = "listener"  # and hears sound
    OPERATOR = "operator"  # and brings sound in, names sessions
    SUPERVISOR = "supervisor"  # and changes the glossary, ends sessions
    ADMIN = "admin"  # and removes, and reads the audit

    @property
    def rank(self) -> int:
        return list(Role).index(self)

    def may(self, needed: Role) -> bool:
        return self.rank >= needed.rank


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: the name of the token, never the token."""

    name: str
    role: Role


ANYONE = Caller("anyone", Role.ADMIN)
"""Everybody, where no token is asked for."""

CALLER: web.RequestKey[Caller] = web.RequestKey("caller", Caller)

NEEDED: dict[tuple[str, str], Role] = {
    ("GET", "/ws"): Role.VIEWER,
    ("GET", "/events"): Role.VIEWER,
    ("GET", "/metrics"): Role.VIEWER,
    ("GET", "/api/openapi.json"): Role.VIEWER,
    ("GET", "/api/sessions"): Role.VIEWER,
    ("GET", "/api/sessions/{session}"): Role.VIEWER,
    ("GET", "/api/sessions/{session}/segments"): Role.VIEWER,
    ("GET", "/api/sessions/{session}/coverage"): Role.VIEWER,
    ("GET", "/api/sessions/{session}/statistics"): Role.VIEWER,
    ("GET", "/api/sessions/{session}/export.txt"): Role.VIEWER,
    ("GET", "/api/sessions/{session}/export.srt"): Role.VIEWER,
    ("GET", "/api/sessions/{session}/export.vtt"): Role.VIEWER,
    ("GET", "/api/sessions/{session}/export.csv"): Role.VIEWER,
    ("GET", "/api/sessions/{session}/export.jsonl"): Role.VIEWER,
    ("GET", "/api/search"): Role.VIEWER,
    ("GET", "/api/glossary"): Role.VIEWER,
    ("GET", "/api/glossary/prompt"): Role.VIEWER,
    ("GET", "/api/sessions/{session}/export.zip"): Role.LISTENER,
    ("GET", "/api/segments/{segment}/audio"): Role.LISTENER,
    ("GET", "/api/sessions/{session}/channels/{channel}/audio"): Role.LISTENER,
    ("GET", "/api/ice"): Role.OPERATOR,
    ("POST", "/offer"): Role.OPERATOR,
    ("GET", "/offer/{connection}"): Role.OPERATOR,
    ("DELETE", "/offer/{connection}"): Role.OPERATOR,
    ("POST", "/whip/{channel}"): Role.OPERATOR,
    ("GET", "/whip/{channel}"): Role.OPERATOR,
    ("PATCH", "/whip/{channel}/{publication}"): Role.OPERATOR,
    ("DELETE", "/whip/{channel}/{publication}"): Role.OPERATOR,
    ("GET", "/whip/{channel}/{publication}"): Role.OPERATOR,
    ("GET", "/ws/pcm/{channel}"): Role.OPERATOR,
    ("GET", "/ws/backfill/{channel}"): Role.OPERATOR,
    ("POST", "/sessions/create"): Role.OPERATOR,
    ("POST", "/push"): Role.OPERATOR,
    ("PATCH", "/api/sessions/{session}"): Role.OPERATOR,
    ("POST", "/api/sessions/{session}/end"): Role.SUPERVISOR,
    ("PUT", "/api/glossary"): Role.SUPERVISOR,
    ("PUT", "/api/sessions/{session}/channels/{channel}/hold"): Role.SUPERVISOR,
    ("DELETE", "/api/sessions/{session}"): Role.ADMIN,
    ("GET", "/api/audit"): Role.ADMIN,
}

AUDITED: dict[tuple[str, str], str] = {
    ("GET", "/api/sessions/{session}/export.txt"): "exported",
    ("GET", "/api/sessions/{session}/export.srt"): "exported",
    ("GET", "/api/sessions/{session}/export.vtt"): "exported",
    ("GET", "/api/sessions/{session}/export.csv"): "exported",
    ("GET", "/api/sessions/{session}/export.jsonl"): "exported",
    ("GET", "/api/sessions/{session}/export.zip"): "exported",
    ("GET", "/api/segments/{segment}/audio"): "listened",
    ("GET", "/api/sessions/{session}/channels/{channel}/audio"): "listened",
    ("PATCH", "/api/sessions/{session}"): "changed",
    ("POST", "/api/sessions/{session}/end"): "ended",
    ("PUT", "/api/glossary"): "changed glossary",
    ("PUT", "/api/sessions/{session}/channels/{channel}/hold"): "held or freed",
    ("DELETE", "/api/sessions/{session}"): "deleted",
}
"""What is done there, in the words of the audit."""


def route_of(request: web.BaseRequest) -> tuple[str, str] | None:
    """(method, path template) of the matched route; HEAD counts as GET. None: no route."""
    if not isinstance(request, web.Request):
        return None
    resource = request.match_info.route.resource
    if resource is None:
        return None
    return ("GET" if request.method == "HEAD" else request.method, resource.canonical)


def needed_for(request: web.BaseRequest) -> Role:
    route = route_of(request)
    return NEEDED.get(route, Role.ADMIN) if route else Role.VIEWER
