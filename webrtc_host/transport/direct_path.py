"""The direct path: an SRTP packet of a known source goes from the one port to its tap in one call.

In aiortc itself each packet costs a queue entry, a turn of a task and two coroutines. THIS MODULE USES
PRIVATE NAMES OF AIORTC 1.16, listed in `PRIVATE_NAMES`; `self_test` and a test check them. This module checks
the SRTP signature, reads the RTP header, and rejects bad packets. aiortc's router decides which track a
packet belongs to; `tap.py` handles it. Everything else (DTLS, RTCP, the first packet of a source) is left to
aiortc.
Invariant: a packet that cannot be decrypted or read is dropped alone; no state changes before the signature
is checked.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import pylibsrtp
from aiortc import RTCPeerConnection, RTCRtpReceiver
from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsTransport, State

from webrtc_host.transport.tap import Tap, TapError, tap_of, unsupported

PRIVATE_NAMES = (
    "_rx_srtp",
    "_rtp_router",
    "_state",
    "_RTCDtlsTransport__rx_bytes",
    "_RTCDtlsTransport__rx_packets",
)
"""Attributes of RTCDtlsTransport."""
HEADER = struct.Struct("!BBHLL")
_EXTENSION = struct.Struct("!HH")
_RTP_FIRST, _RTP_LAST = 128, 191  # first byte of RTP and RTCP (RFC 7983)
_RTCP_FIRST, _RTCP_LAST = 192, 208  # second byte of RTCP; aiortc uses the same range (RFC 5761)


class RejectedPacketError(ValueError):
    """A packet with a wrong signature, a repeated packet, or one that is not RTP.

    Only this packet is lost.
    """


class Rtp(NamedTuple):
    """The fields of an RTP packet that are used."""

    payload_type: int
    sequence_number: int
    timestamp: int
    ssrc: int
    payload: bytes


class DirectPath:
    """The direct path of one peer; all its tracks share it."""

    def __init__(self, transport: RTCDtlsTransport) -> None:
        self._transport: Any = transport
        self._router: Any = transport._rtp_router

    def take(self, data: bytes) -> bool:
        """Handle a datagram. False: aiortc has to handle it.

        Raises RejectedPacketError when the signature is wrong, the packet came before, or it cannot be read.
        """
        if len(data) < HEADER.size or not _RTP_FIRST <= data[0] <= _RTP_LAST:
            return False
        if _RTCP_FIRST <= data[1] <= _RTCP_LAST or self._transport._state is not State.CONNECTED:
            return False
        ssrc = int.from_bytes(data[8:12], "big")
        receiver = self._router.ssrc_table.get(ssrc)
        if receiver is None or receiver not in self._router.payload_type_table.get(data[1] & 0x7F, ()):
            return False
        tap = tap_of(receiver)
        if tap is None:
            return False
        self._count(len(data))
        try:
            packet = read_rtp(self._transport._rx_srtp.unprotect(data))
        except (pylibsrtp.Error, ValueError) as error:
            raise RejectedPacketError(f"a packet of source {ssrc}: {error}") from error
        tap.take(packet)
        return True

    def _count(self, size: int) -> None:
        """Update aiortc's own statistics."""
        self._transport._RTCDtlsTransport__rx_bytes += size
        self._transport._RTCDtlsTransport__rx_packets += 1


def read_rtp(data: bytes) -> Rtp:
    """An RTP packet (RFC 3550, section 5.1) without its header extensions. Raises ValueError."""
    if len(data) < HEADER.size:
        raise ValueError(f"{len(data)} bytes are no RTP packet")
    bits, marked_type, number, timestamp, ssrc = HEADER.unpack_from(data)
    if bits >> 6 != 2:
        raise ValueError(f"RTP of version {bits >> 6}")
    begin, end = HEADER.size + 4 * (bits & 0x0F), len(data)
    if bits & 0x10:
        if begin + _EXTENSION.size > end:
            raise ValueError("a header extension without its length")
        begin += _EXTENSION.size + 4 * int(_EXTENSION.unpack_from(data, begin)[1])
    if bits & 0x20:
        padding = data[-1]
        if not padding:
            raise ValueError("padding of no bytes")
        end -= padding
    if begin > end:
        raise ValueError("header and padding are longer than the packet")
    return Rtp(marked_type & 0x7F, number, timestamp, ssrc, data[begin:end])


def direct_path(pc: RTCPeerConnection) -> DirectPath | None:
    """The direct path of a peer that has an offer; None when it has no media line."""
    for transceiver in pc.getTransceivers():
        return DirectPath(transceiver.receiver.transport)
    return None


def self_test() -> None:
    """Raise TapError when the internals of this aiortc are not those of the supported version.

    A signed packet must come out of the tap of a receiver; a packet signed with another key must not.
    """
    try:
        taken = _run_self_test()
    except Exception as error:
        raise TapError(unsupported(str(error))) from error
    if taken != [b"x"]:
        raise TapError(unsupported("a packet did not come out of the direct path"))


def _run_self_test() -> list[bytes]:
    transport: Any = RTCDtlsTransport(None, [RTCCertificate.generateCertificate()])  # type: ignore[arg-type]
    for name in PRIVATE_NAMES:
        getattr(transport, name)
    policy = pylibsrtp.Policy
    transport._rx_srtp = pylibsrtp.Session(policy(bytes(30), policy.SSRC_ANY_INBOUND))
    transport._state = State.CONNECTED
    taken: list[bytes] = []
    receiver: Any = RTCRtpReceiver("audio", transport)
    Tap(receiver, lambda _, packet: taken.append(packet.payload))
    known: Any = RTCRtpReceiver.getCapabilities("audio")
    receiver._RTCRtpReceiver__codecs[96] = next(c for c in known.codecs if c.mimeType == "audio/opus")
    transport._rtp_router.register_receiver(receiver, [7], [96], mid="0")
    packet, path = HEADER.pack(0x80, 96, 1, 960, 7) + b"x", DirectPath(transport)
    for key in (bytes(30), bytes([1] * 30)):
        data = pylibsrtp.Session(policy(key, policy.SSRC_ANY_OUTBOUND)).protect(packet)
        try:
            if not path.take(data):
                raise TapError(unsupported("a packet was not taken"))
        except RejectedPacketError:
            taken += [b""] if key == bytes(30) else []
    if transport._RTCDtlsTransport__rx_packets != 2:
        raise TapError(unsupported("its statistics are elsewhere"))
    return taken
