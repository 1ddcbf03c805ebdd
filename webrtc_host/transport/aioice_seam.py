"""Everything that the one port uses of the internals of aioice and aiortc, with a check that it exists.

aioice opens its own sockets for each peer, and has no setting for a port and no ICE over TCP. This module
replaces two things, on the connections of this server only: the method that gathers candidates, and the
transport below `StunProtocol`. `one_port.py` decides which peer gets which packet. Invariant: with a version
that has changed a name, the server does not start, and says why.
"""

from __future__ import annotations

import asyncio
import inspect
import socket
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any

import aioice.ice
import aioice.stun
from aioice.candidate import Candidate, candidate_foundation, candidate_priority
from aioice.utils import random_string
from aiortc import RTCPeerConnection
from aiortc.rtcicetransport import RTCIceGatherer, RTCIceTransport

from webrtc_host.errors import ConfigError
from webrtc_host.transport.udp_socket import Address

UFRAG_CHARS = 12  # aioice uses 4; of 200 peers, two would have the same name in one of a thousand cases
TCP_TYPE_PREFERENCE = 90  # below every UDP candidate (126), above relays (RFC 6544 section 4.2)
STUN_HEADER_BYTES = 20
STUN_COOKIE = b"\x21\x12\xa4\x42"
STUN_S = 2.0
IPV4 = socket.AF_INET  # aioice contacts STUN servers over IPv4 only
COMPONENT = 1  # RTP and RTCP share it

Connection = aioice.ice.Connection
Message = aioice.stun.Message
StunProtocol = aioice.ice.StunProtocol
Gather = Callable[..., Awaitable[list[Candidate]]]
"""Called as (component=…, addresses=…); aioice's own method has a timeout too."""

_SIGNATURES = (
    (aioice.ice.Connection, "get_component_candidates", ["self", "component", "addresses", "timeout"]),
    (aioice.ice.Connection, "request_received", ["self", "message", "addr", "protocol"]),
    (aioice.ice.Connection, "data_received", ["self", "data", "component"]),
    (aioice.ice.StunProtocol, "datagram_received", ["self", "data", "addr"]),
    (aioice.ice.StunProtocol, "connection_made", ["self", "transport"]),
    (aioice.ice.StunProtocol, "connection_lost", ["self", "exc"]),
    (aioice.ice, "server_reflexive_candidate", ["protocol", "stun_server"]),
    (aioice.stun, "parse_message", ["data"]),
    (aioice.stun.Message, "check_message_integrity", ["self", "key"]),
    (RTCIceTransport, "__init__", ["self", "gatherer"]),
)
_ATTRIBUTES = (
    "_closing",
    "_local_username",
    "_nominated",
    "_protocols",
    "_queue",
    "ice_controlling",
    "local_password",
    "local_username",
    "remote_password",
    "stun_server",
)


def check_names() -> None:
    """Raise ConfigError unless every name that is used here exists. Needs a running loop, as aioice does."""
    missing = [
        f"{owner.__name__}.{name}"
        for owner, name, parameters in _SIGNATURES
        if _parameters(getattr(owner, name, None)) != parameters
    ]
    gatherer = RTCIceGatherer(iceServers=[])
    connection: Any = getattr(gatherer, "_connection", None)
    missing += [f"Connection.{name}" for name in _ATTRIBUTES if not hasattr(connection, name)]
    if not hasattr(StunProtocol(connection), "transactions"):
        missing.append("StunProtocol.transactions")
    if getattr(RTCIceTransport(gatherer), "_connection", None) is not connection:
        missing.append("RTCIceTransport._connection")
    if missing:
        raise ConfigError(
            f"aioice {version('aioice')} and aiortc {version('aiortc')} have changed names that the one port "
            f"uses ({', '.join(missing)}); install aioice 0.13 and aiortc 1.16."
        )


def _parameters(function: object) -> list[str]:
    return list(inspect.signature(function).parameters) if callable(function) else []


def ice_connection(pc: RTCPeerConnection) -> Any:
    """The ICE connection of a peer that has an offer; its media lines share it. None without any line."""
    for transceiver in pc.getTransceivers():
        return transceiver.receiver.transport.transport._connection
    return None if pc.sctp is None else pc.sctp.transport.transport._connection


def rename(connection: Any, is_taken: Callable[[str], bool]) -> str:
    """Give the connection a user name that no other peer has; call it before the answer is written."""
    ufrag = random_string(UFRAG_CHARS)
    while is_taken(ufrag):
        ufrag = random_string(UFRAG_CHARS)
    connection._local_username = ufrag
    return ufrag


