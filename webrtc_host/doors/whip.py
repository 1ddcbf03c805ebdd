"""`/whip/{channel}`: WebRTC-HTTP ingestion (RFC 9725), for OBS, FFmpeg, GStreamer and other WHIP clients.

This module has the HTTP part: offer, answer and links, trickled candidates, and the end. `transport.peer`
holds the peer connection; `session.registry` decides which channel it may feed. A WHIP session has one audio
track, so one channel. Invariant: the address of a WHIP session cannot be guessed, and answers DELETE even
after its end.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from urllib.parse import urlencode

from aiohttp import web

from webrtc_host.config import MediaConfig
from webrtc_host.doors.channel_specs import channel_spec_of
from webrtc_host.errors import Overloaded, RequestError
from webrtc_host.http.audit import note_feed, token_name
from webrtc_host.http.body import read_body
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import OPEN_TO_ALL, Route
from webrtc_host.http.server import error_response
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.session.connection import Connection
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.session.session import Session
from webrtc_host.session.takeover import take_over_dead
from webrtc_host.transport.candidates import CANDIDATES_MAX
from webrtc_host.transport.ice_servers import issue
from webrtc_host.transport.one_port import OnePort
from webrtc_host.transport.peer import Peer
from webrtc_host.transport.peer_data_channel import AttachDataChannel
from webrtc_host.transport.sdp import Offer, read_offer
from webrtc_host.transport.trickle import Fragment, read_fragment

ENDPOINT = "/whip/{channel}"
PUBLICATION = "/whip/{channel}/{publication}"
SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"
FRAGMENT_BYTES_MAX = 64 * 1024
EVENTS_REL = "urn:x-host-stt:events"
"""The relation of the link to the session's events.

