"""The door of Speechmatics' real-time clients: `/v2`, `/v2/LANGUAGE`, and `/v2/agent` for Agent STT.

`speechmatics_live.py` and `speechmatics_agent.py` are the codecs. docs/reference/clients.md says what the
clients get for what this server cannot do.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable

from aiohttp import web

from webrtc_host.http.keys import KeyPlaces
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import error_response
from webrtc_host.session.channel import ChannelSpec
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.wires.door import converse
from webrtc_host.wires.query import Query
from webrtc_host.wires.site import Site, Traits
from webrtc_host.wires.speechmatics_agent import AGENT, SpeechmaticsAgent
from webrtc_host.wires.speechmatics_config import language_named
from webrtc_host.wires.speechmatics_live import SpeechmaticsLive

KEYS = KeyPlaces(query=("jwt", "token"))
TRAITS = Traits(DoorKind.SPEECHMATICS, idle_s=600.0)


class SpeechmaticsDoor:
    def __init__(self, site: Site, model: Callable[[], str]) -> None:
        """model: the name of the engine's model."""
        self._site = site
        self._model = model

    @Route(
        "GET",
        "/v2",
        Role.OPERATOR,
        "Live audio from Speechmatics' real-time clients",
        is_websocket=True,
        checks_key=True,
    )
    @Route(
        "GET",
        "/v2/{language}",
        Role.OPERATOR,
        "Live audio from Speechmatics' real-time clients, in a language",
        is_websocket=True,
        checks_key=True,
    )
    async def listen(self, request: web.Request) -> web.StreamResponse:
        query = Query(request.query.items())
        language = request.match_info.get("language", "")
        kind = SpeechmaticsAgent if language == AGENT else SpeechmaticsLive
        language = "" if language == AGENT else language

        def codec() -> SpeechmaticsLive:
            if language:
                language_named(language)  # also refuses other addresses under /v2
            session = query.get("session") or None
            channels = tuple(name.strip() for name in query.get("channel").split(",") if name.strip())
            # Channels are taken after the upgrade; a client that cannot get one is refused now.
            registry = self._site.registry
            first = channels[0] if channels else None
            registry.check_room(registry.get_live(session), [ChannelSpec(first)])
            return kind(str(uuid.uuid4()), language, session, channels, self._model())

        return await converse(
            *(self._site, TRAITS, request, codec),
            keys=KEYS,
            refuse=lambda error: error_response(error, request),
        )
