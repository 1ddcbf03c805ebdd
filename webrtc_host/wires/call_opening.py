"""Begins a call by WebRTC whose messages have a codec: the peer connection, its channel, and their end.

The doors of such calls read the request and keep the open calls. Invariant: a refused offer leaves nothing
behind, no peer connection and no reserved channel.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from webrtc_host.config import MediaConfig
from webrtc_host.errors import RequestError
from webrtc_host.http.audit import note_feed, token_name
from webrtc_host.session.channel import ChannelSpec
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.session.connection import Connection
from webrtc_host.session.session import Session
from webrtc_host.session.takeover import take_over_dead
from webrtc_host.transport.one_port import OnePort
from webrtc_host.transport.peer import Peer
from webrtc_host.transport.sdp import Offer
from webrtc_host.wires.call import Call
from webrtc_host.wires.site import Site


@dataclass(frozen=True, slots=True)
class OpenCall:
    call: Call
    peer: Peer
    connection: Connection
    answer: str
    """The SDP for the client, with all candidates."""


class CallOpener:
    def __init__(self, site: Site, media: MediaConfig, port: OnePort | None) -> None:
        """port: the one port for the packets of calls; None: aioice's own sockets."""
        self.site = site
        self._media = media
        self._port = port

    async def make_way(self, session: Session, channel_id: str | None) -> None:
        """End a connection that holds this channel and gets nothing any more. Call it before `open`."""
        if channel_id is not None:
            registry = self.site.registry
            await take_over_dead(registry, registry.channel(session, channel_id))

    async def open(
        self,
        request: web.Request,
        offer: Offer,
        call: Call,
        door: DoorKind,
        session: Session,
        spec: ChannelSpec,
        *,
        data_channel: str | None = None,
        on_open: Callable[[], None] = lambda: None,
        on_closed: Callable[[Connection], None] = lambda connection: None,
    ) -> OpenCall:
        """data_channel: its label; None: the client's first one.

        on_open: called before the negotiation. on_closed: called when the connection has ended. Raises
        RequestError.
        """
        registry = self.site.registry
        peer = Peer(registry, self._media, call.attach, self._port, data_channel=data_channel)

        async def end(reason: str) -> int:
            call.note_end(reason)
            return await peer.end(reason)

        def closed(connection: Connection) -> None:
            on_closed(connection)
            call.closed()

        try:
            connection = registry.connect(
                *(session, door, [spec], end, peer.release), by=token_name(request), on_disconnect=closed
            )
            call.begin(connection)
            on_open()
            answer = await peer.answer(offer, connection)
        except BaseException:
            await asyncio.shield(peer.end("refused"))
            raise
        fed = [channel.id for channel in connection.channels]
        note_feed(request, "fed", session.id, fed, f"{door} {connection.id}")
        return OpenCall(call, peer, connection, answer)


def one_track(offer: Offer) -> Offer:
    """Raises RequestError 422 for more than one audio line that sends."""
    if len(offer.audio) > 1:
        message = f"the offer has {len(offer.audio)} audio lines that send; a call has one"
        raise RequestError("too_many_tracks", message, 422)
    return offer
