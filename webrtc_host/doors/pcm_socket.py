"""`GET /ws/pcm/{channel}`: audio over a WebSocket, for programs and for browsers that WebRTC cannot reach.

The route, and what its sockets share: limits, resume tokens, counters, and the number of containers that are
decoded at a time. `pcm_conversation` talks with one client.
"""

from __future__ import annotations

from aiohttp import web

from host_stt_common.rates import FrameRates
from webrtc_host.config import MediaConfig
from webrtc_host.doors.pcm_conversation import CLOSE_TIMEOUT_S, PcmConversation
from webrtc_host.doors.pcm_shared import SharedBySockets, SocketLimits
from webrtc_host.doors.socket_feed import FeedConfig
from webrtc_host.doors.socket_messages import read_in_small_pieces
from webrtc_host.http.auth import key_of
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import check_upgrade
from webrtc_host.seams import SAMPLES_PER_MS
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.session.resume import ResumeTokens


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
        feed = FeedConfig(no_signal_samples=round(media.no_signal_after_s * 1000) * SAMPLES_PER_MS)
        self._shared = SharedBySockets(registry, tokens, self._limits, feed)
        self.rates = rates or FrameRates()

    @Route(
        "GET", "/ws/pcm/{channel}", Role.OPERATOR, "Audio of a channel, over a WebSocket", is_websocket=True
    )
    async def handle(self, request: web.Request) -> web.StreamResponse:
        # No heartbeat: when a client is slowed down, its pong would wait behind its own audio.
        socket = web.WebSocketResponse(
            timeout=CLOSE_TIMEOUT_S,
            autoping=False,
            compress=False,
            max_msg_size=self._limits.hard_frame_bytes,
        )
        check_upgrade(request)
        await socket.prepare(request)
        read_in_small_pieces(request)
        with self.rates.socket(key_of(request)) as rate:
            await PcmConversation(self._shared, request, socket, rate).run()
        return socket

    def statistics(self) -> dict[str, float]:
        """Since the start of the process; a socket is counted when it closes."""
        return {**self._shared.totals}
