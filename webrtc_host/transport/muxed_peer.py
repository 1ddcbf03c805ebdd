"""One peer as the one port sees it: its ICE connection, the addresses it came from, and how much it may send.

Owns the gathering of the peer's candidates and the choice of its path back; the tables over all peers are the
one port's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from aioice.candidate import Candidate
from aiortc import RTCPeerConnection

from host_stt_common.rates import Bucket
from webrtc_host.transport import aioice_seam as seam
from webrtc_host.transport.direct_path import DirectPath, direct_path
from webrtc_host.transport.ice_tcp import IceTcp
from webrtc_host.transport.packet_rate import rate_of_lines
from webrtc_host.transport.udp_socket import Address

ADDRESSES_MAX = 256  # that one peer may come from while it lasts; aioice keeps a pair for each
STREAMS_MAX = 8  # TCP connections of one peer
WAITING_MAX = 16_384  # packets that wait for one peer: 5 s of 64 audio lines, 5 min of one
MOVED_AFTER_S = 1.0  # an address in use sends fifty packets in this time
GATHER_S = 2  # for relays and the look from outside; an answer waits for it
NEWCOMER_PER_S, NEWCOMER_BURST = 50, 500


@dataclass(slots=True)
class Path:
    """An address that has shown the peer's ICE password."""

    peer: MuxedPeer
    protocol: Any  # the StunProtocol that answers it
    address: Address
    own: str | None  # our address it talks to, where that has to be said
    heard_s: float


class Port(Protocol):
    """What a peer asks of the one port."""

    def attach(self, peer: MuxedPeer) -> list[Candidate]: ...

    async def reflexive(self, peer: MuxedPeer) -> list[Candidate]: ...

    def expects_relay(self, server: object) -> bool: ...

    def miss_relay(self, server: object) -> None: ...


class MuxedPeer:
    def __init__(
        self,
        ufrag: str,
        pc: RTCPeerConnection,
        connection: Any,
        on_flood: Callable[[], None],
        declined: int = 0,
    ) -> None:
        """connection: pc's ICE connection; ufrag: its local user name; declined: lines besides pc's own."""
        self.ufrag = ufrag
        self.connection = connection
        self.on_flood = on_flood
        self.paths: dict[Address, Path] = {}  # UDP
        self.streams: dict[Address, IceTcp] = {}
        self.protocols: dict[int, Any] = {}  # UDP, by address family
        self.tcp_protocol: Any = None
        self.addresses_seen = 0
        self.is_cut = False
        self.direct: DirectPath | None = direct_path(pc)
        # STUN from addresses that are not the peer's yet: signed or not, it costs.
        self.newcomers = Bucket(NEWCOMER_PER_S, NEWCOMER_BURST)
        self._pc = pc
        self._declined = declined
        self._lines = len(pc.getTransceivers()) + declined
        self.rate = rate_of_lines(self._lines)

    def may_send(self, now_s: float) -> bool:
        """One more packet is not too many. Media lines may have been added meanwhile."""
        if self.rate.take(1, now_s):
            return True
        lines = len(self._pc.getTransceivers()) + self._declined
        if lines <= self._lines:
            return False
        self._lines, self.rate = lines, rate_of_lines(lines)
        return True

    def gathers_through(self, port: Port) -> None:
        gather_relays: seam.Gather

        async def gather(component: int, addresses: list[str]) -> list[Candidate]:
            """Ours, then what a TURN server gives (still aioice's own work) and a STUN server sees."""
            candidates = port.attach(self)
            server = self.connection.turn_server
            if server is None or not port.expects_relay(server):
                return candidates + await port.reflexive(self)
            relays, seen = await asyncio.gather(
                gather_relays(component, [], timeout=GATHER_S), port.reflexive(self)
            )
            if not relays:
                port.miss_relay(server)
            return [*candidates, *seen, *relays]

        gather_relays = seam.replace_gathering(self.connection, gather)

    def let_go(self) -> None:
        """It is closed. Whoever still holds a part of it shall not hold all."""
        self.on_flood = _nothing
        self.direct = None
        del self._pc
        seam.restore_gathering(self.connection)

    def protocol_asking(self, transaction: bytes) -> Any:
        """The protocol that has this STUN question open; None when none has."""
        for protocol in (*self.protocols.values(), self.tcp_protocol):
            if protocol is not None and transaction in protocol.transactions:
                return protocol
        return None

    def follow(self, message: seam.Message, path: Path, now_s: float) -> None:
        """A signed request from another address than the one in use, which is silent: the peer has moved.

        A browser says so by nominating anew. Others only go on asking; sound from them would be heard, but
        nothing of ours would reach them, and after 30 s both sides would give up.
        """
        pair = self.connection._nominated.get(seam.COMPONENT)
        if pair is None or self.connection.ice_controlling or "USE-CANDIDATE" in message.attributes:
            return
        if pair.protocol is path.protocol and pair.remote_addr == path.address:
            return
        used = self.paths.get(pair.remote_addr)
        if used is not None and now_s - used.heard_s > MOVED_AFTER_S:
            message.attributes["USE-CANDIDATE"] = None

    def way(self) -> str:
        """udp, tcp or relay: the path in use; empty before there is one."""
        found = seam.path_of(self.connection)
        if found is None:
            return ""
        protocol, remote_type = found
        if protocol is self.tcp_protocol:
            return "tcp"
        return "udp" if remote_type != "relay" and protocol in self.protocols.values() else "relay"


def _nothing() -> None:
    return None
