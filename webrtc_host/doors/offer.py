"""`POST /offer` and `DELETE /offer/{connection}`: audio from a browser over WebRTC. A line feeds one channel.

This module reads the request, and restores the channels of a client with a resume token. `transport.peer`
holds the peer connection; `session.registry` decides which channels it may feed. Invariant: after a refused
offer, nothing is left: no peer connection and no reserved channel.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence, Set
from dataclasses import asdict, dataclass, replace
from typing import Any

from aiohttp import web

from webrtc_host.config import MediaConfig
from webrtc_host.doors.channel_specs import channel_spec_of
from webrtc_host.errors import RequestError
from webrtc_host.http.audit import note_feed, token_name
from webrtc_host.http.body import read_json_object, text_field
from webrtc_host.http.fields import check_fields
from webrtc_host.http.responses import IceServersResponse
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.session.channel import Channel, ChannelSpec
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.session.connection import Connection
from webrtc_host.session.publisher_status import publisher_status
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.session.resume import Claim, Refusal, ResumeTokens
from webrtc_host.session.session import Session
from webrtc_host.transport.ice_servers import issue
from webrtc_host.transport.one_port import OnePort
from webrtc_host.transport.peer import Peer
from webrtc_host.transport.peer_data_channel import AttachDataChannel
from webrtc_host.transport.sdp import Offer, read_offer
from webrtc_host.transport.sdp_lines import MediaLine

FIELDS = ("sdp", "type", "session", "channels", "resume", "connection")
"""The fields of the body."""
CHANNEL_FIELDS = ("mid", "channel", "label", "language", "glossary", "ignore")
"""The fields of each entry of `channels`."""


@dataclass(frozen=True, slots=True)
class OfferBody:
    """A checked request body. specs: (mid, spec); with mid None, in the order of the audio lines."""

    sdp: str
    session: str | None
    specs: tuple[tuple[str | None, ChannelSpec], ...]
    resume: str | None
    connection: str | None = None  # an open connection that now has other tracks
    ignored: frozenset[str] = frozenset()  # mids of audio lines that must feed no channel


@dataclass(frozen=True, slots=True)
class Resumed:
    """The result of a resume. claim: when the token's channels are restored; refusal: why they are not."""

    session: Session
    specs: list[ChannelSpec]
    claim: Claim | None = None
    refusal: Refusal | None = None

    def fields(self) -> dict[str, Any]:
        """The fields of the response."""
        refused = {} if self.refusal is None else {"resume_refused": self.refusal.value}
        return {"resumed": self.claim is not None, **refused}


