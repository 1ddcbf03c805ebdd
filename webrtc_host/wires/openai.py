"""The doors of OpenAI's Realtime clients: `/v1/realtime` as a WebSocket, and client secrets.

`openai_live.py` is the codec, `openai_calls.py` has the calls by WebRTC, which this WebSocket may also join.
What clients get for what this server cannot do stands in docs/reference/clients.md.
"""

from __future__ import annotations

import secrets
import time
from typing import Any

from aiohttp import web

from webrtc_host.errors import RequestError
from webrtc_host.http.body import read_json_object
from webrtc_host.http.roles import ANYONE, CALLER, Caller, Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import error_response, json_response
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.wires.door import check_caller, converse
from webrtc_host.wires.openai_events import LIFE_S, session_body
from webrtc_host.wires.openai_options import Settings, updated
from webrtc_host.wires.openai_sideband import Calls, follow
from webrtc_host.wires.openai_site import KEYS, SECONDS_DEFAULT, SECONDS_MAX, SECONDS_MIN, OpenAiSite
from webrtc_host.wires.site import Traits

AUDIO_BYTES_MAX = 15 * 1024 * 1024
"""Of one `append`: OpenAI's own limit."""
TRAITS = Traits(
    DoorKind.OPENAI,
    message_bytes=AUDIO_BYTES_MAX * 4 // 3 + 64 * 1024,  # in base64
    frame_bytes=AUDIO_BYTES_MAX,
    first_message_s=600.0,
    idle_s=600.0,
    subprotocols=("realtime",),
)


class RealtimeDoor:
    """Clients of OpenAI's Realtime API that send audio over a WebSocket."""

    def __init__(self, openai: OpenAiSite, calls: Calls) -> None:
        """calls: the calls by WebRTC that a WebSocket may join."""
        self._openai = openai
        self._calls = calls

    @Route(
        "GET",
        "/v1/realtime",
        Role.OPERATOR,
        "Live audio from clients of OpenAI's Realtime transcription",
        is_websocket=True,
        checks_key=True,
    )
    async def listen(self, request: web.Request) -> web.StreamResponse:
        """With `call_id`: the events of a call, besides its own data channel."""
        if "call_id" in request.query:
            return await follow(self._openai, self._calls, request)
        return await converse(
            *(self._openai.site, TRAITS, request),
            lambda: self._openai.codec(request, self._openai.settings_of(request)),
            keys=KEYS,
            refuse=lambda error: error_response(error, request),
            check=self._openai.check,
        )

    @Route(
        "POST",
        "/v1/realtime/client_secrets",
        Role.OPERATOR,
        "A short-lived key for a page that uses OpenAI's Realtime API",
        audit="made client secret",
        checks_key=True,
    )
    async def make_secret(self, request: web.Request) -> web.Response:
        openai = self._openai
        check_caller(request, KEYS)  # a token of the server: a client secret cannot make another one
        body = await read_json_object(request, openai.site.registry.limits.body_bytes)
        settings = updated(Settings(), body.get("session"))
        creator: Caller = request.get(CALLER, ANYONE)
        value, expires_at = openai.secrets.make(creator, settings, _seconds(body.get("expires_after")))
        audio_input = settings.body(openai.model(), openai.hangover_ms)
        session = session_body(secrets.token_hex(6), int(time.time()) + LIFE_S, audio_input)
        return json_response({"value": value, "expires_at": expires_at, "session": session})


def _seconds(expires_after: object) -> int:
    given = expires_after if isinstance(expires_after, dict) else {}
    seconds: Any = given.get("seconds", SECONDS_DEFAULT)
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not SECONDS_MIN <= seconds <= SECONDS_MAX:
        raise RequestError(
            "invalid_value",
            f"`expires_after.seconds` is a whole number from {SECONDS_MIN} to {SECONDS_MAX}",
            400,
        )
    return seconds
