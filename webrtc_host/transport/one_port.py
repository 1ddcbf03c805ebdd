"""One UDP port and one TCP port for the packets of all peers, instead of a UDP socket per peer and address.

This module passes each packet to its peer; `peer_table.py` has the tables. A STUN request is matched by the
user name in it and by the password that signed it. Every other packet is matched by its source address, which
such a request has bound to a peer before (the first byte separates STUN from the rest, RFC 7983). A peer that
moves to another address (NAT rebinding) is found again by its next signed request. `udp_socket.py` and
`ice_tcp.py` read the packets; `aioice_seam.py` is the only module that uses the internals of aioice.
Invariants: no packet reaches a peer from an address that has not shown the peer's ICE password. A packet that
cannot be handled is dropped alone. A peer that sends too many packets is ended, and no other peer. When all
peers are closed, all tables are empty.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from aioice.candidate import Candidate
from aiortc import RTCPeerConnection

from webrtc_host.transport import aioice_seam as seam
from webrtc_host.transport.direct_path import RejectedPacketError
from webrtc_host.transport.host_addresses import HostAddresses
from webrtc_host.transport.ice_tcp import IceTcp
from webrtc_host.transport.listening import Listening
from webrtc_host.transport.muxed_peer import WAITING_MAX, MuxedPeer, Path
from webrtc_host.transport.peer_table import PeerTable
from webrtc_host.transport.port_sockets import PortSockets
from webrtc_host.transport.server_candidates import ServerCandidates
from webrtc_host.transport.udp_socket import Address, Packet, UdpSocket

logger = logging.getLogger(__name__)

TCP_MAX = 1024
REPEAT_S = 60.0  # time between two log lines of the same kind
MEDIA_FIRST = 128  # first byte of RTP and RTCP
MEDIA_BYTES_MAX = 1500  # size of libsrtp's buffer; a longer packet would make aiortc end the whole peer
_CLASS_BITS, _REQUEST, _INDICATION = 0x0110, 0x0000, 0x0010


@dataclass
class Figures:
    """Counters of the one port, for `/metrics`; packets unless the name says otherwise."""

    unknown: int = 0  # no peer was found for it
    unsigned: int = 0  # a known user name with a wrong password
    refused: int = 0  # SRTP with a wrong signature, or sent twice
    overflowed: int = 0  # the peer's queue was full
    flooded: int = 0  # over the peer's limit
    cut: int = 0  # peers that were ended for that
    errors: int = 0  # could not be handled
    tcp_opened: int = 0


class OnePort:
    """Passes packets between the sockets and the peers. Everything runs in the event loop."""

    def __init__(
        self,
        hosts: HostAddresses | None = None,
        *,
        is_proxied: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """is_proxied: requests from loopback may come from a proxy that acts for other machines."""
        self.figures = Figures()
        self._hosts = hosts or HostAddresses()
        self._is_proxied = is_proxied
        self._is_local = False  # peers must be on this machine
        self._clock = clock
        self._sockets = PortSockets(self.on_udp_packets)
        self._table = PeerTable()
        self._servers = ServerCandidates(clock, self._may_log)
        self._streams: set[IceTcp] = set()
        self._logged_s: dict[str, float] = {}  # when a log line was written, by kind

    @property
    def is_open(self) -> bool:
        return self._sockets.listening is not None

    def open(self, host: str, port: int) -> Listening:
        """Bind the sockets and begin to read UDP. The caller listens on the TCP sockets.

        Raises OSError when a port is in use, ConfigError when aioice has other internals than expected.
        """
        seam.check_names()
        listening = self._sockets.open(host, port)
        self._is_local = listening.is_local and not (self._is_proxied or self._hosts.announced)
        return listening

    def close(self) -> None:
        for stream in list(self._streams):
            stream.close()
        self._sockets.close()

    # Peers

    def adopt(self, pc: RTCPeerConnection, on_flood: Callable[[], None], declined: int = 0) -> None:
        """Let the packets of this peer go through the one port.

        Call it after aiortc took the offer, and before the answer is written. The number of audio lines
        decides how many packets are allowed. on_flood: called once when the peer sends too many.
        declined: further lines, which were declined; some clients send on them all the same.
        While the port is not open, nothing changes: the peer uses aioice's own sockets.
        """
        connection = seam.ice_connection(pc)
        if connection is None or not self.is_open:
            return
        ufrag = seam.rename(connection, self._table.__contains__)
        MuxedPeer(ufrag, pc, connection, on_flood, declined).gather_through(self)

    def attach(self, peer: MuxedPeer) -> list[Candidate]:
        """The peer begins to gather candidates: enter it into the tables; returns our host candidates."""
        assert self._sockets.listening is not None
        candidates = self._host_candidates(self._sockets.listening)
        self._table.add(peer)
        for family, reader in self._sockets.senders.items():
            local = seam.candidate_of_family(candidates, family, reader.sock.getsockname())
            send = functools.partial(self._send_udp, peer, reader)
            peer.protocols[family] = seam.attach_protocol(
                peer.connection, local, send, functools.partial(self._remove_peer, peer)
            )
        return candidates

    def _host_candidates(self, listening: Listening) -> list[Candidate]:
        """Our addresses for peers: TCP only where it listens, loopback only for peers on this machine."""
        announced: dict[str, tuple[str, ...]] = {}
        for transport, sockets in (("udp", listening.udp), ("tcp", listening.tcp)):
            bound = [sock.getsockname()[0] for sock in sockets]
            announced[transport] = self._hosts.candidates(bound, with_loopback=self._is_local)
        if listening.is_local and not (self._is_local or self._hosts.announced):
            announced["tcp"] = ()  # TCP listens on loopback for the proxy; no peer can reach it
        return seam.host_candidates(announced["udp"], announced["tcp"], listening.port)

    def _remove_peer(self, peer: MuxedPeer) -> None:
        """Remove a peer whose connection closes. Each of its protocols calls this, so it may run twice."""
        if self._table.remove(peer):
            peer.detach()

    async def reflexive(self, peer: MuxedPeer) -> list[Candidate]:
        """The address of the one port as the peer's STUN server sees it; none without such a server."""
        server = peer.connection.stun_server
        if server is None or seam.IPV4 not in self._sockets.senders:
            return []
        return await self._servers.reflexive(server, peer.protocols[seam.IPV4])

    def expects_relay(self, server: object) -> bool:
        return self._servers.expects_relay(server)

    def note_missing_relay(self, server: object) -> None:
        self._servers.note_missing_relay(server)

    # Packets out

    def _send_udp(self, peer: MuxedPeer, reader: UdpSocket, data: bytes, to: Address) -> None:
        self._table.note_request(peer, data)
        path = peer.paths.get(to)
        reader.send(data, to, None if path is None else path.own)

    def waiting_bytes(self, pc: RTCPeerConnection) -> int:
        """Bytes that wait to be sent to the peer over ICE-TCP; 0 over UDP, where nothing waits."""
        connection = seam.ice_connection(pc)
        peer = None if connection is None else self._table.find(connection.local_username)
        if peer is None or not peer.streams:
            return 0
        pair = connection._nominated.get(seam.COMPONENT)
        stream = None if pair is None else peer.streams.get(pair.remote_addr)
        return 0 if stream is None else stream.waiting_bytes

    def _send_tcp(self, peer: MuxedPeer, data: bytes, to: Address) -> None:
        self._table.note_request(peer, data)
        if (stream := peer.streams.get(to)) is not None:
            stream.send(data)

    # Packets in

    def on_udp_packets(self, family: int, packets: list[Packet]) -> None:
        now_s = self._clock()
        for packet in packets:
            try:
                self._handle_packet(packet, family, now_s)
            except Exception:
                self._report_error()

    def _handle_packet(self, packet: Packet, family: int, now_s: float) -> None:
        data, source, own = packet
        path = self._table.path_from(source)
        if not data:  # aiortc would end the whole peer over an empty packet
            self.figures.unknown += 1
        elif data[0] <= 3:
            self._handle_stun(data, path, _Origin(source, own, family), now_s)
        elif path is None:
            self.figures.unknown += 1
        else:
            path.note_own(own)
            self._deliver(path, data, now_s)

    def _on_tcp_frame(self, data: bytes, stream: IceTcp) -> None:
        try:
            path = stream.owner if isinstance(stream.owner, Path) else None
            if data and data[0] <= 3:
                self._handle_stun(data, path, _Origin(stream.address, None, 0, stream), self._clock())
            elif not data or path is None:
                self.figures.unknown += 1
            else:
                self._deliver(path, data, self._clock())
        except Exception:
            self._report_error()

    def _deliver(self, path: Path, data: bytes, now_s: float) -> None:
        peer = path.peer
        path.note_packet(now_s)
        if not peer.may_send(now_s):
            self.cut_off(peer)
            return
        if len(data) > MEDIA_BYTES_MAX and data[0] >= MEDIA_FIRST:
            self.figures.refused += 1
            return
        waiting = seam.waiting_packets(peer.connection)
        try:
            # The usual case. But while packets wait in aioice's queue, a new one must not overtake them.
            if not waiting and peer.direct is not None and peer.direct.take(data):
                return
        except RejectedPacketError as error:
            self.figures.refused += 1
            logger.debug("x %s", error)
            return
        if waiting >= WAITING_MAX:
            self.figures.overflowed += 1
        else:
            peer.connection.data_received(data, seam.COMPONENT)

    def _handle_stun(self, data: bytes, path: Path | None, origin: _Origin, now_s: float) -> None:
        kind = int.from_bytes(data[:2], "big") & _CLASS_BITS
        if not seam.is_stun(data):
            self.figures.unknown += 1
        elif kind == _REQUEST:
            self._handle_request(data, path, origin, now_s)
        elif kind != _INDICATION:
            self._handle_response(data, path, origin, now_s)
        elif path is None:
            self.figures.unknown += 1
        else:
            path.note_packet(now_s)

    def _handle_request(self, data: bytes, path: Path | None, origin: _Origin, now_s: float) -> None:
        peer = self._table.find(seam.username_of(data) or "")
        if peer is None or peer.is_cut:
            self.figures.unknown += 1
            return
        is_known = path is not None and path.peer is peer
        # The check of a signature costs time, and anyone can send requests with a user name they have seen.
        if not is_known and not peer.new_address_budget.take(1, now_s):
            self.figures.unknown += 1
            return
        message = seam.read_signed(data, peer.connection.local_password)
        if message is None:
            self.figures.unsigned += 1
            return
        if not peer.may_send(now_s):
            self.cut_off(peer)
            return
        if path is None or not is_known:
            path = self._bind(peer, origin, now_s)
        if path is not None:
            path.note_own(origin.own)
            path.note_packet(now_s)
            peer.follow_address(message, path, now_s)
            peer.connection.request_received(message, origin.source, path.protocol)

    def _handle_response(self, data: bytes, path: Path | None, origin: _Origin, now_s: float) -> None:
        transaction = data[8:20]
        peer = self._table.of_transaction(transaction)
        protocol = None if peer is None else peer.protocol_of_transaction(transaction)
        if peer is None or protocol is None:
            self.figures.unknown += 1
            return
        if path is not None:
            path.note_packet(now_s)
        elif seam.read_signed(data, peer.connection.remote_password):
            # An ICE-lite peer answers our requests but sends none, so its response binds the address.
            self._bind(peer, origin, now_s)
        protocol.datagram_received(data, origin.source)

    def _bind(self, peer: MuxedPeer, origin: _Origin, now_s: float) -> Path | None:
        """Bind an address to the peer, in place of the peer that had it before.

        None when it is not allowed.
        """
        is_remote = self._is_local and not self._hosts.is_own(origin.source[0])
        if is_remote or not peer.can_bind():
            self.figures.unknown += 1
            return None
        if origin.stream is not None:
            return self._bind_stream(peer, origin.stream, now_s)
        path = peer.bind(origin.family, origin.source, origin.own, now_s)
        self._table.bind(origin.source, path)
        logger.debug("= %s is at %s", peer.ufrag, origin.source)
        return path

    def _bind_stream(self, peer: MuxedPeer, stream: IceTcp, now_s: float) -> Path | None:
        path = None
        if stream.owner is None:
            path = peer.bind_stream(stream, functools.partial(self._tcp_protocol, peer), now_s)
        if path is None:
            stream.close()
            return None
        logger.debug("= %s is at %s over TCP", peer.ufrag, stream.address)
        return path

    def _tcp_protocol(self, peer: MuxedPeer) -> Any:
        own = seam.host_candidate("tcp", "127.0.0.1", 0, 0)
        send = functools.partial(self._send_tcp, peer)
        return seam.attach_protocol(peer.connection, own, send, functools.partial(self._remove_peer, peer))

    def cut_off(self, peer: MuxedPeer) -> None:
        self.figures.flooded += 1
        if peer.is_cut:
            return
        peer.mark_cut()
        self.figures.cut += 1
        logger.warning(
            "a peer sent more than %d packets a second and is cut off (from %s)",
            peer.rate.per_s,
            ", ".join(sorted({address[0] for address in (*peer.paths, *peer.streams)})),
        )
        self._sockets.block(list(peer.paths))
        self._table.unbind(peer)
        peer.report_flood()

    # ICE over TCP

    def ice_tcp(self, on_bound: Callable[[], None]) -> IceTcp:
        """The protocol of one TCP connection. on_bound: called when it has shown a peer's ICE password.

        Raises OSError when there are TCP_MAX already.
        """
        if len(self._streams) >= TCP_MAX:
            raise OSError(f"there are {TCP_MAX} ICE connections over TCP already")
        stream = IceTcp(self._on_tcp_frame, self._on_stream_closed, on_bound)
        self._streams.add(stream)
        self.figures.tcp_opened += 1
        return stream

    def _on_stream_closed(self, stream: IceTcp) -> None:
        self._streams.discard(stream)
        path = stream.unbind()
        if isinstance(path, Path) and path.peer.streams.get(stream.address) is stream:
            del path.peer.streams[stream.address]

    # Figures

    def addresses(self) -> set[str]:
        """The IP addresses that peers send from over UDP now."""
        return self._table.hosts()

    def statistics(self) -> dict[str, float]:
        return {
            **asdict(self.figures),
            **self._sockets.statistics(),
            **self._table.statistics(),
            "tcp_connections": len(self._streams),
        }

    def _report_error(self) -> None:
        """Count and log an exception; call it in an `except`. The log gets one traceback a minute."""
        self.figures.errors += 1
        if self._may_log("error"):
            logger.exception("a packet could not be handled and was dropped")

    def _may_log(self, what: str) -> bool:
        """Whether a log line of this kind may be written now; then another one only after REPEAT_S."""
        now_s = self._clock()
        if now_s - self._logged_s.get(what, float("-inf")) < REPEAT_S:
            return False
        self._logged_s[what] = now_s
        return True


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where a STUN packet came from."""

    source: Address
    own: str | None  # our address it was sent to, where the socket listens on several
    family: int
    stream: IceTcp | None = None
