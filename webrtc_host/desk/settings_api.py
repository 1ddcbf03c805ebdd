"""`/api/me/settings`: what a user chose on the pages, the same on each machine.

A user is a token of the configuration; its name is the name of the user. The pages own the content; the
server checks only its size. Invariant: a change that is based on an older version is refused, so nothing is
lost unseen.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from aiohttp import web
from pydantic import Field
from sqlalchemy import Connection

from webrtc_host.errors import RequestError
from webrtc_host.http.requests import Body, Query, read_body, read_query
from webrtc_host.http.responses import Response
from webrtc_host.http.roles import ANYONE, CALLER, Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import json_response
from webrtc_host.http.versions import COUNTED, IfMatch, etag
from webrtc_host.transcript import user_settings as rows
from webrtc_host.transcript.store import Store

PATH = "/api/me/settings"
BYTES_MAX = 32_768
"""Of one user's settings as JSON. The settings of a desk with 64 channels take about 10 kB."""
USERS_MAX = 1000
"""The settings of further users replace those that were changed longest ago."""
_IF_MATCH = IfMatch(COUNTED, 'give the ETag of GET /api/me/settings, such as "3"', "bad_field", 400)


class SettingsBody(Body):
    settings: dict[str, Any] = Field(description="by the name of a part of the pages; 32768 bytes at most")


class SettingsResponse(Response):
    user: str | None = Field(description="the name of the token; null: no user, so nothing is stored")
    version: int = Field(description="0: nothing was stored yet")
    settings: dict[str, Any]


class SettingsApi:
    def __init__(self, store: Store, *, wall_s: Callable[[], float] = time.time) -> None:
        """wall_s: seconds since 1970."""
        self._store, self._wall_s = store, wall_s

    @Route("GET", PATH, Role.VIEWER, "The caller's own settings of the pages", response=SettingsResponse)
    async def show(self, request: web.Request) -> web.Response:
        """The header ETag names the version, for the If-Match of a PUT."""
        read_query(request, Query)
        user = user_of(request)
        row = None if user is None else await self._store.read(lambda c: rows.find(c, user))
        return _response(user, row.version if row else 0, json.loads(row.body) if row else {})

    @Route(
        "PUT",
        PATH,
        Role.VIEWER,
        "Replace the caller's own settings of the pages",
        body=SettingsBody,
        response=SettingsResponse,
        errors=(409, 412, 413, 422),
    )
    async def replace(self, request: web.Request) -> web.Response:
        """Without the header If-Match the last change wins; with it, 412 after a change of another screen."""
        user, base = user_of(request), _IF_MATCH.number_of(request)
        if user is None:
            message = "this server has no tokens, or this is a link; settings are stored for a named token"
            raise RequestError("no_user", message, 409)
        settings = (await read_body(request, SettingsBody)).settings
        body, now_ms = _as_json(settings), round(self._wall_s() * 1000)

        def change(connection: Connection) -> int:
            row = rows.find(connection, user)
            version = row.version if row else 0
            if base is not None and base != version:
                message = f"the settings were changed on another screen (version {version}); read them again"
                raise RequestError("settings_changed", message, 412)
            rows.put(connection, user, version + 1, now_ms, body)
            rows.forget_oldest(connection, USERS_MAX)
            return int(version) + 1

        return _response(user, await self._store.write(change), settings)


def user_of(request: web.Request) -> str | None:
    """The name of the caller's token. None: the server has no tokens, or the token is a link."""
    caller = request.get(CALLER, ANYONE)
    return None if caller is ANYONE or caller.is_link else caller.name


def _response(user: str | None, version: int, settings: dict[str, Any]) -> web.Response:
    body = {"user": user, "version": version, "settings": settings}
    return json_response(body, headers={**etag(version), "Cache-Control": "no-store"})


def _as_json(settings: dict[str, Any]) -> str:
    """ASCII, because PostgreSQL cannot store every character of JSON as text."""
    try:
        text = json.dumps(settings, separators=(",", ":"), allow_nan=False)
    except ValueError as error:
        raise RequestError(
            "bad_field", "settings: numbers must be finite (no NaN, no Infinity)", 422
        ) from error
    except RecursionError as error:
        raise RequestError("bad_field", "settings: objects are nested too deep", 422) from error
    if len(text) > BYTES_MAX:
        message = f"settings take {len(text)} bytes as JSON; the limit is {BYTES_MAX}"
        raise RequestError("too_large", message, 413)
    return text
