"""One UDP and one TCP port for the packets of all peers, in place of a UDP socket per peer and address.

Owns which packet is whose: a STUN request by the user name in it and the password it was signed with, all
else by the address that such a request came from (RFC 7983 tells them apart by the first byte). Sockets,
frames and the inside of aioice are its neighbours'. A peer that moves to another address is found by its next
request (NAT rebinding). Invariant: nobody's packet reaches a peer before that address has shown the peer's
ICE password; a packet that cannot be handled costs that packet; what flows too fast from one peer ends that
peer alone; tables are empty when all are gone.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass

from aioice.candidate import Candidate
from aiortc import RTCPeerConnection

from webrtc_host.transport import aioice_seam as seam
from webrtc_host.transport.direct_path import RefusedError
from webrtc_host.transport.host_addresses import HostAddresses
from webrtc_host.transport.ice_tcp import IceTcp
from webrtc_host.transport.listening import Listening, open_sockets
from webrtc_host.transport.muxed_peer import ADDRESSES_MAX, STREAMS_MAX, WAITING_MAX, MuxedPeer, Path
from webrtc_host.transport.udp_socket import Address, Packet, UdpSocket

logger = logging.getLogger(__name__)

QUESTIONS_MAX = 8192  # STUN questions of ours that may be open, over all peers
TCP_MAX = 1024
SEEN_S = 60.0  # what a STUN server sees of the one port is the same for all peers; so is its silence
BLOCKED_S = 60.0  # who has sent too much is not heard at all for so long
REPEAT_S = 60.0  # between two lines of the log that say the same
MEDIA_FIRST = 128  # first byte of RTP and RTCP
MEDIA_BYTES_MAX = 1500  # what libsrtp's buffer holds; aiortc would end the whole peer over a longer one
_CLASS_BITS, _REQUEST, _INDICATION = 0x0110, 0x0000, 0x0010


@dataclass
class Figures:
    unknown: int = 0  # of nobody we know
    unsigned: int = 0  # a known user name, a wrong password
    refused: int = 0  # sound that the peer did not sign, or signed once and sent twice
    overflowed: int = 0  # more than a peer's queue holds
    flooded: int = 0  # more than a peer may send
    cut: int = 0  # peers ended for that
    errors: int = 0  # packets that could not be handled
    tcp_opened: int = 0


class OnePort:
    def __init__(
        self,
        hosts: HostAddresses | None = None,
        *,
        is_proxied: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """is_proxied: whoever calls on loopback may be a proxy that speaks for other machines."""
        self.figures = Figures()
        self._hosts = hosts or HostAddresses()
        self._is_proxied = is_proxied
        self._is_local = False  # peers are on this machine, or nowhere
        self._clock = clock
        self._listening: Listening | None = None
        self._sockets: dict[int, UdpSocket] = {}  # by address family
        self._spare: list[UdpSocket] = []
        self._peers: dict[str, MuxedPeer] = {}  # by ICE user name
        self._paths: dict[Address, Path] = {}  # UDP; a TCP connection knows its own
        self._streams: set[IceTcp] = set()
        self._questions: OrderedDict[bytes, MuxedPeer] = OrderedDict()  # our own, by STUN transaction
        self._seen: dict[Address, tuple[float, Candidate | None]] = {}  # until when, by STUN server
        self._blocked: dict[Address, None] = {}  # of peers that were cut off, for a while
        self._missed_s: dict[object, float] = {}  # when a TURN server gave no relay
        self._said_s: dict[str, float] = {}

    @property
    def is_open(self) -> bool:
        return self._listening is not None

    def open(self, host: str, port: int) -> Listening:
        """Bind and begin to read UDP; listening on the TCP sockets is the caller's.

        Raises OSError when a port is taken, ConfigError when aioice is not the one we know.
        """
        seam.check_names()
        listening = self._listening = open_sockets(host, port)
        self._is_local = listening.is_local and not (self._is_proxied or self._hosts.announced)
        for sock in listening.udp:
            reader = UdpSocket(sock, functools.partial(self.take_udp, sock.family))
            # A name with two addresses of one family: both are read, the first one asks.
            if self._sockets.setdefault(sock.family, reader) is not reader:
                self._spare.append(reader)
            reader.start()
        return listening

    def close(self) -> None:
        for reader in (*self._sockets.values(), *self._spare):
            reader.close()
        for stream in list(self._streams):
            stream.close()
        if self._listening is not None:
            self._listening.close()
        self._sockets.clear()
        self._spare.clear()
        self._listening = None

    # Peers

    def adopt(self, pc: RTCPeerConnection, on_flood: Callable[[], None], declined: int = 0) -> None:
        """Let this peer's packets go through here; after its offer was taken, before its answer is written.

        Its audio lines say how many packets are right. on_flood: called once, when there are too many.
        declined: further lines on which some clients send though they were declined. While the port is not
        open nothing is changed: the peer gets aioice's own sockets.
        """
        connection = seam.ice_connection(pc)
        if connection is None or not self.is_open:
            return
        ufrag = seam.rename(connection, self._peers.__contains__)
        MuxedPeer(ufrag, pc, connection, on_flood, declined).gathers_through(self)

    def attach(self, peer: MuxedPeer) -> list[Candidate]:
        """The peer begins to gather: know it from now on, and tell it our addresses."""
        assert self._listening is not None
        candidates = self._host_candidates(self._listening)
        self._peers[peer.ufrag] = peer
        for family, reader in self._sockets.items():
            local = seam.candidate_of_family(candidates, family, reader.sock.getsockname())
            send = functools.partial(self._send_udp, peer, reader)
            peer.protocols[family] = seam.attach_protocol(
                peer.connection, local, send, functools.partial(self._forget, peer)
            )
        return candidates

    def _host_candidates(self, listening: Listening) -> list[Candidate]:
        """Where peers can come: by TCP only where that listens, by loopback only from this machine."""
        told: dict[str, tuple[str, ...]] = {}
        for transport, sockets in (("udp", listening.udp), ("tcp", listening.tcp)):
            bound = [sock.getsockname()[0] for sock in sockets]
            told[transport] = self._hosts.candidates(bound, with_loopback=self._is_local)
        if listening.is_local and not (self._is_local or self._hosts.announced):
            told["tcp"] = ()  # it listens to the proxy alone
        return seam.host_candidates(told["udp"], told["tcp"], listening.port)

    def _forget(self, peer: MuxedPeer) -> None:
        """Its connection closes; each of its protocols says so."""
        if self._peers.pop(peer.ufrag, None) is None:
            return
        self._unbind(peer)
        peer.let_go()
        for transaction in [key for key, whose in self._questions.items() if whose is peer]:
            del self._questions[transaction]

    def _unbind(self, peer: MuxedPeer) -> None:
        for address in peer.paths:
            if self._paths[address].peer is peer:
                del self._paths[address]
        peer.paths.clear()
        for stream in list(peer.streams.values()):
            stream.owner = None
            stream.close()
        peer.streams.clear()

    async def reflexive(self, peer: MuxedPeer) -> list[Candidate]:
        """How the configured STUN server sees the one port; asked once a minute for all peers."""
        server = peer.connection.stun_server
        family = next((f for f in self._sockets if f == seam.IPV4), None)
        if server is None or family is None:
            return []
        until_s, seen = self._seen.get(server, (float("-inf"), None))
        if self._clock() >= until_s:
            seen = await seam.ask_stun(peer.protocols[family], server)
            self._seen[server] = (self._clock() + SEEN_S, seen)
            if seen is None:
                self._say("stun", f"the STUN server {server[0]}:{server[1]} does not answer")
        return [] if seen is None else [seen]

    def expects_relay(self, server: object) -> bool:
        """False for a while after a TURN server gave none, so that not every answer waits for it."""
        return self._clock() >= self._missed_s.get(server, float("-inf")) + SEEN_S

    def miss_relay(self, server: object) -> None:
        self._missed_s[server] = self._clock()
        self._say(
            "turn", f"the TURN server {server} gave no relay; is the credential right, is it reachable?"
        )

    # Packets out

    def _send_udp(self, peer: MuxedPeer, reader: UdpSocket, data: bytes, to: Address) -> None:
        self._note_question(peer, data)
        path = peer.paths.get(to)
        reader.send(data, to, None if path is None else path.own)

    def _send_tcp(self, peer: MuxedPeer, data: bytes, to: Address) -> None:
        self._note_question(peer, data)
        if (stream := peer.streams.get(to)) is not None:
            stream.send(data)

    def _note_question(self, peer: MuxedPeer, data: bytes) -> None:
        """Its answer may come from an address that we know nothing of yet."""
        if data[:2] == b"\x00\x01":
            self._questions[data[8:20]] = peer
            if len(self._questions) > QUESTIONS_MAX:
                self._questions.popitem(last=False)

    # Packets in

    def take_udp(self, family: int, packets: list[Packet]) -> None:
        now_s = self._clock()
        for packet in packets:
            try:
                self._take_packet(packet, family, now_s)
            except Exception:
                self._report_error()

    def _take_packet(self, packet: Packet, family: int, now_s: float) -> None:
        data, source, own = packet
        path = self._paths.get(source)
        if not data:  # aiortc would take the whole peer down over it
            self.figures.unknown += 1
        elif data[0] <= 3:
            self._take_stun(data, path, _Origin(source, own, family), now_s)
        elif path is None:
            self.figures.unknown += 1
        else:
            path.own = own
            self._deliver(path, data, now_s)

    def _take_frame(self, data: bytes, stream: IceTcp) -> None:
        try:
            path = stream.owner if isinstance(stream.owner, Path) else None
            if data and data[0] <= 3:
                self._take_stun(data, path, _Origin(stream.address, None, 0, stream), self._clock())
            elif not data or path is None:
                self.figures.unknown += 1
            else:
                self._deliver(path, data, self._clock())
        except Exception:
            self._report_error()

    def _deliver(self, path: Path, data: bytes, now_s: float) -> None:
        peer = path.peer
        path.heard_s = now_s
        if not peer.may_send(now_s):
            self.cut_off(peer)
            return
        if len(data) > MEDIA_BYTES_MAX and data[0] >= MEDIA_FIRST:
            self.figures.refused += 1
            return
        waiting = seam.waiting_packets(peer.connection)
        try:
            if not waiting and peer.direct is not None and peer.direct.take(data):
                return  # nearly always; while something waits, nothing overtakes it
        except RefusedError as error:
            self.figures.refused += 1
            logger.debug("x %s", error)
            return
        if waiting >= WAITING_MAX:
            self.figures.overflowed += 1
        else:
            peer.connection.data_received(data, seam.COMPONENT)

    def _take_stun(self, data: bytes, path: Path | None, origin: _Origin, now_s: float) -> None:
        kind = int.from_bytes(data[:2], "big") & _CLASS_BITS
        if not seam.is_stun(data):
            self.figures.unknown += 1
        elif kind == _REQUEST:
            self._take_request(data, path, origin, now_s)
        elif kind != _INDICATION:
            self._take_answer(data, path, origin, now_s)
        elif path is None:
            self.figures.unknown += 1
        else:
            path.heard_s = now_s

    def _take_request(self, data: bytes, path: Path | None, origin: _Origin, now_s: float) -> None:
        peer = self._peers.get(seam.username_of(data) or "")
        if peer is None or peer.is_cut:
            self.figures.unknown += 1
            return
        is_known = path is not None and path.peer is peer
        if not is_known and not peer.newcomers.take(1, now_s):
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
            path.own, path.heard_s = origin.own, now_s
            peer.follow(message, path, now_s)
            peer.connection.request_received(message, origin.source, path.protocol)

    def _take_answer(self, data: bytes, path: Path | None, origin: _Origin, now_s: float) -> None:
        transaction = data[8:20]
        peer = self._questions.get(transaction)
        protocol = None if peer is None else peer.protocol_asking(transaction)
        if peer is None or protocol is None:
            self.figures.unknown += 1
            return
        if path is not None:
            path.heard_s = now_s
        elif seam.read_signed(data, peer.connection.remote_password):  # ICE lite: it answers, and never asks
            self._bind(peer, origin, now_s)
        protocol.datagram_received(data, origin.source)

    def _bind(self, peer: MuxedPeer, origin: _Origin, now_s: float) -> Path | None:
        """This address is the peer's from now on, whoever had it before. None when it cannot be."""
        is_stranger = self._is_local and not self._hosts.is_own(origin.source[0])
        if is_stranger or peer.addresses_seen >= ADDRESSES_MAX:
            self.figures.unknown += 1
            return None
        if origin.stream is not None:
            return self._bind_stream(peer, origin.stream, now_s)
        former = self._paths.get(origin.source)
        if former is not None:
            former.peer.paths.pop(origin.source, None)
        peer.addresses_seen += 1
        path = Path(peer, peer.protocols[origin.family], origin.source, origin.own, now_s)
        self._paths[origin.source] = peer.paths[origin.source] = path
        logger.debug("= %s is at %s", peer.ufrag, origin.source)
        return path

    def _bind_stream(self, peer: MuxedPeer, stream: IceTcp, now_s: float) -> Path | None:
        if len(peer.streams) >= STREAMS_MAX or stream.owner is not None:
            stream.close()
            return None
        if peer.tcp_protocol is None:
            own = seam.host_candidate("tcp", "127.0.0.1", 0, 0)
            send = functools.partial(self._send_tcp, peer)
            peer.tcp_protocol = seam.attach_protocol(
                peer.connection, own, send, functools.partial(self._forget, peer)
            )
        peer.addresses_seen += 1
        peer.streams[stream.address] = stream
        stream.owner = path = Path(peer, peer.tcp_protocol, stream.address, None, now_s)
        logger.debug("= %s is at %s over TCP", peer.ufrag, stream.address)
        return path

    def cut_off(self, peer: MuxedPeer) -> None:
        self.figures.flooded += 1
        if peer.is_cut:
            return
        peer.is_cut = True
        self.figures.cut += 1
        logger.warning(
            "a peer sent more than %d packets a second and is cut off (from %s)",
            peer.rate.per_s,
            ", ".join(sorted({address[0] for address in (*peer.paths, *peer.streams)})),
        )
        self._block(list(peer.paths))
        self._unbind(peer)
        peer.on_flood()

    def _block(self, addresses: list[Address]) -> None:
        """Its packets are not to take the room of others while it goes on sending."""
        self._blocked.update(dict.fromkeys(addresses))
        self._set_filters()
        asyncio.get_running_loop().call_later(BLOCKED_S, self._unblock, addresses)

    def _unblock(self, addresses: list[Address]) -> None:
        for address in addresses:
            self._blocked.pop(address, None)
        self._set_filters()

    def _set_filters(self) -> None:
        for reader in (*self._sockets.values(), *self._spare):
            reader.block(self._blocked)

    # ICE over TCP

    def ice_tcp(self) -> IceTcp:
        """The protocol of one connection. Raises OSError when there are too many."""
        if len(self._streams) >= TCP_MAX:
            raise OSError(f"there are {TCP_MAX} ICE connections over TCP already")
        stream = IceTcp(self._take_frame, self._lose_stream)
        self._streams.add(stream)
        self.figures.tcp_opened += 1
        return stream

    def _lose_stream(self, stream: IceTcp) -> None:
        self._streams.discard(stream)
        path, stream.owner = stream.owner, None
        if isinstance(path, Path) and path.peer.streams.get(stream.address) is stream:
            del path.peer.streams[stream.address]

    # Figures

    def addresses(self) -> set[str]:
        """The IP addresses that peers send from over UDP now."""
        return {host for host, _ in self._paths}

    def statistics(self) -> dict[str, float]:
        ways = Counter(peer.way() for peer in self._peers.values())
        found: Counter[str] = Counter()
        for reader in (*self._sockets.values(), *self._spare):
            found.update(reader.statistics())
        return {
            **asdict(self.figures),
            **{name: found[name] for name in ("packets", "rescued", "dropped", "unsent", "waiting")},
            "peers": len(self._peers),
            "questions": len(self._questions),
            "peers_udp": ways["udp"],
            "peers_tcp": ways["tcp"],
            "peers_relay": ways["relay"],
            "peers_connecting": ways[""],
            "tcp_connections": len(self._streams),
            "addresses": len(self._paths),
        }

    def _report_error(self) -> None:
        """Called in an `except`: one packet is lost over it, and one traceback a minute is enough."""
        self.figures.errors += 1
        if self._may_say("error"):
            logger.exception("a packet could not be handled and is dropped")

    def _say(self, what: str, sentence: str) -> None:
        if self._may_say(what):
            logger.warning("%s", sentence)

    def _may_say(self, what: str) -> bool:
        now_s = self._clock()
        if now_s - self._said_s.get(what, float("-inf")) < REPEAT_S:
            return False
        self._said_s[what] = now_s
        return True


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where a STUN packet came from."""

    source: Address
    own: str | None
    family: int
    stream: IceTcp | None = None
