"""The doors of AssemblyAI's clients: `/v3/ws`, live, and `/v3/token`, for keys that a page may have.

`assemblyai_live.py` is the codec. docs/reference/clients.md says what the clients get for what this server
cannot do.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import replace

from aiohttp import web

from webrtc_host.errors import RequestError
from webrtc_host.http.auth import GATE
from webrtc_host.http.keys import KeyPlaces
from webrtc_host.http.roles import ANYONE, CALLER, Caller, Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import error_response, json_response
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.wires.assemblyai_live import AssemblyAiLive
from webrtc_host.wires.assemblyai_options import inactivity_of, options_of, whole
from webrtc_host.wires.door import check_caller, converse, opened_headers
from webrtc_host.wires.query import Query
from webrtc_host.wires.short_keys import ShortKeys
from webrtc_host.wires.site import Site, Traits

KEYS = KeyPlaces(schemes=("", "bearer"), query=("token",))
TRAITS = Traits(DoorKind.ASSEMBLYAI, joins_frames=True)
EXPIRES_S_MAX = 600
SESSION_S_MIN, SESSION_S_MAX = 60, 3 * 3600
"""The longest session, as a temporary token may limit it."""


class AssemblyAiDoor:
    def __init__(self, site: Site, model: Callable[[], str]) -> None:
        """model: the name of the engine's model."""
        self._site = site
        self._model = model
        self._tokens: ShortKeys[int] = ShortKeys("aai_", "temporary token", time.time)
        """Their settings: the longest session in seconds."""

    @Route(
        "GET",
        "/v3/ws",
        Role.OPERATOR,
        "Live audio from clients of AssemblyAI's streaming v3",
        is_websocket=True,
        checks_key=True,
    )
    async def listen(self, request: web.Request) -> web.StreamResponse:
        query = Query(request.query.items())

        def codec() -> AssemblyAiLive:
            token = self._tokens.find(KEYS.key_in(request.headers, request.query))
            longest_s = SESSION_S_MAX if token is None else token.settings
            return AssemblyAiLive(options_of(query), str(uuid.uuid4()), longest_s, time.time, self._model())

        try:
            traits = replace(TRAITS, idle_s=inactivity_of(query))
        except RequestError:
            traits = TRAITS  # the codec refuses the value, after the key is checked
        return await converse(
            *(self._site, traits, request, codec),
            keys=KEYS,
            refuse=lambda error: error_response(error, request),
            headers=lambda made: opened_headers(made.opened),
            check=self._check,
        )

    @Route(
        "GET",
        "/v3/token",
        Role.OPERATOR,
        "A short-lived key for a page that uses AssemblyAI's streaming v3",
        audit="made temporary token",
        checks_key=True,
        errors=(429,),
        allow_head=False,
    )
    async def make_token(self, request: web.Request) -> web.Response:
        check_caller(request, KEYS)  # a token of the server: a temporary one cannot make another one
        query = Query(request.query.items())
        seconds = whole(query, "expires_in_seconds", 1, EXPIRES_S_MAX)
        longest_s = whole(query, "max_session_duration_seconds", SESSION_S_MIN, SESSION_S_MAX, SESSION_S_MAX)
        creator: Caller = request.get(CALLER, ANYONE)
        value, _ = self._tokens.make(creator, longest_s, seconds)
        return json_response({"token": value, "expires_in_seconds": seconds})

    def _check(self, request: web.Request) -> None:
        """Check a token of the server, or a temporary one. Raises RequestError 401, 403, 429."""
        token = self._tokens.find(KEYS.key_in(request.headers, request.query))
        if token is None:
            check_caller(request, KEYS)
        else:
            request.app[GATE].accept(request, token.caller)
