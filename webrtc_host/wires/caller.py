"""What a conversation needs from its client: its name, its audit line, and the socket for its frames.

`RequestCaller` is a client with an HTTP request. A port without HTTP has its own caller and its own socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from aiohttp import web

from webrtc_host.doors.socket_messages import Receiving
from webrtc_host.http.audit import note_feed, token_name
from webrtc_host.http.auth import key_of


class Caller(Protocol):
    @property
    def key(self) -> str:
        """What limits count this caller by."""
        ...

    @property
    def name(self) -> str | None:
        """Of the caller's token; None on a server or port without tokens."""
        ...

    @property
    def is_connected(self) -> bool: ...

    @property
    def transport(self) -> asyncio.Transport | None:
        """Reads nothing while the client is slowed; None: the socket itself limits what waits to be read."""
        ...

    def note_feed(self, session: str, channels: Sequence[str], detail: str) -> None:
        """Write into the audit log that this caller begins to send audio."""
        ...


class FrameSocket(Receiving, Protocol):
    """A socket that carries frames; `aiohttp.web.WebSocketResponse` is one.

    `receive` raises TimeoutError, and RequestError for what cannot be read.
    """

    async def send_str(self, data: str) -> None: ...

    async def send_bytes(self, data: bytes) -> None: ...

    async def close(self, *, code: int = 1000, message: bytes = b"", drain: bool = True) -> bool: ...


class RequestCaller:
    def __init__(self, request: web.Request) -> None:
        self._request = request

    @property
    def key(self) -> str:
        return key_of(self._request)

    @property
    def name(self) -> str | None:
        return token_name(self._request)

    @property
    def is_connected(self) -> bool:
        return self._request.transport is not None

    @property
    def transport(self) -> asyncio.Transport | None:
        return self._request.transport

    def note_feed(self, session: str, channels: Sequence[str], detail: str) -> None:
        note_feed(self._request, "fed", session, channels, detail)
