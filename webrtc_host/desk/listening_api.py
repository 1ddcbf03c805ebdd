"""`/api/listening`: live audio of channels for a desk, over one peer connection.

The desk offers one audio line for each channel that may be played, then sends the list of the channels to
play now; the other lines cost nothing. This module has the routes, the table of desks and their limit.
`listening.desk_peer` holds the connection. Invariant: after a refused or ended request no desk is left.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Literal

from aiohttp import web
from pydantic import Field

from host_stt_common.channel_ids import NAMED_MAX, channel_id_of
from host_stt_common.places import NoPlace, Places
from webrtc_host.config import LimitsConfig, MediaConfig
from webrtc_host.errors import Overloaded, RequestError
from webrtc_host.http.audit import note_feed
from webrtc_host.http.auth import key_of
from webrtc_host.http.requests import Body, ChannelName, read_body
from webrtc_host.http.responses import Response
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import json_response
from webrtc_host.listening.desk_peer import DeskPeer
from webrtc_host.listening.hub import Hub
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.transport.one_port import OnePort
from webrtc_host.transport.sdp import Offer, read_offer

PATH = "/api/listening"
DESK = f"{PATH}/{{listener}}"
RETRY_AFTER_S = 10.0


class ListeningStart(Body):
    sdp: str = Field(min_length=1, description="an offer with one recvonly audio line for each channel")
    type: Literal["offer"]
    session: str | None = Field(None, max_length=64, description="default: the current session")
    channels: tuple[ChannelName, ...] | None = Field(
        None, max_length=NAMED_MAX, description="of the audio lines, in their order; default: C01, C02, ..."
    )
    listen: tuple[ChannelName, ...] = Field(
        (), max_length=NAMED_MAX, description="channels whose audio is sent at once"
    )


class ListeningChange(Body):
    channels: tuple[ChannelName, ...] = Field(
        max_length=NAMED_MAX, description="the channels whose audio is sent from now on, and no others"
    )


class ListeningLine(Response):
    mid: str
    channel: str


class ListeningAnswer(Response):
    sdp: str
    type: str
    listener: str
    session: str
    lines: list[ListeningLine]
    channels: list[str] = Field(description="the channels whose audio is sent")


class ListeningResponse(Response):
    listener: str
    channels: list[str]


@dataclass(slots=True)
class _Listener:
    id: str
    peer: DeskPeer
    place: ExitStack
    noted: set[str] = field(default_factory=set)  # channels that have their line in the audit


class ListeningApi:
    def __init__(
        self,
        hub: Hub,
        registry: SessionRegistry,
        limits: LimitsConfig,
        media: MediaConfig,
        port: OnePort | None = None,
    ) -> None:
        self._hub = hub
        self._registry = registry
        self._limits = limits
        self._media = media
        self._port = port
        self._places = Places(limits.listeners)
        self._listeners: dict[str, _Listener] = {}
        self._is_closing = False

    @Route(
        "POST",
        PATH,
        Role.LISTENER,
        "Live audio of channels over WebRTC; the response has the answer",
        body=ListeningStart,
        response=ListeningAnswer,
        errors=(404, 422, 429, 503),
    )
    async def start(self, request: web.Request) -> web.Response:
        body = await read_body(request, ListeningStart)
        session = self._registry.get(body.session)
        offer = read_offer(body.sdp, self._limits.media_lines_per_offer, to_listen=True)
        by_mid = _channels_of(offer, body.channels)
        wanted = _checked(body.listen, by_mid.values())
        listener = self._take_place(request, session.id)
        try:
            answer = await listener.peer.answer(offer, by_mid)
        except BaseException:
            await asyncio.shield(listener.peer.end("refused"))
            raise
        self._listen(request, listener, wanted)
        response = ListeningAnswer(
            sdp=answer,
            type="answer",
            listener=listener.id,
            session=session.id,
            lines=[ListeningLine(mid=mid, channel=channel) for mid, channel in by_mid.items()],
            channels=sorted(listener.peer.channels),
        )
        return json_response(response.model_dump())

    @Route(
        "PUT",
        DESK,
        Role.LISTENER,
        "Choose the channels whose live audio is sent",
        body=ListeningChange,
        response=ListeningResponse,
        errors=(404, 422),
    )
    async def change(self, request: web.Request) -> web.Response:
        listener = self._listener(request)
        body = await read_body(request, ListeningChange)
        self._listen(request, listener, _checked(body.channels, listener.peer.lines))
        return self._response(listener)

    @Route("DELETE", DESK, Role.LISTENER, "End the live audio", response=ListeningResponse, errors=(404,))
    async def end(self, request: web.Request) -> web.Response:
        listener = self._listener(request)
        await listener.peer.end("left")
        return self._response(listener)

    async def close(self) -> None:
        """End all desks, because the server stops. Accepts no more."""
        self._is_closing = True
        await asyncio.gather(*(one.peer.end("server_stopping") for one in list(self._listeners.values())))
        self._hub.close()

    def statistics(self) -> dict[str, float]:
        return {"desks": len(self._listeners), **self._hub.statistics()}

    def _take_place(self, request: web.Request, session: str) -> _Listener:
        """Raises Overloaded when too many desks listen, or the server stops."""
        if self._is_closing:
            raise Overloaded("going_away", "the server is stopping", retry_after_s=RETRY_AFTER_S)
        with ExitStack() as stack:
            try:
                stack.enter_context(self._places.take(key_of(request)))
            except NoPlace as error:
                message = f"{error.held} desks listen {error.who} (limits.listeners); try again later"
                raise Overloaded(
                    "too_many_listeners", message, retry_after_s=RETRY_AFTER_S, status=429
                ) from error
            place = stack.pop_all()
        listener_id = f"l_{secrets.token_hex(16)}"
        peer = DeskPeer(self._hub, self._media, self._port, session, lambda _: self._ended(listener_id))
        listener = self._listeners[listener_id] = _Listener(listener_id, peer, place)
        return listener

    def _ended(self, listener_id: str) -> None:
        if (listener := self._listeners.pop(listener_id, None)) is not None:
            listener.place.close()

    def _listen(self, request: web.Request, listener: _Listener, channels: frozenset[str]) -> None:
        """Change the channels. The first time that a desk plays a channel is a line of the audit log."""
        listener.peer.listen(channels)
        if new := sorted(channels - listener.noted):
            listener.noted |= set(new)
            note_feed(request, "listened live", listener.peer.session, new, f"desk {listener.id[:10]}")

    def _listener(self, request: web.Request) -> _Listener:
        listener = self._listeners.get(request.match_info["listener"])
        if listener is None:
            message = "no such desk listens; its connection may have ended: send a new offer"
            raise RequestError("unknown_listener", message, 404)
        return listener

    @staticmethod
    def _response(listener: _Listener) -> web.Response:
        channels = sorted(listener.peer.channels)
        return json_response(ListeningResponse(listener=listener.id, channels=channels).model_dump())


def _channels_of(offer: Offer, channels: tuple[str, ...] | None) -> dict[str, str]:
    """mid -> channel of each audio line.

    Raises RequestError 422 when the numbers differ, or for a channel twice.
    """
    mids = [line.mid for line in offer.audio]
    if channels is None:
        channels = tuple(channel_id_of(number) for number in range(1, len(mids) + 1))
    if len(channels) != len(mids):
        message = f"`channels` names {len(channels)} channels, and the offer has {len(mids)} audio lines"
        raise RequestError("bad_channels", message, 422)
    if len(set(channels)) < len(channels):
        raise RequestError("duplicate_channel", "`channels` names a channel twice", 422)
    return dict(zip(mids, channels, strict=True))


def _checked(channels: tuple[str, ...], lines: Iterable[str]) -> frozenset[str]:
    """lines: channels that have an audio line. Raises RequestError 422 for another channel."""
    unknown = frozenset(channels) - frozenset(lines)
    if unknown:
        message = f"channel {min(unknown)} has no audio line; send a new offer with a line for it"
        raise RequestError("no_line", message, 422)
    return frozenset(channels)