def replace_gathering(connection: Any, gather: Gather) -> Gather:
    """From now on, `gather` finds this connection's candidates. Returns the method used before."""
    before: Gather = connection.get_component_candidates

    connection.get_component_candidates = gather
    return before


def restore_gathering(connection: Any) -> None:
    """Undo `replace_gathering`."""
    vars(connection).pop("get_component_candidates", None)


def host_candidates(udp: tuple[str, ...], tcp: tuple[str, ...], port: int) -> list[Candidate]:
    """Candidates of the addresses: UDP before TCP; the first address of each has the highest priority."""
    return [
        host_candidate(transport, address, port, 65_535 - i)
        for transport, addresses in (("udp", udp), ("tcp", tcp))
        for i, address in enumerate(addresses)
    ]


def candidate_of_family(candidates: list[Candidate], family: int, own: Any) -> Candidate:
    """The candidate of a socket of this family; of its own address when no candidate has the family."""
    for candidate in candidates:
        if candidate.transport == "udp" and (":" in candidate.host) == (family == socket.AF_INET6):
            return candidate
    return host_candidate("udp", own[0], own[1], 0)


def host_candidate(transport: str, host: str, port: int, preference: int) -> Candidate:
    if transport == "udp":
        priority = candidate_priority(COMPONENT, "host", preference)
    else:
        # RFC 6544 section 4.2: the direction (4: passive) is in the highest bits of the preference.
        local = (4 << 13) | (preference & 0x1FFF)
        priority = (TCP_TYPE_PREFERENCE << 24) | (local << 8) | (256 - COMPONENT)
    return Candidate(
        foundation=candidate_foundation("host", transport, host),
        component=COMPONENT,
        transport=transport,
        priority=priority,
        host=host,
        port=port,
        type="host",
        tcptype="passive" if transport == "tcp" else None,
    )


def attach_protocol(
    connection: Any, local: Candidate, send: Callable[[bytes, Address], None], on_close: Callable[[], None]
) -> Any:
    """A StunProtocol of this connection that sends by `send`. on_close: called when the connection closes."""
    protocol = StunProtocol(connection)
    protocol.connection_made(MuxTransport(protocol, (local.host, local.port), send, on_close))
    protocol.local_candidate = local
    connection._protocols.append(protocol)
    return protocol


async def query_stun(protocol: Any, server: Address) -> Candidate | None:
    """The address of this protocol's socket as the STUN server sees it; None without a reply."""
    try:
        async with asyncio.timeout(STUN_S):
            candidate, _ = await aioice.ice.server_reflexive_candidate(protocol, server)
    except (OSError, TimeoutError, aioice.stun.TransactionError, KeyError):
        return None
    return candidate


def is_stun(data: bytes) -> bool:
    return len(data) >= STUN_HEADER_BYTES and data[4:8] == STUN_COOKIE


def read_signed(data: bytes, password: str | None) -> Message | None:
    """The STUN message, when the data is one and was signed with this password; else None."""
    if password is None:
        return None
    try:
        message = aioice.stun.parse_message(data)
    except Exception:  # anyone can send these bytes, and they can cause any kind of error in the parser
        return None
    return message if message.check_message_integrity(password.encode()) else None


class MuxTransport(asyncio.DatagramTransport):
    """The transport of a StunProtocol, in place of a socket."""

    def __init__(
        self,
        protocol: Any,
        own: Address,
        send: Callable[[bytes, Address], None],
        on_close: Callable[[], None],
    ) -> None:
        super().__init__({"sockname": own})
        self._protocol = protocol
        self._send = send
        self._on_close = on_close
        self._is_closing = False

    def sendto(self, data: Any, addr: Any = None) -> None:
        if not self._is_closing:
            self._send(data, addr)

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            self._on_close()
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()


def path_of(connection: Any) -> tuple[Any, str] | None:
    """(protocol, type of the remote candidate) of the pair in use; None before there is one."""
    pair = connection._nominated.get(COMPONENT)
    return None if pair is None else (pair.protocol, pair.remote_candidate.type)


def waiting_packets(connection: Any) -> int:
    return int(connection._queue.qsize())


def username_of(data: bytes) -> str | None:
    """The local part of the USERNAME of a STUN request, or None.

    Cheap, because most junk packets end here.
    """
    end = STUN_HEADER_BYTES + int.from_bytes(data[2:4], "big")
    at = STUN_HEADER_BYTES
    if end > len(data):
        return None
    while at + 4 <= end:
        kind, length = int.from_bytes(data[at : at + 2], "big"), int.from_bytes(data[at + 2 : at + 4], "big")
        if kind == 0x0006:
            return data[at + 4 : at + 4 + length].partition(b":")[0].decode("ascii", "replace")
        at += 4 + length + (-length % 4)
    return None
