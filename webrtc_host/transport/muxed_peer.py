"""One peer of the one port: its ICE connection, the addresses it sends from, and its limit of packets.

This module gathers the peer's candidates and chooses the path for packets to the peer. The tables of all
peers are in `one_port.py`.
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

ADDRESSES_MAX = 256  # addresses of one peer during its life; aioice keeps a candidate pair for each
STREAMS_MAX = 8  # TCP connections of one peer
WAITING_MAX = 16_384  # packets that wait for one peer: 5 s of 64 audio lines, 5 min of one
MOVED_AFTER_S = 1.0  # an address without packets for so long is not in use; audio is 50 packets in this time
GATHER_S = 2  # for relay and server-reflexive candidates; the answer waits for them
NEW_ADDRESS_PER_S, NEW_ADDRESS_BURST = 50, 500


@dataclass(slots=True)
class Path:
    """An address that has shown the peer's ICE password."""

    peer: MuxedPeer
    protocol: Any  # the StunProtocol that sends to it
    address: Address
    own: str | None  # our address that it sends to; None where the socket has only one
    last_packet_s: float  # when its last packet came

    def note_packet(self, now_s: float) -> None:
        self.last_packet_s = now_s

    def note_own(self, own: str | None) -> None:
        """The peer sends to this address of ours, so the packets to the peer leave from it."""
        self.own = own


class Port(Protocol):
    """The methods of the one port that a peer calls."""

    def attach(self, peer: MuxedPeer) -> list[Candidate]: ...

    async def reflexive(self, peer: MuxedPeer) -> list[Candidate]: ...

    def expects_relay(self, server: object) -> bool: ...

    def note_missing_relay(self, server: object) -> None: ...


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
        self._on_flood = on_flood
        self.paths: dict[Address, Path] = {}  # UDP
        self.streams: dict[Address, IceTcp] = {}
        self.protocols: dict[int, Any] = {}  # UDP, by address family
        self._tcp_protocol: Any = None
        self._addresses_seen = 0
        self._is_cut = False
        self.direct: DirectPath | None = direct_path(pc)
        # STUN requests from addresses that are not bound to the peer. Checking each signature costs time.
        self.new_address_budget = Bucket(NEW_ADDRESS_PER_S, NEW_ADDRESS_BURST)
        self._pc = pc
        self._declined = declined
        self._lines = len(pc.getTransceivers()) + declined
        self.rate = rate_of_lines(self._lines)

    @property
    def is_cut(self) -> bool:
        """Whether the peer sent too many packets and was ended for that."""
        return self._is_cut

    def mark_cut(self) -> None:
        """Accept no more requests of this peer: it sent too many packets."""
        self._is_cut = True

    def report_flood(self) -> None:
        """Let the holder of the peer end it, because it sent too many packets."""
        self._on_flood()

    def can_bind(self) -> bool:
        """Whether one more address may be bound to the peer."""
        return self._addresses_seen < ADDRESSES_MAX

    def bind(self, family: int, address: Address, own: str | None, now_s: float) -> Path:
        """A UDP address has shown the peer's ICE password."""
        self._addresses_seen += 1
        path = self.paths[address] = Path(self, self.protocols[family], address, own, now_s)
        return path

    def bind_stream(self, stream: IceTcp, make_protocol: Callable[[], Any], now_s: float) -> Path | None:
        """A TCP connection has shown the peer's ICE password. None: refused, it has too many of them.

        make_protocol: makes the StunProtocol for TCP, which is the same for all TCP connections of the peer.
        """
        if len(self.streams) >= STREAMS_MAX:
            return None
        if self._tcp_protocol is None:
            self._tcp_protocol = make_protocol()
        self._addresses_seen += 1
        self.streams[stream.address] = stream
        path = Path(self, self._tcp_protocol, stream.address, None, now_s)
        stream.bind(path)
        return path

    def may_send(self, now_s: float) -> bool:
        """Count one packet; False when it is over the limit, which grows when media lines are added."""
        if self.rate.take(1, now_s):
            return True
        lines = len(self._pc.getTransceivers()) + self._declined
        if lines <= self._lines:
            return False
        self._lines, self.rate = lines, rate_of_lines(lines)
        return True

    def gather_through(self, port: Port) -> None:
        """Replace the connection's gathering of candidates by one that uses the one port."""
        gather_relays: seam.Gather

        async def gather(component: int, addresses: list[str]) -> list[Candidate]:
            """Host candidates of the one port, relays (aioice asks the TURN server), and reflexive ones."""
            candidates = port.attach(self)
            server = self.connection.turn_server
            if server is None or not port.expects_relay(server):
                return candidates + await port.reflexive(self)
            relays, seen = await asyncio.gather(
                gather_relays(component, [], timeout=GATHER_S), port.reflexive(self)
            )
            if not relays:
                port.note_missing_relay(server)
            return [*candidates, *seen, *relays]

        gather_relays = seam.replace_gathering(self.connection, gather)

    def detach(self) -> None:
        """Drop the references to other parts of a closed peer: its holder must not keep them in memory."""
        self._on_flood = _nothing
        self.direct = None
        del self._pc
        seam.restore_gathering(self.connection)

    def protocol_of_transaction(self, transaction: bytes) -> Any:
        """The protocol that sent the STUN request with this transaction ID; None when there is none."""
        for protocol in (*self.protocols.values(), self._tcp_protocol):
            if protocol is not None and transaction in protocol.transactions:
                return protocol
        return None

    def follow_address(self, message: seam.Message, path: Path, now_s: float) -> None:
        """Move to the address of a signed request when the address in use sends nothing any more.

        Browsers ask for this move by nominating the new pair (USE-CANDIDATE). Other clients only go on
        sending requests. Their audio would arrive, but our packets would go to the old address, and after
        30 s both sides would give up. So such a request is treated as a nomination.
        """
        pair = self.connection._nominated.get(seam.COMPONENT)
        if pair is None or self.connection.ice_controlling or "USE-CANDIDATE" in message.attributes:
            return
        if pair.protocol is path.protocol and pair.remote_addr == path.address:
            return
        used = self.paths.get(pair.remote_addr)
        if used is not None and now_s - used.last_packet_s > MOVED_AFTER_S:
            message.attributes["USE-CANDIDATE"] = None

    def way(self) -> str:
        """udp, tcp or relay: the path in use; empty before there is one."""
        found = seam.path_of(self.connection)
        if found is None:
            return ""
        protocol, remote_type = found
        if protocol is self._tcp_protocol:
            return "tcp"
        return "udp" if remote_type != "relay" and protocol in self.protocols.values() else "relay"


def _nothing() -> None:
    return None
