"""`GET /api/v1/conversation/stream`: live audio of the conversation API, its text, and its summary.

`stream_live.py` is the codec. The summary is one of the stream's channel and time, so it is also in the list
of its session's summaries.
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import replace

from aiohttp import web

from webrtc_host.config import ConversationSettings
from webrtc_host.desk.conversation_api import ROOM_FIELDS
from webrtc_host.desk.final_summary import COMPLETED, summary_fields
from webrtc_host.errors import RequestError, StoreError
from webrtc_host.http.keys import KeyPlaces
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import error_response
from webrtc_host.jobs.rooms import RoomService
from webrtc_host.seams import ms_of
from webrtc_host.session.channel import Channel
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.summaries.finisher import made
from webrtc_host.summaries.scopes import Scope
from webrtc_host.summaries.service import SummaryService
from webrtc_host.transcript.rooms import RoomStream
from webrtc_host.wires.door import check_caller, converse, opened_headers
from webrtc_host.wires.messages import MAIN, Concluded, End, Opened
from webrtc_host.wires.site import Site, Traits
from webrtc_host.wires.stream_live import StreamCodec

logger = logging.getLogger(__name__)

KEYS = KeyPlaces(query=("token",), subprotocols=("token", "bearer"))
EARLY_MS = 3000
"""Audio that is sent faster than real time can lie so long before the moment when the stream was opened."""
NO_SPEECH = "no speech was found in this stream"
TRAITS = Traits(DoorKind.CONVERSATION, idle_s=60.0, subprotocols=("token", "bearer"))


class StreamDoor:
    def __init__(
        self, site: Site, summaries: SummaryService, rooms: RoomService, settings: ConversationSettings
    ) -> None:
        self._site, self._summaries, self._rooms = site, summaries, rooms
        self._language = settings.language

    @Route(
        "GET",
        "/api/v1/conversation/stream",
        Role.OPERATOR,
        "Live audio of the conversation API; its text and its summary come back",
        is_websocket=True,
        checks_key=True,
    )
    async def stream(self, request: web.Request) -> web.StreamResponse:
        stream = f"v_{secrets.token_hex(6)}"
        room = next((request.query[name] for name in ROOM_FIELDS if request.query.get(name)), None)
        if room is not None:
            try:
                check_caller(request, KEYS)
                await self._rooms.check_open(room)
            except RequestError as error:
                return error_response(error)
        return await converse(
            *(self._site, TRAITS, request),
            lambda: StreamCodec(stream, request.query, self._language),
            keys=KEYS,
            refuse=error_response,
            headers=lambda made: {"Host-STT-Stream": stream, **opened_headers(made.opened)},
            companion=StreamSummary(stream, room, self._site.registry, self._summaries, self._rooms),
        )


class StreamSummary:
    """Makes the summary of one stream, and adds the stream to its room."""

    def __init__(
        self,
        stream: str,
        room: str | None,
        registry: SessionRegistry,
        summaries: SummaryService,
        rooms: RoomService,
    ) -> None:
        """room: None: the stream is in no room."""
        self._stream, self._room = stream, room
        self._registry, self._summaries, self._rooms = registry, summaries, rooms
        self._channel: Channel | None = None
        self._scope: Scope | None = None

    async def opened(self, opened: Opened) -> None:
        """Raises RequestError when the room was removed or is full."""
        session = self._registry.get(opened.session)
        self._channel = channel = session.channels[opened.channels[MAIN]]
        # Before the first audio, the end of the channel is that of the client before.
        from_ms = max(ms_of(channel.end_sample), session.now_ms() - EARLY_MS)
        self._scope = Scope(opened.session, channel.id, from_ms=from_ms)
        if self._room is not None:
            stream = RoomStream(self._stream, opened.session, channel.id, self._scope.from_ms)
            await self._rooms.add_stream(self._room, stream)

    async def ended(self, end: End) -> None:
        if self._scope is None or self._channel is None:
            return
        to_ms = max(ms_of(self._channel.end_sample), self._scope.from_ms + 1)
        self._scope = replace(self._scope, to_ms=to_ms)
        try:
            if self._room is not None:
                await self._rooms.end_stream(self._stream, to_ms)
            await self._summaries.ask(self._scope)
        except (RequestError, StoreError) as error:
            logger.warning("no summary of stream %s is made now: %s", self._stream, error)

    async def conclude(self) -> Concluded:
        assert self._scope is not None
        try:
            summary = await made(self._summaries, self._scope)
        except StoreError as error:
            summary = {"status": "failed", "error": str(error)}
        ids = {"session": self._scope.session, "channel": self._scope.channel, "room_id": self._room}
        fields = summary_fields(COMPLETED, summary, None)
        has_lines = fields["content"] is None or fields["content"]["lines"]
        return Concluded({**fields, **ids, "warning": None if has_lines else NO_SPEECH})
