"""`GET /ws/pcm/{channel}`: our own protocol for audio over a WebSocket, for programs and for browsers that
WebRTC cannot reach.

The codec and the route. Errors come after the upgrade, because a browser shows a page nothing else.
docs/howto/send-sound.md describes the protocol. Results do not go back on this socket.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web

from host_stt_common.rates import FrameRates
from webrtc_host.config import MediaConfig
from webrtc_host.doors.control import CLOSE_FLOOD, FLOOD, Controls
from webrtc_host.doors.socket_messages import read_in_small_pieces
from webrtc_host.doors.socket_start import (
    AudioStart,
    check_late_message,
    message_fields,
    query_fields,
    start_of,
)
from webrtc_host.errors import RequestError
from webrtc_host.http.auth import GATE
from webrtc_host.http.fields import merged
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import check_upgrade
from webrtc_host.media.encodings import AudioFormat
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.session.resume import ResumeTokens
from webrtc_host.wires.caller import RequestCaller
from webrtc_host.wires.conversation import Conversation
from webrtc_host.wires.door import new_socket
from webrtc_host.wires.messages import (
    MAIN,
    SERVER_STOPPING,
    Action,
    Audio,
    End,
    Finish,
    Frame,
    Goodbye,
    Open,
    Opened,
    Result,
    Say,
    StreamSpec,
)
from webrtc_host.wires.site import CONTAINERS_MAX, Site, Traits

CLOSE_OF_REASON = {SERVER_STOPPING: 1001}
TRAITS = Traits(DoorKind.SOCKET, has_results=False, read_ahead_bytes=0)


@dataclass(frozen=True, slots=True)
class SocketLimits:
    frame_bytes: int = TRAITS.frame_bytes
    text_bytes: int = 64 * 1024
    hard_frame_bytes: int = TRAITS.message_bytes
    first_message_s: float = TRAITS.first_message_s
    idle_s: float = TRAITS.idle_s  # `keepalive` is a message too
    containers: int = CONTAINERS_MAX

    def traits(self) -> Traits:
        return replace(
            TRAITS,
            frame_bytes=self.frame_bytes,
            message_bytes=self.hard_frame_bytes,
            first_message_s=self.first_message_s,
            idle_s=self.idle_s,
        )


class PcmCodec:
    """One connection. The audio is described by the query, by the first message, or by both."""

    def __init__(self, channel: str, address: dict[str, Any], text_bytes: int) -> None:
        """address: the fields of the query, as `query_fields` reads them."""
        self._channel = channel
        self._address = address
        self._text_bytes = text_bytes
        self._controls = Controls(("stop", "keepalive"), text_bytes)
        self._is_open = False
        self._has_audio = False

    def begin(self) -> list[Action]:
        """A query with `encoding` is enough."""
        return self._start(self._address) if "encoding" in self._address else []

    def on_text(self, text: str, now_s: float) -> list[Action]:
        if not self._is_open:
            if len(text) > self._text_bytes:
                raise RequestError("too_large", "the first message is too long", 413)
            return self._start(merged(self._address, message_fields(text)))
        try:
            return [Finish()] if self._controls.read(text)["type"] == "stop" else []
        except RequestError as error:
            return self._complaint(text, error)

    def on_bytes(self, data: bytes) -> list[Action]:
        if not self._is_open:
            raise RequestError(
                "no_start", "the first message must be JSON text that describes the audio", 400
            )
        self._has_audio = True
        return [Audio(data)]

    def on_result(self, result: Result) -> list[Frame]:
        if not isinstance(result, Opened):
            return []
        return [
            _said(
                type="started",
                session=result.session,
                connection=result.connection,
                channel=result.channels[MAIN],
                now_ms=result.now_ms,
            )
        ]

    def on_end(self, end: End) -> Goodbye:
        if end.error is None:
            stopped = _said(type="stopped", reason=end.reason, final_seq=end.seq)
            return Goodbye(CLOSE_OF_REASON.get(end.reason, 1000), end.reason, (stopped,))
        later = {}
        if end.error.retry_after_s is not None:
            later = {"retry_after_ms": round(end.error.retry_after_s * 1000)}
        error = _said(v=1, type="error", code=end.error.code, message=end.error.message, **later)
        return Goodbye(close_code(end.error), end.reason, (error,))

    def _start(self, fields: dict[str, Any]) -> list[Action]:
        self._is_open = True
        return [_open(start_of(fields, self._channel))]

    def _complaint(self, text: str, error: RequestError) -> list[Action]:
        """An invalid message gets an error, and the feed continues.

        A first message that came too late ends the feed when it differs from the address.
        """
        is_start = "encoding" in self._address and not self._has_audio
        if is_start and check_late_message(text, self._address):
            return []
        return [Say((_said(v=1, type="error", code=error.code, message=error.message),), is_complaint=True)]


class PcmSocketDoor:
    def __init__(
        self,
        registry: SessionRegistry,
        media: MediaConfig,
        limits: SocketLimits | None = None,
        tokens: ResumeTokens | None = None,
        rates: FrameRates | None = None,
    ) -> None:
        """tokens: for clients that continue their channels; None: no client can.

        rates: shared with other endpoints whose frames count together with these.
        """
        self._limits = limits or SocketLimits()
        self._site = Site(
            registry,
            tokens=tokens,
            rates=rates,
            media=media,
            containers_max=self._limits.containers,
        )
        self.rates = self._site.rates

    @Route(
        "GET", "/ws/pcm/{channel}", Role.OPERATOR, "Audio of a channel, over a WebSocket", is_websocket=True
    )
    async def handle(self, request: web.Request) -> web.StreamResponse:
        traits = self._limits.traits()
        socket = new_socket(traits)
        check_upgrade(request)
        await socket.prepare(request)
        read_in_small_pieces(request)
        caller = RequestCaller(request)
        with self.rates.socket(caller.key) as rate:
            codec = PcmCodec(request.match_info["channel"], {}, self._limits.text_bytes)
            try:
                request.app[GATE].check_token(request)
                codec = PcmCodec(
                    request.match_info["channel"], query_fields(request.query), self._limits.text_bytes
                )
                conversation = Conversation(self._site, traits, codec, caller, rate)
                await conversation.admit()
            except RequestError as error:
                await Conversation(self._site, traits, codec, caller, rate).refuse(socket, error)
            else:
                await conversation.run(socket)
        return socket

    def statistics(self) -> dict[str, float]:
        """Since the start of the process; a socket is counted when it closes."""
        return self._site.statistics()


def close_code(error: RequestError) -> int:
    """4000 plus the HTTP status; 1013 (try again later) for a server that is full, 1008 for a flood."""
    if error.code == FLOOD:
        return CLOSE_FLOOD
    return 1013 if error.status == 503 else 4000 + error.status


def _open(start: AudioStart) -> Open:
    spec = start.spec
    return Open(
        AudioFormat(start.encoding, start.sample_rate, start.channels),
        (StreamSpec(MAIN, spec.channel, spec.label, spec.language, spec.terms),),
        session=start.session,
        start_sample=start.start_sample,
        resume=start.resume,
    )


def _said(**fields: Any) -> str:
    return json.dumps(fields)
