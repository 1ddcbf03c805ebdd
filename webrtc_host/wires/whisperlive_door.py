"""The door of WhisperLive's clients: `/whisperlive` and `/whisperlive/{channel}`.

`whisperlive.py` is the codec. Its clients accept only a host and a port; a port of
`8082/whisperlive?token=TOKEN` leads them here. A server that has no room says so in a message (`WAIT`), as
WhisperLive does, and not before the upgrade.
"""

from __future__ import annotations

from aiohttp import web

from webrtc_host.http.keys import KeyPlaces
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import error_response
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.wires.door import converse
from webrtc_host.wires.query import Query
from webrtc_host.wires.site import Site, Traits
from webrtc_host.wires.whisperlive import WhisperLiveCodec

TRAITS = Traits(DoorKind.WHISPERLIVE, idle_s=60.0, subprotocols=("bearer",))
KEYS = KeyPlaces(query=("token",), subprotocols=("bearer",))


class WhisperLiveDoor:
    def __init__(self, site: Site) -> None:
        self._site = site

    @Route(
        "GET",
        "/whisperlive",
        Role.OPERATOR,
        "Live audio from clients of WhisperLive, into the next free channel",
        is_websocket=True,
        checks_key=True,
    )
    async def next_free(self, request: web.Request) -> web.StreamResponse:
        return await self._converse(request, Query(request.query.items()).get("channel") or None)

    @Route(
        "GET",
        "/whisperlive/{channel}",
        Role.OPERATOR,
        "Live audio from clients of WhisperLive",
        is_websocket=True,
        checks_key=True,
    )
    async def channel(self, request: web.Request) -> web.StreamResponse:
        return await self._converse(request, request.match_info["channel"])

    async def _converse(self, request: web.Request, channel: str | None) -> web.StreamResponse:
        session = Query(request.query.items()).get("session") or None
        return await converse(
            *(self._site, TRAITS, request),
            lambda: WhisperLiveCodec(channel, session),
            keys=KEYS,
            refuse=error_response,
        )