RFC 9725 has a registry for extensions; this one is not in it.
"""
ENDED_MAX = 4096
"""Ended WHIP sessions that still answer DELETE."""
CONNECTING_MAX = 64
"""Publishers that are still connecting. More are a flood, or clients whose packets do not arrive."""
RETRY_AFTER_S = 5.0


@dataclass(slots=True)
class _Publisher:
    """One WHIP session that is open."""

    path: str
    peer: Peer
    connection: Connection
    ufrags: frozenset[str]  # the client's, of all lines of its offer
    etag: str = field(default_factory=lambda: f'"{secrets.token_hex(8)}"')
    candidates: int = 0


class WhipDoor:
    """The routes of WHIP, with the open and the ended WHIP sessions."""

    def __init__(
        self,
        registry: SessionRegistry,
        media: MediaConfig,
        attach: AttachDataChannel,
        port: OnePort | None = None,
    ) -> None:
        self._registry = registry
        self._media = media
        self._attach = attach
        self._port = port
        self._publishers: dict[str, _Publisher] = {}
        self._ended: OrderedDict[str, int] = OrderedDict()  # path -> seq of the last event
        self.totals = {"published": 0, "refused": 0, "trickled": 0, "candidates": 0}

    def statistics(self) -> dict[str, float]:
        return {**self.totals}

    @Route("OPTIONS", ENDPOINT, OPEN_TO_ALL, "The content types that WHIP accepts")
    @Route("OPTIONS", PUBLICATION, OPEN_TO_ALL, "The content types that WHIP accepts")
    async def options(self, request: web.Request) -> web.Response:
        """Also answers the preflight of browsers, which has no token. `http.server` adds the CORS headers."""
        return web.Response(headers={"Accept-Post": SDP, "Accept-Patch": FRAGMENT})

    @Route("GET", ENDPOINT, Role.OPERATOR, "No content; WHIP publishes with POST", status=204)
    @Route("GET", PUBLICATION, Role.OPERATOR, "No content", status=204)
    async def nothing(self, request: web.Request) -> web.Response:
        """The RFC reserves GET for later versions."""
        return web.Response(status=204)

    @Route(
        "POST",
        ENDPOINT,
        Role.OPERATOR,
        "WHIP: publish to a channel",
        content_type=SDP,
        status=201,
        errors=(409, 413, 415, 422),
    )
    async def publish(self, request: web.Request) -> web.Response:
        try:
            return await self._publish(request)
        except RequestError as error:
            self.totals["refused"] += 1
            response = error_response(_as_whip(error))
            response.headers["Accept-Post"] = SDP
            return response

    async def _publish(self, request: web.Request) -> web.Response:
        text = await _text_of(request, SDP, self._registry.limits.body_bytes)
        offer = _read(text, self._registry.limits.media_lines_per_offer)
        self._check_connecting()
        query = {name: request.query.get(name) for name in ("label", "language")}
        spec = channel_spec_of({**query, "channel": request.match_info["channel"]})
        session = self._registry.get_live(request.query.get("session") or None)
        await take_over_dead(self._registry, self._registry.channel(session, str(spec.channel)))
        peer = Peer(self._registry, self._media, self._attach, self._port)
        try:
            connection = self._registry.connect(
                *(session, DoorKind.WHIP, [spec], peer.end, peer.release),
                by=token_name(request),
                on_disconnect=self._closed,
            )
            answer = await peer.answer(offer, connection)
        except BaseException:
            await asyncio.shield(peer.end("refused"))
            raise
        note_feed(request, "fed", session.id, [str(spec.channel)], f"whip {connection.id}")
        path = f"/whip/{spec.channel}/{secrets.token_urlsafe(24)}"
        publisher = _Publisher(path, peer, connection, offer.ufrags)
        self._publishers[path] = publisher
        if connection.id not in self._registry.connections:  # it ended during the negotiation
            self._closed(connection)
        self.totals["published"] += 1
        return self._created(publisher, answer, session, str(spec.channel))

    def _created(self, publisher: _Publisher, answer: str, session: Session, channel_id: str) -> web.Response:
        response = web.Response(status=201, text=answer, content_type=SDP)
        response.headers["Location"] = publisher.path
        response.headers["ETag"] = publisher.etag
        response.headers["Accept-Patch"] = FRAGMENT
        query = urlencode({"session": session.id, "channels": channel_id})
        response.headers.add("Link", f'</events?{query}>; rel="{EVENTS_REL}"')
        for link in self._ice_links():
            response.headers.add("Link", link)
        return response

    def _ice_links(self) -> list[str]:
        links = []
        for server in issue(self._media.ice_servers, time.time()):
            access = ""
            if server.username:
                access = f"; username={_quoted(server.username)}; credential={_quoted(server.credential)}"
                access += '; credential-type="password"'
            links += [f'<{url}>; rel="ice-server"{access}' for url in server.urls]
        return links

    @Route(
        "PATCH",
        PUBLICATION,
        Role.OPERATOR,
        "WHIP: more ICE candidates",
        status=204,
        errors=(404, 412, 415, 422, 428),
    )
    async def trickle(self, request: web.Request) -> web.Response:
        """Candidates that the client found after its offer. aiortc cannot restart ICE: 422."""
        publisher = self._publishers.get(request.path)
        if publisher is None:
            raise _unknown()
        fragment = read_fragment(await _text_of(request, FRAGMENT, FRAGMENT_BYTES_MAX))
        _check_condition(request.headers.get("If-Match"), publisher, fragment)
        self.totals["trickled"] += 1
        self.totals["candidates"] += len(fragment.candidates)
        space = max(0, CANDIDATES_MAX - publisher.candidates)
        publisher.candidates += len(fragment.candidates)
        await publisher.peer.trickle(Fragment(fragment.ufrag, fragment.candidates[:space]))
        return web.Response(status=204)

    @Route("DELETE", PUBLICATION, Role.OPERATOR, "WHIP: end a publication", errors=(404,))
    async def hang_up(self, request: web.Request) -> web.Response:
        """End the WHIP session. 200 also when it had ended before."""
        publisher = self._publishers.get(request.path)
        if publisher is not None:
            self._ended[request.path] = await publisher.connection.end("hung_up")
        if request.path not in self._ended:
            raise _unknown()
        return web.json_response({"final_seq": self._ended[request.path]})

    def _check_connecting(self) -> None:
        """Raises Overloaded while too many publishers are connecting."""
        channels = [channel for p in self._publishers.values() for channel in p.connection.channels]
        if sum(channel.pipeline is None for channel in channels) >= CONNECTING_MAX:
            raise Overloaded(
                "too_many_connecting",
                f"{CONNECTING_MAX} publishers have not connected yet; try again later",
                retry_after_s=RETRY_AFTER_S,
            )

    def _closed(self, connection: Connection) -> None:
        for path in [path for path, p in self._publishers.items() if p.connection is connection]:
            del self._publishers[path]
            self._ended.setdefault(path, connection.session.log.head_seq)
            while len(self._ended) > ENDED_MAX:
                self._ended.popitem(last=False)


async def _text_of(request: web.Request, content_type: str, limit_bytes: int) -> str:
    """The body as text. Raises RequestError: 400 not UTF-8, 413 too large, 415 another type."""
    if request.content_type != content_type:
        raise RequestError("wrong_type", f"send {content_type}, not {request.content_type[:60]}", 415)
    try:
        return (await read_body(request, limit_bytes)).decode()
    except UnicodeDecodeError as error:
        raise RequestError("bad_sdp", "the body is not UTF-8", 400) from error


def _read(text: str, lines_max: int) -> Offer:
    """The checked offer. Raises RequestError 422 for more than one audio line that could feed a channel."""
    offer = read_offer(text, lines_max)
    if len(offer.audio) > 1:
        raise RequestError(
            "too_many_tracks",
            f"the offer has {len(offer.audio)} audio lines that send; WHIP has one, for one channel",
            422,
        )
    return offer


def _check_condition(if_match: str | None, publisher: _Publisher, fragment: Fragment) -> None:
    """Raises RequestError: 428 without If-Match, 412 for another ETag, 422 for an ICE restart."""
    if if_match is None:
        raise RequestError("no_etag", "send the ETag of the session in If-Match", 428)
    if if_match.strip() == "*" or (fragment.ufrag is not None and fragment.ufrag not in publisher.ufrags):
        raise RequestError(
            "no_ice_restart",
            "ICE cannot be restarted here; the session continues, or POST a new one",
            422,
        )
    if publisher.etag not in (tag.strip() for tag in if_match.split(",")):
        raise RequestError("wrong_etag", "If-Match does not have the session's ETag", 412)


def _as_whip(error: RequestError) -> RequestError:
    """WHIP has 503 for every kind of "too many"; clients obey its Retry-After."""
    if isinstance(error, Overloaded) and error.status == 429:
        return Overloaded(error.code, error.message, retry_after_s=error.retry_after_s or RETRY_AFTER_S)
    return error


def _unknown() -> RequestError:
    return RequestError("unknown_publication", "there is no such WHIP session", 404)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
