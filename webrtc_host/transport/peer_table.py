"""The tables of the one port: which peer a packet belongs to.

A peer is found by the user name of a STUN request, by the source address of a packet (bound to the peer by
such a request before), or by the transaction id of a STUN response. Pure: no socket, no clock.
Invariants: an address is bound to one peer at most. After `remove`, no table mentions the peer.
"""

from __future__ import annotations

from collections import Counter, OrderedDict

from webrtc_host.transport.muxed_peer import MuxedPeer, Path
from webrtc_host.transport.udp_socket import Address

TRANSACTIONS_MAX = 8192  # open STUN requests of this server, over all peers


class PeerTable:
    def __init__(self) -> None:
        self._peers: dict[str, MuxedPeer] = {}  # by ICE user name
        self._paths: dict[Address, Path] = {}  # UDP; a TCP connection stores its own path
        # Our STUN requests, by transaction id, oldest first
        self._transactions: OrderedDict[bytes, MuxedPeer] = OrderedDict()

    def __contains__(self, ufrag: object) -> bool:
        return ufrag in self._peers

    def add(self, peer: MuxedPeer) -> None:
        self._peers[peer.ufrag] = peer

    def find(self, ufrag: str) -> MuxedPeer | None:
        return self._peers.get(ufrag)

    def remove(self, peer: MuxedPeer) -> bool:
        """Remove everything of the peer. False: it was removed before."""
        if self._peers.pop(peer.ufrag, None) is None:
            return False
        self.unbind(peer)
        for transaction in [key for key, whose in self._transactions.items() if whose is peer]:
            del self._transactions[transaction]
        return True

    def path_from(self, address: Address) -> Path | None:
        """The path of the peer that this UDP address is bound to."""
        return self._paths.get(address)

    def bind(self, address: Address, path: Path) -> None:
        """Bind a UDP address, in place of the peer that had it before.

        Two peers behind one NAT can get the same address, one after the other.
        """
        former = self._paths.get(address)
        if former is not None and former.peer is not path.peer:
            former.peer.paths.pop(address, None)
        self._paths[address] = path

    def unbind(self, peer: MuxedPeer) -> None:
        """Remove all addresses of the peer, and close its TCP connections."""
        for address in peer.paths:
            if self._paths[address].peer is peer:
                del self._paths[address]
        peer.paths.clear()
        for stream in list(peer.streams.values()):
            stream.unbind()
            stream.close()
        peer.streams.clear()

    def note_request(self, peer: MuxedPeer, data: bytes) -> None:
        """Remember a STUN request: its response may come from an address that is not bound yet."""
        if data[:2] == b"\x00\x01":
            self._transactions[data[8:20]] = peer
            if len(self._transactions) > TRANSACTIONS_MAX:
                self._transactions.popitem(last=False)

    def of_transaction(self, transaction: bytes) -> MuxedPeer | None:
        """The peer to which the STUN request with this transaction id was sent."""
        return self._transactions.get(transaction)

    def hosts(self) -> set[str]:
        """The IP addresses that peers send from over UDP now."""
        return {host for host, _ in self._paths}

    def statistics(self) -> dict[str, float]:
        ways = Counter(peer.way() for peer in self._peers.values())
        return {
            "peers": len(self._peers),
            "transactions": len(self._transactions),
            "peers_udp": ways["udp"],
            "peers_tcp": ways["tcp"],
            "peers_relay": ways["relay"],
            "peers_connecting": ways[""],
            "addresses": len(self._paths),
        }
