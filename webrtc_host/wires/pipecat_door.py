"""`/api/offer`: audio by WebRTC from clients of pipecat's SmallWebRTC. `pipecat.py` is the codec.

This module has the HTTP part: offers, later offers of the same connection, a new connection in place of a
broken one (`restart_pc`), and candidates. `call_opening.py` makes the call, on the same media path as every
other offer. Invariants: the id of a connection cannot be guessed; a refused offer leaves nothing behind.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from host_stt_common import __version__
from webrtc_host.doors.channel_specs import channel_spec_of
from webrtc_host.errors import Overloaded, RequestError
from webrtc_host.http.auth import key_of
from webrtc_host.http.body import read_json_object, text_field
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.session.channel import ChannelSpec
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.session.connection import Connection
from webrtc_host.transport.candidates import CANDIDATES_MAX
from webrtc_host.transport.sdp import Offer, read_offer
from webrtc_host.transport.trickle import Fragment
from webrtc_host.wires.call import Call
from webrtc_host.wires.call_opening import CallOpener, OpenCall, one_track
from webrtc_host.wires.pipecat import RESTARTED, PipecatCodec

LABEL = "pipecat"
BODY_BYTES_MAX = 1024 * 1024
CONNECTING_MAX = 64
RETRY_AFTER_S = 5.0
CANDIDATE = "candidate:"
PLACE = ("session", "channel", "label", "language", "glossary")
"""Fields of `request_data` that say where the text goes, as in our own offers."""


@dataclass(slots=True)
class _Client:
    """One open connection."""

    open: OpenCall
    candidates: int = 0


@dataclass(frozen=True, slots=True)
class OfferBody:
    sdp: str
    pc_id: str | None
    is_restart: bool
    place: dict[str, Any]


class PipecatDoor:
    def __init__(self, opener: CallOpener) -> None:
        self._opener = opener
        self._clients: dict[str, _Client] = {}  # by pc_id

    @Route(
        "POST",
        "/api/offer",
        Role.OPERATOR,
        "A WebRTC offer from clients of pipecat's SmallWebRTC; the response has the answer",
        errors=(409, 413, 422),
    )
    async def offer(self, request: web.Request) -> web.Response:
        body = read_body(await read_json_object(request, BODY_BYTES_MAX))
        known = self._clients.get(body.pc_id or "")
        if known is not None and not body.is_restart:
            return await self._offer_again(body, known)
        registry = self._opener.site.registry
        offer = one_track(read_offer(body.sdp, registry.limits.media_lines_per_offer))
        query = {name: request.query[name] for name in ("session", "channel") if name in request.query}
        place = {**body.place, **query}
        session = registry.get_live(text_field(place, "session", 64))
        spec = channel_spec_of(place)
        spec = replace(spec, label=spec.label or LABEL)
        self._check_connecting()
        if known is not None:
            spec = await self._restarted(known, spec)
        await self._opener.make_way(session, spec.channel)
        pc_id = body.pc_id if known is not None and body.pc_id else f"SmallWebRTC-{secrets.token_urlsafe(18)}"
        return await self._open(request, offer, pc_id, session.id, spec)

    async def _open(
        self, request: web.Request, offer: Offer, pc_id: str, session_id: str, spec: ChannelSpec
    ) -> web.Response:
        site = self._opener.site
        call = Call(site, PipecatCodec(__version__, datetime.now(UTC)), key_of(request))

        def closed(connection: Connection) -> None:
            client = self._clients.get(pc_id)
            if client is not None and client.open.connection is connection:
                del self._clients[pc_id]

        opened = await self._opener.open(
            request, offer, call, DoorKind.PIPECAT, site.registry.get_live(session_id), spec, on_closed=closed
        )
        if opened.connection.id in site.registry.connections:  # it may have ended during the negotiation
            self._clients[pc_id] = _Client(opened)
        return _answered(opened.answer, pc_id, opened.connection)

    async def _restarted(self, known: _Client, spec: ChannelSpec) -> ChannelSpec:
        """The client's connection broke: it frees its channel, which the new one continues."""
        connection = known.open.connection
        former = next((channel.id for channel in connection.channels), None)
        known.open.call.note_end(RESTARTED)
        await self._opener.site.registry.take_over(connection, RESTARTED)
        return spec if spec.channel is not None else replace(spec, channel=former)

    async def _offer_again(self, body: OfferBody, known: _Client) -> web.Response:
        """A later offer of the same connection. Its audio line stays the one that feeds the channel."""
        limits, peer = self._opener.site.registry.limits, known.open.peer
        offer = read_offer(body.sdp, limits.media_lines_per_offer, is_first=False)
        if {line.mid for line in offer.audio} != peer.mids.keys():
            message = "the audio line of a connection cannot change; connect again with `restart_pc`"
            raise RequestError("other_tracks", message, 422)
        answer = await peer.answer_again(offer, {})
        return _answered(answer, body.pc_id or "", known.open.connection)

    @Route(
        "PATCH",
        "/api/offer",
        Role.OPERATOR,
        "More ICE candidates of a client of pipecat's SmallWebRTC",
        errors=(404, 422),
    )
    async def trickle(self, request: web.Request) -> web.Response:
        body = await read_json_object(request, BODY_BYTES_MAX)
        client = self._clients.get(text_field(body, "pc_id", 100) or "")
        if client is None:
            raise RequestError("unknown_connection", "there is no connection with this `pc_id`", 404)
        texts = read_candidates(body)[: CANDIDATES_MAX - client.candidates]
        client.candidates += len(texts)
        await client.open.peer.trickle(Fragment(None, tuple(texts)))
        return web.json_response({"status": "success"})

    def _check_connecting(self) -> None:
        """Raises Overloaded while too many clients are connecting."""
        channels = [channel for one in self._clients.values() for channel in one.open.connection.channels]
        if sum(channel.pipeline is None for channel in channels) >= CONNECTING_MAX:
            raise Overloaded(
                "too_many_connecting",
                f"{CONNECTING_MAX} clients have not connected yet; try again later",
                retry_after_s=RETRY_AFTER_S,
            )


def read_body(body: dict[str, Any]) -> OfferBody:
    """Raises RequestError 400, 422. Fields of other versions of the client are ignored."""
    sdp = body.get("sdp")
    if not isinstance(sdp, str) or not sdp.strip():
        raise RequestError("missing_field", "the body has no `sdp`", 400)
    if body.get("type") != "offer":
        raise RequestError("bad_type", '`type` must be "offer"; the server sends the answer', 422)
    given = body.get("request_data", body.get("requestData"))
    place = {name: given[name] for name in PLACE if name in given} if isinstance(given, dict) else {}
    return OfferBody(sdp, text_field(body, "pc_id", 100), body.get("restart_pc") is True, place)


def read_candidates(body: dict[str, Any]) -> list[str]:
    """The candidates without `candidate:`. Raises RequestError 422."""
    given = body.get("candidates")
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise RequestError("bad_field", "`candidates` must be a list of objects", 422)
    texts = [text_field(one, "candidate", 1000) or "" for one in given]
    return [text.removeprefix("a=").removeprefix(CANDIDATE) for text in texts if text]


def _answered(answer: str, pc_id: str, connection: Connection) -> web.Response:
    """The last two fields are ours; the client ignores them."""
    channels = [channel.id for channel in connection.channels]
    where = {"session": connection.session.id, "channels": channels}
    return web.json_response({"sdp": answer, "type": "answer", "pc_id": pc_id, **where})