class OfferDoor:
    """The routes of `/offer`, with the peers of the open connections."""

    def __init__(
        self,
        registry: SessionRegistry,
        media: MediaConfig,
        attach: AttachDataChannel,
        tokens: ResumeTokens | None = None,
        port: OnePort | None = None,
    ) -> None:
        """tokens: shared with the other inputs that use resume tokens; None: made here."""
        self._port = port
        self._registry = registry
        self._media = media
        self._attach = attach
        self._tokens = ResumeTokens(media.resume_s) if tokens is None else tokens
        self._peers: dict[str, Peer] = {}  # by connection, while it is open

    @Route(
        "GET",
        "/api/ice",
        Role.LISTENER,
        "STUN and TURN servers for the client",
        response=IceServersResponse,
    )
    async def ice(self, request: web.Request) -> web.Response:
        """The STUN and TURN servers for the client, in the form that RTCPeerConnection takes."""
        servers = [asdict(server) for server in issue(self._media.ice_servers, time.time())]
        return web.json_response({"ice_servers": servers}, headers={"Cache-Control": "no-store"})

    @Route("POST", "/offer", Role.OPERATOR, "A WebRTC offer; the response has the answer", errors=(422,))
    async def offer(self, request: web.Request) -> web.Response:
        body = parse_offer(await read_json_object(request, self._registry.limits.body_bytes))
        if body.connection is not None:
            return await self._offer_again(request, body, body.connection)
        offer = read_offer(body.sdp, self._registry.limits.media_lines_per_offer)
        feeding = without(offer, body.ignored)
        if not feeding:
            message = "every audio line has `ignore`; send one that feeds a channel"
            raise RequestError("all_ignored", message, 422)
        resumed = await self._resumed(body, match_lines(offer, feeding, body.specs))
        peer = Peer(self._registry, self._media, self._attach, self._port)
        try:
            connection = self._registry.connect(
                *(resumed.session, DoorKind.WEBRTC, resumed.specs, peer.end, peer.release),
                by=token_name(request),
                on_disconnect=self._closed,
            )
            answer = await peer.answer(offer, connection, body.ignored)
        except BaseException:
            await asyncio.shield(peer.end("refused"))
            raise
        self._peers[connection.id] = peer
        self._note(request, connection, peer.mids.values())
        token = self._tokens.give(connection, resumed.claim)
        if connection.id not in self._registry.connections:  # it ended during the negotiation
            self._closed(connection)
        return self._response(answer, peer, connection, token, resumed.fields())

    @staticmethod
    def _note(request: web.Request, connection: Connection, channels: Iterable[Channel]) -> None:
        """Write into the audit log which connection feeds these channels."""
        ids = sorted(channel.id for channel in channels)
        note_feed(request, "fed", connection.session.id, ids, f"webrtc {connection.id}")

    async def _offer_again(self, request: web.Request, body: OfferBody, connection_id: str) -> web.Response:
        """Other tracks on the same connection: new audio lines get channels, those of ended lines close."""
        connection = self._connection(connection_id)
        peer = self._peers[connection.id]
        offer = read_offer(body.sdp, self._registry.limits.media_lines_per_offer, is_first=False)
        fed = body.ignored & peer.mids.keys()
        if fed:
            message = f"`ignore` names mid {min(fed)!r}, which feeds a channel; end its track instead"
            raise RequestError("line_feeds", message, 422)
        known = peer.mids.keys() | peer.ignored.keys()
        new = [line for line in without(offer, body.ignored) if line.mid not in known]
        specs = {
            line.mid: self._former_channel(connection, peer, line, spec)
            for line, spec in zip(new, match_lines(offer, new, body.specs), strict=True)
        }
        answer = await peer.answer_again(offer, specs, body.ignored)
        if added := [peer.mids[mid] for mid in specs if mid in peer.mids]:
            self._note(request, connection, added)
        return self._response(answer, peer, connection, self._tokens.give(connection), {})

    def _former_channel(
        self, connection: Connection, peer: Peer, line: MediaLine, spec: ChannelSpec
    ) -> ChannelSpec:
        """A line that sends again feeds the channel that it fed before, unless the client names another."""
        former = peer.former.get(line.mid)
        if former is None or spec.channel is not None:
            return spec
        is_free = self._registry.channel(connection.session, former).connection is None
        return replace(spec, channel=former) if is_free else spec

    def _response(
        self, answer: str, peer: Peer, connection: Connection, token: str, fields: dict[str, Any]
    ) -> web.Response:
        mids = {channel.id: mid for mid, channel in peer.mids.items()}
        status = publisher_status(connection)
        return web.json_response(
            {
                "sdp": answer,
                "type": "answer",
                "session": connection.session.id,
                "connection": connection.id,
                "now_ms": status["now_ms"],
                "channels": [{"mid": mids[entry["channel"]], **entry} for entry in status["channels"]],
                "resume": token,
                "resume_s": self._tokens.resume_s,
                **fields,
            }
        )

    @Route(
        "GET",
        "/offer/{connection}",
        Role.OPERATOR,
        "What has arrived for the channels of a connection",
        errors=(404,),
    )
    async def status(self, request: web.Request) -> web.Response:
        """The same report as in the pongs on the data channel, over HTTP."""
        connection = self._connection(request.match_info["connection"])
        body = {"session": connection.session.id, "connection": connection.id, **publisher_status(connection)}
        return web.json_response(body, headers={"Cache-Control": "no-store"})

    @Route(
        "DELETE",
        "/offer/{connection}",
        Role.OPERATOR,
        "End a connection after its last audio is transcribed",
        errors=(404,),
    )
    async def hang_up(self, request: web.Request) -> web.Response:
        connection = self._connection(request.match_info["connection"])
        return web.json_response({"final_seq": await connection.end("hung_up")})

    def _closed(self, connection: Connection) -> None:
        self._tokens.closed(connection)
        self._peers.pop(connection.id, None)

    def _connection(self, connection_id: str) -> Connection:
        connection = self._registry.connections.get(connection_id)
        if connection is None or connection.id not in self._peers:
            raise RequestError(
                "unknown_connection", "there is no such connection; it may be closed already", 404
            )
        return connection

    async def _resumed(self, offer: OfferBody, specs: list[ChannelSpec]) -> Resumed:
        """The session, and the specs for the channels of the token's connection.

        An open connection with this token is dead, because its client is making a new one: its channels are
        freed. A token that restores nothing costs nothing: the client gets new channels.
        """
        if offer.resume is None:
            return Resumed(self._registry.get_live(offer.session), specs)
        claim = self._tokens.find(offer.resume)
        if isinstance(claim, Refusal):
            return Resumed(self._registry.get_live(offer.session), specs, refusal=claim)
        try:
            session = self._registry.get_live(offer.session or claim.session)
        except RequestError:
            if offer.session is not None:
                raise
            return Resumed(self._registry.current(), specs, refusal=Refusal.SESSION_ENDED)
        requested = {spec.channel for spec in specs if spec.channel is not None}
        if claim.session != session.id or len(claim.channels) != len(specs):
            return Resumed(session, specs, refusal=Refusal.OTHER_CHANNELS)
        if not requested <= set(claim.channels):
            return Resumed(session, specs, refusal=Refusal.OTHER_CHANNELS)
        connection = self._registry.connections.get(claim.connection)
        if connection is not None:
            await self._registry.take_over(connection)
        channels = [self._registry.channel(session, channel_id) for channel_id in claim.channels]
        if any(channel.connection is not None for channel in channels):
            return Resumed(session, specs, refusal=Refusal.CHANNEL_TAKEN)
        return Resumed(session, with_channels(specs, claim.channels), claim)


