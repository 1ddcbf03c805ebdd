"""The doors of Deepgram's clients: `/v1/listen` (live, and whole files) and `/v2/listen` (turns).

The routes and refusals; `deepgram_live.py` and `deepgram_turns.py` are the codecs, `deepgram_file.py` reads
files. docs/reference/clients.md says what the clients get for what this server cannot do.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from aiohttp import web

from webrtc_host.doors.push import PushDoor
from webrtc_host.errors import RequestError
from webrtc_host.http.keys import KeyPlaces
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import error_response, json_response
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.wires.deepgram_file import FileReader
from webrtc_host.wires.deepgram_live import DeepgramLive
from webrtc_host.wires.deepgram_query import live_options, turn_options
from webrtc_host.wires.deepgram_turns import DeepgramTurns
from webrtc_host.wires.door import check_caller, converse, opened_headers
from webrtc_host.wires.query import Query
from webrtc_host.wires.site import Site, Traits

KEYS = KeyPlaces(schemes=("token", "bearer"), query=("token",), subprotocols=("token", "bearer"))
TRAITS = Traits(DoorKind.DEEPGRAM, idle_s=10.0, subprotocols=("token", "bearer"), joins_frames=True)
"""idle_s: Deepgram's limit without audio and without KeepAlive."""
TURN_TRAITS = replace(TRAITS, idle_s=60.0)
REQUEST_ID = "dg-request-id"


class DeepgramDoor:
    def __init__(self, site: Site, push: PushDoor, model: Callable[[], str]) -> None:
        """push: transcribes whole files. model: the name of the engine's model."""
        self._site = site
        self._model = model
        self._files = FileReader(site.registry, push, model)

    @Route(
        "GET",
        "/v1/listen",
        Role.OPERATOR,
        "Live audio from clients of Deepgram v1",
        is_websocket=True,
        checks_key=True,
    )
    async def listen(self, request: web.Request) -> web.StreamResponse:
        request_id = str(uuid.uuid4())

        def codec() -> DeepgramLive:
            created = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            return DeepgramLive(live_options(Query(request.query.items())), request_id, created, self._model)

        return await converse(
            *(self._site, TRAITS, request, codec),
            keys=KEYS,
            refuse=lambda error: refusal(error, request_id),
            headers=lambda made: {REQUEST_ID: request_id, **opened_headers(made.opened)},
        )

    @Route(
        "GET",
        "/v2/listen",
        Role.OPERATOR,
        "Live audio from clients of Deepgram v2 (Flux)",
        is_websocket=True,
        checks_key=True,
    )
    async def listen_for_turns(self, request: web.Request) -> web.StreamResponse:
        request_id = str(uuid.uuid4())
        return await converse(
            *(self._site, TURN_TRAITS, request),
            lambda: DeepgramTurns(turn_options(Query(request.query.items())), request_id),
            keys=KEYS,
            refuse=lambda error: refusal(error, request_id),
            headers=lambda made: {REQUEST_ID: request_id, **opened_headers(made.opened)},
        )

    @Route(
        "POST",
        "/v1/listen",
        Role.OPERATOR,
        "A whole file from clients of Deepgram v1; the response has its text",
        checks_key=True,
        errors=(413, 415),
    )
    async def transcribe(self, request: web.Request) -> web.Response:
        request_id = str(uuid.uuid4())
        try:
            check_caller(request, KEYS)
            body = await self._files.read(request, request_id)
        except RequestError as error:
            return refusal(error, request_id)
        response = json_response(body)
        response.headers[REQUEST_ID] = request_id
        return response


def refusal(error: RequestError, request_id: str) -> web.Response:
    """An error as Deepgram's clients read it; the status, the headers and the code are ours."""
    response = error_response(error)
    body = {
        "err_code": error.code.upper(),
        "err_msg": error.message,
        "request_id": request_id,
        "category": error.code.upper(),
        "message": error.message,
        "error": {"code": error.code, "message": error.message},
    }
    answer = json_response(body, response.status)
    for name in ("Retry-After", "WWW-Authenticate"):
        if name in response.headers:
            answer.headers[name] = response.headers[name]
    answer.headers[REQUEST_ID] = request_id
    return answer
