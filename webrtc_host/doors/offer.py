"""`POST /offer` and `DELETE /offer/{connection}`: a browser's way in. One audio line feeds one channel.

Owns the reading of the request and the resume tokens; the peer connection is `media.peer`'s, who may feed
what is the registry's. Invariant: a refused offer leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from aiohttp import web

from webrtc_host.channel import ChannelWish, Connection, DoorKind
from webrtc_host.config import MediaConfig
from webrtc_host.doors.body import read_json_object, text_field
from webrtc_host.doors.wishes import wish_of
from webrtc_host.errors import RequestError
from webrtc_host.media.ice_servers import issue
from webrtc_host.media.peer import AttachDataChannel, Peer
from webrtc_host.media.sdp import MediaLine, read_offer
from webrtc_host.sessions import Session, SessionRegistry

TOKENS_MAX = 4096


@dataclass(frozen=True, slots=True)
class Offer:
    """A checked request body. wishes: by mid, or in the order of the audio lines where mid is None."""

    sdp: str
    session: str | None
    wishes: tuple[tuple[str | None, ChannelWish], ...]
    resume: str | None


@dataclass(frozen=True, slots=True)
class _Former:
    """What a resume token stands for. Ids alone: a token must not keep a closed peer in memory."""

    connection: str
    session: str
    channels: tuple[str, ...]


class OfferDoor:
    def __init__(self, registry: SessionRegistry, media: MediaConfig, attach: AttachDataChannel) -> None:
        self._registry = registry
        self._media = media
        self._attach = attach
        self._tokens: OrderedDict[str, _Former] = OrderedDict()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/offer", self.offer),
            web.delete("/offer/{connection}", self.hang_up),
            web.get("/api/ice", self.ice),
        ]

    async def ice(self, request: web.Request) -> web.Response:
        """The servers of `media.ice_servers` for the client's side, in the form RTCPeerConnection takes."""
        servers = [asdict(server) for server in issue(self._media.ice_servers, time.time())]
        return web.json_response({"ice_servers": servers}, headers={"Cache-Control": "no-store"})

    async def offer(self, request: web.Request) -> web.Response:
        limits = self._registry.limits
        offer = parse_offer(await read_json_object(request, limits.body_bytes))
        lines = read_offer(offer.sdp, limits.media_lines_per_offer)
        wishes = match_lines(lines, offer.wishes)
        session, wishes = await self._resumed(offer, wishes)
        peer = Peer(self._registry, self._media, self._attach)
        try:
            connection = self._registry.connect(session, DoorKind.WEBRTC, wishes, peer.end)
            answer = await peer.answer(offer.sdp, connection)
        except BaseException:
            await asyncio.shield(peer.end("refused"))
            raise
        return web.json_response(
            {
                "sdp": answer,
                "type": "answer",
                "session": session.id,
                "connection": connection.id,
                "channels": [
                    {"mid": line.mid, "channel": channel.id}
                    for line, channel in zip(lines, connection.channels, strict=True)
                ],
                "resume": self._token_for(connection),
            }
        )

    async def hang_up(self, request: web.Request) -> web.Response:
        connection = self._registry.connections.get(request.match_info["connection"])
        if connection is None or connection.door is not DoorKind.WEBRTC:
            raise RequestError(
                "unknown_connection", "there is no such connection; it may be closed already", 404
            )
        return web.json_response({"final_seq": await connection.end("hung_up")})

    async def _resumed(self, offer: Offer, wishes: list[ChannelWish]) -> tuple[Session, list[ChannelWish]]:
        """The session, and wishes for the channels of the connection whose token came back.

        When that connection still holds them it is dead, for its client is here: it is ended first. A token
        that fits nothing is ignored.
        """
        former = self._tokens.get(offer.resume or "")
        session = self._session_of(offer, former)
        if former is None or former.session != session.id or len(former.channels) != len(wishes):
            return session, wishes
        asked = {wish.channel for wish in wishes if wish.channel is not None}
        if not asked <= set(former.channels):
            return session, wishes
        connection = self._registry.connections.get(former.connection)
        if connection is not None:
            await self._registry.end_connection(connection, "resumed")
        channels = [self._registry.channel(session, channel_id) for channel_id in former.channels]
        if asked or any(channel.connection is not None for channel in channels):
            return session, wishes
        return session, [
            replace(wish, channel=channel_id)
            for wish, channel_id in zip(wishes, former.channels, strict=True)
        ]

    def _session_of(self, offer: Offer, former: _Former | None) -> Session:
        """The named session; else the one of the token, while it lasts; else the current one."""
        if offer.session is None and former is not None:
            try:
                return self._registry.get_live(former.session)
            except RequestError:
                return self._registry.current()
        return self._registry.get_live(offer.session)

    def _token_for(self, connection: Connection) -> str:
        token = secrets.token_urlsafe(16)
        ids = tuple(channel.id for channel in connection.channels)
        self._tokens[token] = _Former(connection.id, connection.session.id, ids)
        while len(self._tokens) > TOKENS_MAX:
            self._tokens.popitem(last=False)
        return token


def parse_offer(body: dict[str, Any]) -> Offer:
    """Check the fields of the body. Raises RequestError naming the field."""
    sdp = body.get("sdp")
    if not isinstance(sdp, str) or not sdp.strip():
        raise RequestError(
            "missing_field", "the body has no `sdp`; send the text of the local description", 400
        )
    if body.get("type") != "offer":
        raise RequestError("bad_type", '`type` must be "offer"; this server answers', 422)
    channels = body.get("channels") or []
    if not isinstance(channels, list) or not all(isinstance(entry, dict) for entry in channels):
        raise RequestError("bad_field", "`channels` must be a list of objects", 422)
    return Offer(
        sdp=sdp,
        session=text_field(body, "session", 64),
        wishes=tuple((text_field(entry, "mid", 64), wish_of(entry)) for entry in channels),
        resume=text_field(body, "resume", 200),
    )


def match_lines(
    lines: Sequence[MediaLine], wishes: Sequence[tuple[str | None, ChannelWish]]
) -> list[ChannelWish]:
    """One wish per audio line: by mid where it is given, the others in order. Raises RequestError 422."""
    by_mid = {mid: wish for mid, wish in wishes if mid is not None}
    in_order = [wish for mid, wish in wishes if mid is None]
    unknown = by_mid.keys() - {line.mid for line in lines}
    if unknown:
        raise RequestError("unknown_mid", f"the offer has no audio line with mid {min(unknown)!r}", 422)
    if len(by_mid) + len(in_order) != len(wishes):
        raise RequestError("duplicate_mid", "`channels` names an audio line twice", 422)
    if len(wishes) > len(lines):
        raise RequestError(
            "too_many_wishes", f"`channels` has {len(wishes)} entries for {len(lines)} audio lines", 422
        )
    rest = iter(in_order)
    return [by_mid[line.mid] if line.mid in by_mid else next(rest, ChannelWish()) for line in lines]
