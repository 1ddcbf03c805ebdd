"""One UDP port and one TCP port for the packets of all peers, instead of a UDP socket per peer and address.

This module decides which peer each packet belongs to. A STUN request is matched by the user name in it and by
the password that signed it. Every other packet is matched by its source address, which such a request has
bound to a peer before (the first byte separates STUN from the rest, RFC 7983). A peer that moves to another
address (NAT rebinding) is found again by its next signed request. `udp_socket.py` and `ice_tcp.py` read the
packets; `aioice_seam.py` is the only module that uses the internals of aioice.
Invariants: no packet reaches a peer from an address that has not shown the peer's ICE password. A packet that
cannot be handled is dropped alone. A peer that sends too many packets is ended, and no other peer. When all
peers are closed, all tables are empty.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from aioice.candidate import Candidate
from aiortc import RTCPeerConnection

from webrtc_host.transport import aioice_seam as seam
from webrtc_host.transport.direct_path import RejectedPacketError
from webrtc_host.transport.host_addresses import HostAddresses
from webrtc_host.transport.ice_tcp import IceTcp
from webrtc_host.transport.listening import Listening, open_sockets
from webrtc_host.transport.muxed_peer import WAITING_MAX, MuxedPeer, Path
from webrtc_host.transport.udp_socket import Address, Packet, UdpSocket

logger = logging.getLogger(__name__)

TRANSACTIONS_MAX = 8192  # open STUN requests of this server, over all peers
TCP_MAX = 1024
REFLEXIVE_S = 60.0  # the reply of a STUN server, or its silence, is used for all peers for so long
BLOCKED_S = 60.0  # how long the addresses of a peer that sent too much are blocked
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
    """The tables of all peers behind the one port. Everything runs in the event loop."""

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
        self._listening: Listening | None = None
        self._sockets: dict[int, UdpSocket] = {}  # by address family; the ones that send
        self._receive_only: list[UdpSocket] = []  # further ones, which only receive
        self._peers: dict[str, MuxedPeer] = {}  # by ICE user name
        self._paths: dict[Address, Path] = {}  # UDP; a TCP connection stores its own path
        self._streams: set[IceTcp] = set()
        # Our STUN requests, by transaction ID
        self._transactions: OrderedDict[bytes, MuxedPeer] = OrderedDict()
        self._reflexive: dict[
            Address, tuple[float, Candidate | None]
        ] = {}  # (valid until, result) by STUN server
        self._blocked: dict[Address, None] = {}  # addresses of peers that were cut off, for BLOCKED_S
        self._relay_missed_s: dict[object, float] = {}  # when a TURN server gave no relay, by server
        self._logged_s: dict[str, float] = {}  # when a log line was written, by kind

    @property
    def is_open(self) -> bool:
        return self._listening is not None

    def open(self, host: str, port: int) -> Listening:
        """Bind the sockets and begin to read UDP. The caller listens on the TCP sockets.

        Raises OSError when a port is in use, ConfigError when aioice has other internals than expected.
        """
        seam.check_names()
        listening = self._listening = open_sockets(host, port)
        self._is_local = listening.is_local and not (self._is_proxied or self._hosts.announced)
        for sock in listening.udp:
            reader = UdpSocket(sock, functools.partial(self.on_udp_packets, sock.family))
            # A host name can have two addresses of one family: both sockets receive, the first one sends.
            if self._sockets.setdefault(sock.family, reader) is not reader:
                self._receive_only.append(reader)
            reader.start()
        return listening

    def close(self) -> None:
        for reader in (*self._sockets.values(), *self._receive_only):
            reader.close()
        for stream in list(self._streams):
            stream.close()
        if self._listening is not None:
            self._listening.close()
        self._sockets.clear()
        self._receive_only.clear()
        self._listening = None

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
        ufrag = seam.rename(connection, self._peers.__contains__)
        MuxedPeer(ufrag, pc, connection, on_flood, declined).gather_through(self)

    def attach(self, peer: MuxedPeer) -> list[Candidate]:
        """The peer begins to gather candidates: enter it into the tables; returns our host candidates."""
        assert self._listening is not None
        candidates = self._host_candidates(self._listening)
        self._peers[peer.ufrag] = peer
        for family, reader in self._sockets.items():
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
        if self._peers.pop(peer.ufrag, None) is None:
            return
        self._unbind_addresses(peer)
        peer.detach()
        for transaction in [key for key, whose in self._transactions.items() if whose is peer]:
            del self._transactions[transaction]

    def _unbind_addresses(self, peer: MuxedPeer) -> None:
        for address in peer.paths:
            if self._paths[address].peer is peer:
                del self._paths[address]
        peer.paths.clear()
        for stream in list(peer.streams.values()):
            stream.unbind()
            stream.close()
        peer.streams.clear()

    async def reflexive(self, peer: MuxedPeer) -> list[Candidate]:
        """The address of the one port as the STUN server sees it; requested once a minute for all peers."""
        server = peer.connection.stun_server
        family = next((f for f in self._sockets if f == seam.IPV4), None)
        if server is None or family is None:
            return []
        until_s, seen = self._reflexive.get(server, (float("-inf"), None))
        if self._clock() >= until_s:
            seen = await seam.query_stun(peer.protocols[family], server)
            self._reflexive[server] = (self._clock() + REFLEXIVE_S, seen)
            if seen is None:
                self._log_limited("stun", f"the STUN server {server[0]}:{server[1]} does not answer")
        return [] if seen is None else [seen]

    def expects_relay(self, server: object) -> bool:
        """False for REFLEXIVE_S after a TURN server gave no relay, so that not every answer waits for it."""
        return self._clock() >= self._relay_missed_s.get(server, float("-inf")) + REFLEXIVE_S

    def note_missing_relay(self, server: object) -> None:
        self._relay_missed_s[server] = self._clock()
        self._log_limited(
            "turn",
            f"the TURN server {server} gave no relay; check its credential, and that it can be reached",
        )

    # Packets out

    def _send_udp(self, peer: MuxedPeer, reader: UdpSocket, data: bytes, to: Address) -> None:
        self._note_transaction(peer, data)
        path = peer.paths.get(to)
        reader.send(data, to, None if path is None else path.own)

    def _send_tcp(self, peer: MuxedPeer, data: bytes, to: Address) -> None:
        self._note_transaction(peer, data)
        if (stream := peer.streams.get(to)) is not None:
            stream.send(data)

    def _note_transaction(self, peer: MuxedPeer, data: bytes) -> None:
        """Remember a STUN request: its response may come from an address that is not bound yet."""
        if data[:2] == b"\x00\x01":
            self._transactions[data[8:20]] = peer
            if len(self._transactions) > TRANSACTIONS_MAX:
                self._transactions.popitem(last=False)

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
        path = self._paths.get(source)
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
        peer = self._peers.get(seam.username_of(data) or "")
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
        peer = self._transactions.get(transaction)
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
        former = self._paths.get(origin.source)
        if former is not None:
            former.peer.paths.pop(origin.source, None)
        path = peer.bind(origin.family, origin.source, origin.own, now_s)
        self._paths[origin.source] = path
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
        self._block(list(peer.paths))
        self._unbind_addresses(peer)
        peer.report_flood()

    def _block(self, addresses: list[Address]) -> None:
        """Drop the packets of these addresses in the system, so that they do not fill the shared buffer."""
        self._blocked.update(dict.fromkeys(addresses))
        self._set_filters()
        asyncio.get_running_loop().call_later(BLOCKED_S, self._unblock, addresses)

    def _unblock(self, addresses: list[Address]) -> None:
        for address in addresses:
            self._blocked.pop(address, None)
        self._set_filters()

    def _set_filters(self) -> None:
        for reader in (*self._sockets.values(), *self._receive_only):
            reader.block(self._blocked)

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
        return {host for host, _ in self._paths}

    def statistics(self) -> dict[str, float]:
        ways = Counter(peer.way() for peer in self._peers.values())
        found: Counter[str] = Counter()
        for reader in (*self._sockets.values(), *self._receive_only):
            found.update(reader.statistics())
        return {
            **asdict(self.figures),
            **{name: found[name] for name in ("packets", "rescued", "dropped", "unsent", "waiting")},
            "peers": len(self._peers),
            "transactions": len(self._transactions),
            "peers_udp": ways["udp"],
            "peers_tcp": ways["tcp"],
            "peers_relay": ways["relay"],
            "peers_connecting": ways[""],
            "tcp_connections": len(self._streams),
            "addresses": len(self._paths),
        }

    def _report_error(self) -> None:
        """Count and log an exception; call it in an `except`. The log gets one traceback a minute."""
        self.figures.errors += 1
        if self._may_log("error"):
            logger.exception("a packet could not be handled and was dropped")

    def _log_limited(self, what: str, sentence: str) -> None:
        if self._may_log(what):
            logger.warning("%s", sentence)

    def _may_log(self, what: str) -> bool:
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
