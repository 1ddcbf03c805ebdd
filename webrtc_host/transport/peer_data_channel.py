"""The data channel of a WebRTC client: it is given to its reader, and the client's pings are answered."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable

from aiortc import RTCDataChannel

from host_stt_common.rates import watcher_messages
from webrtc_host.session.connection import Connection
from webrtc_host.session.publisher_status import publisher_status, read_ping
from webrtc_host.session.session import Session

logger = logging.getLogger(__name__)

DATA_CHANNEL = "transcript"
PONG_BUFFER_BYTES_MAX = 64 * 1024  # no more pongs for a client that does not read them

DrainDataChannel = Callable[[], Awaitable[None]]
"""Returns when the last events were sent, or cannot be sent; takes at most one second."""
AttachDataChannel = Callable[[RTCDataChannel, Session, tuple[str, ...]], DrainDataChannel | None]
"""Gives the client's data channel to its reader: (data channel, session, ids of its audio channels)."""


class PeerDataChannel:
    """Of one peer. Other data channels of the client are left alone."""

    def __init__(self, attach: AttachDataChannel, label: str | None) -> None:
        """label: of the data channel that `attach` gets; None: the client's first one."""
        self._attach, self._label = attach, label
        self._drain: DrainDataChannel | None = None
        self._pings = watcher_messages()  # limit of pings; a page sends one a second

    def take(self, channel: RTCDataChannel, connection: Connection) -> None:
        """The client has opened a data channel."""
        if not self._is_wanted(channel):
            return
        ids = tuple(c.id for c in connection.channels)
        channel.on("message", lambda message: self._answer_ping(channel, connection, message))
        try:
            self._drain = self._attach(channel, connection.session, ids)
        except Exception:
            logger.exception("connection %s: the data channel could not be attached", connection.id[:6])

    async def drain(self) -> None:
        """Wait until the reader has sent the last events, or cannot."""
        if self._drain is not None:
            await self._drain()

    def _is_wanted(self, channel: RTCDataChannel) -> bool:
        return self._drain is None if self._label is None else channel.label == self._label

    def _answer_ping(self, channel: RTCDataChannel, connection: Connection, message: object) -> None:
        """Reply to `{"type":"ping","id":7}` with a pong: same id, the session's time, what was received."""
        ping = read_ping(message)
        if ping is None or channel.readyState != "open":
            return
        if not self._pings.take(1, asyncio.get_running_loop().time()):
            return  # pings over the limit get no reply
        if channel.bufferedAmount < PONG_BUFFER_BYTES_MAX:
            channel.send(json.dumps({"type": "pong", "id": ping, **publisher_status(connection)}))
