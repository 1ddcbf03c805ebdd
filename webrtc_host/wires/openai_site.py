"""What the doors of OpenAI's Realtime API share: keys, client secrets, and where a connection's text goes."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from aiohttp import web

from webrtc_host.http.auth import GATE
from webrtc_host.http.keys import KeyPlaces
from webrtc_host.session.channel import ChannelSpec
from webrtc_host.wires.door import check_caller
from webrtc_host.wires.openai_live import OpenAiLive, Place
from webrtc_host.wires.openai_options import Settings
from webrtc_host.wires.query import Query
from webrtc_host.wires.short_keys import ShortKey, ShortKeys
from webrtc_host.wires.site import Site

KEYS = KeyPlaces(subprotocol_prefix="openai-insecure-api-key.")
LABEL = "OpenAI"
SECONDS_MIN, SECONDS_MAX, SECONDS_DEFAULT = 10, 7200, 600
"""The life of a client secret."""
ClientSecrets = ShortKeys[Settings]


def client_secrets() -> ClientSecrets:
    return ShortKeys("ek_", "client secret", time.time)


@dataclass(frozen=True, slots=True)
class OpenAiSite:
    """model: the name of the engine's model. hangover_ms: silence that ends an utterance on this server."""

    site: Site
    model: Callable[[], str]
    hangover_ms: int
    secrets: ClientSecrets

    def check(self, request: web.Request) -> None:
        """Check a token of the server, or a client secret. Raises RequestError 401, 403, 429."""
        secret = self.secret_of(request)
        if secret is None:
            check_caller(request, KEYS)
        else:
            request.app[GATE].accept(request, secret.caller)

    def secret_of(self, request: web.Request) -> ShortKey[Settings] | None:
        """The client secret that the request has in place of a token."""
        key = KEYS.key_in(request.headers, request.query)
        return self.secrets.find(key) if key else None

    def settings_of(self, request: web.Request) -> Settings:
        """The settings that a session of this request begins with."""
        secret = self.secret_of(request)
        settings = Settings() if secret is None else secret.settings
        model = request.query.get("model", "")[:200]
        return replace(settings, given_model=settings.given_model or model or None)

    def codec(self, request: web.Request, settings: Settings, *, is_call: bool = False) -> OpenAiLive:
        """Raises RequestError when the address names no session or channel that can be had now."""
        query = Query(request.query.items())
        place = Place(
            session=query.get("session") or None,
            channel=query.get("channel") or None,
            label=LABEL,
            hangover_ms=self.hangover_ms,
            model=self.model,
            is_call=is_call,
        )
        # The channel of a socket is taken with the first audio; clients that cannot get one are refused now.
        registry = self.site.registry
        registry.check_room(registry.get_live(place.session), [ChannelSpec(place.channel)])
        return OpenAiLive(settings, place, secrets.token_hex(6), int(time.time()))
