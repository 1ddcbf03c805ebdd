"""From the request to the conversation: the key, admission, the upgrade, and refusals before it.

A door of a protocol calls `converse` in its handler. Its clients often print the HTTP status of a refusal,
and not the reason of a close frame, so everything that the request itself shows is checked before the
upgrade. No model is loaded here: some clients wait for one second only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from aiohttp import web

from webrtc_host.doors.socket_messages import read_in_small_pieces
from webrtc_host.errors import RequestError
from webrtc_host.http.auth import GATE, key_of
from webrtc_host.http.keys import KeyPlaces
from webrtc_host.http.server import check_upgrade
from webrtc_host.wires.caller import RequestCaller
from webrtc_host.wires.concluding import Companion
from webrtc_host.wires.conversation import Conversation
from webrtc_host.wires.messages import Codec, Opened
from webrtc_host.wires.outgoing import CLOSE_TIMEOUT_S
from webrtc_host.wires.site import Site, Traits

AnyCodec = TypeVar("AnyCodec", bound=Codec)
Refuse = Callable[[RequestError], web.Response]
"""Makes the HTTP response of a refusal, in the form of the protocol."""


def check_caller(request: web.Request, places: KeyPlaces) -> None:
    """Check the key of a route that has `checks_key`. Raises RequestError 401, 403, 429."""
    request.app[GATE].check_key(request, places.key_in(request.headers, request.query))


async def converse(
    site: Site,
    traits: Traits,
    request: web.Request,
    make_codec: Callable[[], AnyCodec],
    *,
    keys: KeyPlaces,
    refuse: Refuse,
    headers: Callable[[AnyCodec], Mapping[str, str]] = lambda codec: {},
    check: Callable[[web.Request], None] | None = None,
    companion: Companion | None = None,
) -> web.StreamResponse:
    """Handle a WebSocket request. make_codec may raise RequestError for a bad query.

    keys: where the key is. headers: of the response to the upgrade, after admission. check: checks the key in
    place of `check_caller`, for a protocol with keys of its own. companion: see `concluding`.
    """
    with site.rates.socket(key_of(request)) as rate:
        try:
            check_upgrade(request)
            if check is None:
                check_caller(request, keys)
            else:
                check(request)
            codec = make_codec()
            caller = RequestCaller(request)
            conversation = Conversation(site, traits, codec, caller, rate, companion)
            await conversation.admit()
        except RequestError as error:
            site.totals["refused"] += 1
            return refuse(error)
        response = new_socket(traits)
        response.headers.update(headers(codec))
        try:
            await response.prepare(request)
        except BaseException:
            await conversation.abandon()
            raise
        read_in_small_pieces(request)
        await conversation.run(response)
        return response


def opened_headers(opened: Opened | None) -> dict[str, str]:
    """Response headers that tell a client where its text is: most protocols have no message for it."""
    if opened is None:
        return {}
    return {"Host-STT-Session": opened.session, "Host-STT-Channel": ",".join(opened.channels.values())}


def new_socket(traits: Traits) -> web.WebSocketResponse:
    # No heartbeat: when a client is slowed down, its pong would wait behind its own audio.
    return web.WebSocketResponse(
        timeout=CLOSE_TIMEOUT_S,
        autoping=False,
        compress=False,
        max_msg_size=traits.message_bytes,
        protocols=traits.subprotocols,
    )