def with_channels(specs: Sequence[ChannelSpec], channels: Sequence[str]) -> list[ChannelSpec]:
    """The specs, each with a channel: those without one get the remaining channels, in order."""
    requested = {spec.channel for spec in specs}
    rest = iter([channel for channel in channels if channel not in requested])
    return [spec if spec.channel is not None else replace(spec, channel=next(rest)) for spec in specs]


def parse_offer(body: dict[str, Any]) -> OfferBody:
    """Check the fields of the body. Raises RequestError, which names the field."""
    sdp = body.get("sdp")
    if not isinstance(sdp, str) or not sdp.strip():
        raise RequestError(
            "missing_field", "the body has no `sdp`; send the text of the local description", 400
        )
    if body.get("type") != "offer":
        raise RequestError("bad_type", '`type` must be "offer"; the server sends the answer', 422)
    channels = body.get("channels") or []
    if not isinstance(channels, list) or not all(isinstance(entry, dict) for entry in channels):
        raise RequestError("bad_field", "`channels` must be a list of objects", 422)
    check_fields(body, FIELDS, "the body")
    for entry in channels:
        check_fields(entry, CHANNEL_FIELDS, "an entry of `channels`")
    return OfferBody(
        sdp=sdp,
        session=text_field(body, "session", 64),
        specs=tuple(
            (text_field(entry, "mid", 64), channel_spec_of(entry))
            for entry in channels
            if entry.get("ignore") is not True
        ),
        ignored=frozenset(
            text_field(entry, "mid", 64) or "" for entry in channels if entry.get("ignore") is True
        ),
        resume=text_field(body, "resume", 200),
        connection=text_field(body, "connection", 64),
    )


def without(offer: Offer, ignored: Set[str]) -> list[MediaLine]:
    """The lines that feed channels. An ignored mid may be any line of the offer; else RequestError 422."""
    unknown = ignored - {line.mid for line in offer.lines}
    if unknown:
        raise RequestError(
            "unknown_mid", f"`ignore` names mid {min(unknown)!r}, which the offer does not have", 422
        )
    return [line for line in offer.audio if line.mid not in ignored]


def match_lines(
    offer: Offer, lines: Sequence[MediaLine], specs: Sequence[tuple[str | None, ChannelSpec]]
) -> list[ChannelSpec]:
    """One spec for each of `lines`: by mid where it is given, else in order. Raises RequestError 422."""
    by_mid = {mid: spec for mid, spec in specs if mid is not None}
    in_order = [spec for mid, spec in specs if mid is None]
    unknown = by_mid.keys() - {line.mid for line in lines}
    if unknown:
        mid = min(unknown)
        fault = offer.fault_of(mid)
        if fault is not None:
            raise RequestError(fault.code, fault.message, 422)
        raise RequestError("unknown_mid", f"the offer has no new audio line with mid {mid!r}", 422)
    if len(by_mid) + len(in_order) != len(specs):
        raise RequestError("duplicate_mid", "`channels` names an audio line twice", 422)
    if len(specs) > len(lines):
        raise RequestError(
            "too_many_wishes",
            f"`channels` has {len(specs)} entries for {len(lines)} audio lines that can feed a channel",
            422,
        )
    rest = iter(in_order)
    return [by_mid[line.mid] if line.mid in by_mid else next(rest, ChannelSpec()) for line in lines]
