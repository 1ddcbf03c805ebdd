"""ICE over TCP: one connection that a peer opened to this server's port, with packets framed as in RFC 4571.

This module frames the packets and limits the connection. `one_port.py` decides which peer it belongs to, by
the first ICE request (RFC 6544, the passive side). Invariant: a connection without a peer is closed after
10 s, and the data that waits to be sent is bounded.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, cast

from webrtc_host.transport.udp_socket import DATAGRAM_MAX, Address

logger = logging.getLogger(__name__)

OWNER_S = 10.0  # time for the peer's first signed ICE request
SEND_BYTES_MAX = 256 * 1024  # waiting to be sent; more is dropped, as a full network drops packets


class IceTcp(asyncio.Protocol):
    """A framed connection. The one port binds it to a peer when the peer has shown its ICE password."""

    def __init__(
        self,
        take: Callable[[bytes, IceTcp], None],
        on_lost: Callable[[IceTcp], None],
        on_bound: Callable[[], None] = lambda: None,
    ) -> None:
        """take: gets each packet. on_lost: called at the end. on_bound: called when it is bound to a peer."""
        self._on_bound = on_bound
        self._owner: object | None = None
        self.address: Address = ("", 0)
        self.unsent = 0
        self._take = take
        self._on_lost = on_lost
        self._buffer = bytearray()
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    @property
    def owner(self) -> object | None:
        """What the connection is bound to, such as the path to a peer; None: no peer yet, or no longer."""
        return self._owner

    def bind(self, owner: object) -> None:
        self._owner = owner
        self._on_bound()

    def unbind(self) -> object | None:
        """Forget the owner; returns it."""
        owner, self._owner = self._owner, None
        return owner

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer: tuple[Any, ...] = transport.get_extra_info("peername") or ("", 0)
        self.address = (peer[0], peer[1])
        self._timer = asyncio.get_running_loop().call_later(OWNER_S, self._give_up)
        logger.debug("- %s opened ICE over TCP", self.address)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 2:
            length = int.from_bytes(self._buffer[:2], "big")
            if length > DATAGRAM_MAX:
                logger.debug("x %s sent a frame of %d bytes", self.address, length)
                self.close()
                return
            if len(self._buffer) < 2 + length:
                return
            frame = bytes(self._buffer[2 : 2 + length])
            del self._buffer[: 2 + length]
            self._take(frame, self)

    def connection_lost(self, error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._buffer.clear()
        self._on_lost(self)
        logger.debug("- %s closed ICE over TCP", self.address)

    @property
    def waiting_bytes(self) -> int:
        """Bytes that the connection has not sent yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def send(self, data: bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            self.unsent += 1
        elif transport.get_write_buffer_size() > SEND_BYTES_MAX:
            self.unsent += 1
        else:
            transport.write(len(data).to_bytes(2, "big") + data)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _give_up(self) -> None:
        if self.owner is None:
            logger.debug("x %s opened ICE over TCP and did not show a peer's password", self.address)
            self.close()
