"""`/v1/realtime/calls`: audio by WebRTC, with the events of OpenAI's Realtime API on the data channel.

This module has the HTTP part: the offer, the answer with all candidates, and hanging up. `call_opening.py`
makes the call, and `call.py` holds it. Invariant: a refused offer leaves nothing behind.
"""

from __future__ import annotations

import json
import secrets

from aiohttp import web

from host_stt_common.multipart import MULTIPART
from webrtc_host.doors.form import read_fields
from webrtc_host.errors import Overloaded, RequestError
from webrtc_host.http.auth import key_of
from webrtc_host.http.body import read_body
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.session.channel import ChannelSpec
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.transport.sdp import read_offer
from webrtc_host.wires.call import Call
from webrtc_host.wires.call_opening import CallOpener, one_track
from webrtc_host.wires.openai_options import updated
from webrtc_host.wires.openai_sideband import Calls
from webrtc_host.wires.openai_site import LABEL, OpenAiSite

SDP = "application/sdp"
DATA_CHANNEL = "oai-events"
CONNECTING_MAX = 64
"""Calls that are still connecting. More are a flood, or clients whose packets do not arrive."""
RETRY_AFTER_S = 5.0


class CallsDoor:
    def __init__(self, openai: OpenAiSite, calls: Calls, opener: CallOpener) -> None:
        self._openai = openai
        self._calls = calls
        self._opener = opener

    @Route(
        "POST",
        "/v1/realtime/calls",
        Role.OPERATOR,
        "A WebRTC offer from clients of OpenAI's Realtime transcription; the response is the answer",
        content_type=SDP,
        status=201,
        checks_key=True,
        errors=(409, 413, 415, 422),
    )
    @Route(
        "POST",
        "/v1/realtime",
        Role.OPERATOR,
        "The same, at the address of the beta",
        content_type=SDP,
        status=201,
        checks_key=True,
        errors=(409, 413, 415, 422),
    )
    async def call(self, request: web.Request) -> web.Response:
        openai, registry = self._openai, self._openai.site.registry
        openai.check(request)
        text, session_settings = await _read(request, registry.limits.body_bytes)
        settings = updated(openai.settings_of(request), session_settings)
        offer = one_track(read_offer(text, registry.limits.media_lines_per_offer))
        self._check_connecting()
        session = registry.get_live(request.query.get("session") or None)
        channel_id = request.query.get("channel") or None
        await self._opener.make_way(session, channel_id)
        call = Call(openai.site, openai.codec(request, settings, is_call=True), key_of(request))
        call_id = f"rtc_{secrets.token_urlsafe(18)}"
        opened = await self._opener.open(
            *(request, offer, call, DoorKind.OPENAI, session),
            ChannelSpec(channel_id, LABEL, settings.language, settings.terms),
            data_channel=DATA_CHANNEL,
            on_open=lambda: self._calls.add(call_id, call),
            on_closed=lambda connection: self._calls.remove(call_id),
        )
        fed = [channel.id for channel in opened.connection.channels]
        headers = {"Location": f"/v1/realtime/calls/{call_id}", "Host-STT-Session": session.id}
        headers["Host-STT-Channel"] = ",".join(fed)
        return web.Response(status=201, text=opened.answer, content_type=SDP, headers=headers)

    @Route(
        "POST",
        "/v1/realtime/calls/{call}/hangup",
        Role.OPERATOR,
        "End a call after its last audio is transcribed",
        checks_key=True,
        errors=(404,),
    )
    async def hang_up(self, request: web.Request) -> web.Response:
        self._openai.check(request)
        connection = self._calls.get(request.match_info["call"]).connection
        if connection is not None:
            await connection.end("hung_up")
        return web.Response()

    def _check_connecting(self) -> None:
        """Raises Overloaded while too many calls are connecting."""
        connections = [call.connection for call in self._calls]
        channels = [channel for one in connections if one is not None for channel in one.channels]
        if sum(channel.pipeline is None for channel in channels) >= CONNECTING_MAX:
            raise Overloaded(
                "too_many_connecting",
                f"{CONNECTING_MAX} calls have not connected yet; try again later",
                retry_after_s=RETRY_AFTER_S,
            )


async def _read(request: web.Request, bytes_max: int) -> tuple[str, object]:
    """The offer and the session's settings. Raises RequestError: 400 malformed, 413 too large, 415."""
    if request.content_type == MULTIPART:
        fields = await read_fields(request, bytes_max)
        if "sdp" not in fields:
            raise RequestError("missing_field", "the form has no `sdp`", 400)
        try:
            return fields["sdp"], json.loads(fields.get("session") or "null")
        except (ValueError, RecursionError) as error:
            raise RequestError("bad_json", "`session` is not JSON", 400) from error
    if request.content_type != SDP:
        raise RequestError("wrong_type", f"send {SDP} or {MULTIPART}, not {request.content_type[:60]}", 415)
    try:
        return (await read_body(request, bytes_max)).decode(), None
    except UnicodeDecodeError as error:
        raise RequestError("bad_sdp", "the body is not UTF-8", 400) from error
