"""The UDP sockets of the one port, and the addresses whose packets the system drops.

A host name can have several addresses. All sockets receive; the first one of each address family also sends.
Invariant: after `close` no socket is open.
"""

from __future__ import annotations

import asyncio
import functools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from webrtc_host.transport.listening import Listening, open_sockets
from webrtc_host.transport.udp_socket import Address, Packet, UdpSocket

BLOCKED_S = 60.0  # how long the addresses of a peer that sent too much are blocked


class PortSockets:
    def __init__(self, on_packets: Callable[[int, list[Packet]], None]) -> None:
        """on_packets: called with the address family and the packets that came."""
        self._on_packets = on_packets
        self._listening: Listening | None = None
        self._senders: dict[int, UdpSocket] = {}  # by address family
        self._receive_only: list[UdpSocket] = []
        self._blocked: dict[Address, None] = {}

    def __iter__(self) -> Iterator[UdpSocket]:
        return iter((*self._senders.values(), *self._receive_only))

    @property
    def listening(self) -> Listening | None:
        """The open sockets; None while the port is not open."""
        return self._listening

    @property
    def senders(self) -> dict[int, UdpSocket]:
        """The sockets that send, by address family."""
        return self._senders

    def open(self, host: str, port: int) -> Listening:
        """Bind the sockets and begin to read UDP. The caller listens on the TCP sockets.

        Raises OSError when a port is in use.
        """
        listening = self._listening = open_sockets(host, port)
        for sock in listening.udp:
            reader = UdpSocket(sock, functools.partial(self._on_packets, sock.family))
            if self._senders.setdefault(sock.family, reader) is not reader:
                self._receive_only.append(reader)
            reader.start()
        return listening

    def close(self) -> None:
        for reader in self:
            reader.close()
        if self._listening is not None:
            self._listening.close()
        self._senders.clear()
        self._receive_only.clear()
        self._listening = None

    def block(self, addresses: Sequence[Address]) -> None:
        """Let the system drop the packets of these addresses for BLOCKED_S.

        Packets that are dropped later, in this process, would already have filled the socket's buffer, which
        all peers share.
        """
        self._blocked.update(dict.fromkeys(addresses))
        self._set_filters()
        asyncio.get_running_loop().call_later(BLOCKED_S, self._unblock, addresses)

    def _unblock(self, addresses: Sequence[Address]) -> None:
        for address in addresses:
            self._blocked.pop(address, None)
        self._set_filters()

    def _set_filters(self) -> None:
        for reader in self:
            reader.block(self._blocked)

    def statistics(self) -> dict[str, float]:
        found: Counter[str] = Counter()
        for reader in self:
            found.update(reader.statistics())
        return {name: found[name] for name in ("packets", "rescued", "dropped", "unsent", "waiting")}
