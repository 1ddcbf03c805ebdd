"""The door of Vosk's clients: `/vosk` and `/vosk/{channel}`. `vosk.py` is the codec.

The stock clients cannot send a key; where the server needs one, it goes into the address (`?token=`).
"""

from __future__ import annotations

from aiohttp import web

from webrtc_host.http.keys import KeyPlaces
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import error_response
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.wires.door import converse, opened_headers
from webrtc_host.wires.query import Query
from webrtc_host.wires.site import Site, Traits
from webrtc_host.wires.vosk import VoskCodec

TRAITS = Traits(DoorKind.VOSK)
KEYS = KeyPlaces(query=("token", "key"))


class VoskDoor:
    def __init__(self, site: Site) -> None:
        self._site = site

    @Route(
        "GET",
        "/vosk",
        Role.OPERATOR,
        "Live audio from clients of the Vosk server, into the next free channel",
        is_websocket=True,
        checks_key=True,
    )
    async def next_free(self, request: web.Request) -> web.StreamResponse:
        return await self._converse(request, Query(request.query.items()).get("channel") or None)

    @Route(
        "GET",
        "/vosk/{channel}",
        Role.OPERATOR,
        "Live audio from clients of the Vosk server",
        is_websocket=True,
        checks_key=True,
    )
    async def channel(self, request: web.Request) -> web.StreamResponse:
        return await self._converse(request, request.match_info["channel"])

    async def _converse(self, request: web.Request, channel: str | None) -> web.StreamResponse:
        session = Query(request.query.items()).get("session") or None
        return await converse(
            *(self._site, TRAITS, request),
            lambda: VoskCodec(channel, session),
            keys=KEYS,
            refuse=error_response,
            headers=lambda made: opened_headers(made.opened),
        )
