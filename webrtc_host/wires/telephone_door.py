"""The door of telephone calls: `/twilio/{channel}` and `/telnyx/{channel}`. `telephone.py` is the codec.

Twilio opens the WebSocket itself and can send no key of ours. It signs its request with the account's
`auth_token`; without that setting, the token of this server comes as a parameter of the stream.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from aiohttp import web

from webrtc_host.config import TelephoneSettings
from webrtc_host.errors import RequestError
from webrtc_host.http.auth import GATE
from webrtc_host.http.keys import KeyPlaces
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import error_response
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.wires.door import check_caller, converse
from webrtc_host.wires.query import Query
from webrtc_host.wires.site import Site, Traits
from webrtc_host.wires.telephone import CallOptions, TelephoneCodec

TRAITS = Traits(DoorKind.TELEPHONE, has_results=False, idle_s=60.0)
KEYS = KeyPlaces()
SIGNATURE = "X-Twilio-Signature"


def signature_of(url: str, auth_token: str) -> str:
    """Twilio's signature of a WebSocket request: HMAC-SHA1 of the whole address, in base64."""
    return base64.b64encode(hmac.digest(auth_token.encode(), url.encode(), hashlib.sha1)).decode()


class TelephoneDoor:
    def __init__(self, site: Site, settings: TelephoneSettings) -> None:
        self._site, self._settings = site, settings

    @Route(
        "GET",
        "/twilio/{channel}",
        Role.OPERATOR,
        "A telephone call as Twilio's Media Streams send it",
        is_websocket=True,
        checks_key=True,
    )
    async def twilio(self, request: web.Request) -> web.StreamResponse:
        return await self._converse(request)

    @Route(
        "GET",
        "/telnyx/{channel}",
        Role.OPERATOR,
        "A telephone call as Telnyx streams it",
        is_websocket=True,
        checks_key=True,
    )
    async def telnyx(self, request: web.Request) -> web.StreamResponse:
        return await self._converse(request)

    async def _converse(self, request: web.Request) -> web.StreamResponse:
        needs_key = not self._is_signed(request) and not KEYS.key_in(request.headers, request.query)

        def check(request: web.Request) -> None:
            if self._settings.auth_token and not self._is_signed(request):
                raise RequestError("unauthorized", f"the request has no valid {SIGNATURE}", 403)
            if not self._settings.auth_token and not needs_key:
                check_caller(request, KEYS)

        def check_key(key: str) -> None:
            request.app[GATE].check_key(request, key)

        options = CallOptions(
            request.match_info["channel"],
            Query(request.query.items()).get("session") or None,
            self._settings.skip_ms,
            needs_key=needs_key,
        )
        return await converse(
            *(self._site, TRAITS, request),
            lambda: TelephoneCodec(options, check_key),
            keys=KEYS,
            refuse=error_response,
            check=check,
        )

    def _is_signed(self, request: web.Request) -> bool:
        """Whether the request has Twilio's signature of the address that Twilio uses for this server."""
        if not self._settings.auth_token:
            return False
        given = request.headers.get(SIGNATURE, "")
        base = self._settings.public_url.rstrip("/") or f"wss://{request.host}"
        expected = signature_of(base + request.path_qs, self._settings.auth_token)
        return hmac.compare_digest(given.encode(), expected.encode())
