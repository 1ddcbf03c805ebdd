"""The way out: writes the Opus packets of one audio line as RTP, and sends them without aiortc's sender task.

THIS MODULE USES PRIVATE NAMES OF AIORTC 1.16, listed in `PRIVATE_NAMES`; a test checks them. aiortc's own
sender takes one packet at a time from a task of each line, which costs about five times as much; for 256
lines that is more than a core. Here a line writes the header, and the transport of its peer signs and sends
it. aiortc still negotiates, names the source (SSRC) and sends the sender reports (RTCP), for which this
module keeps the counts.
Invariants: sequence numbers have no gap. RTP time is the packet's place on the channel's timeline, so after a
pause it continues where the channel is.
"""

from __future__ import annotations

import asyncio
import random
import struct
from typing import Any

from aiortc import MediaStreamTrack, RTCRtpSender
from aiortc.rtcdtlstransport import RTCDtlsTransport, State

from webrtc_host.media.libopus import RATE
from webrtc_host.seams import OpusPacket
from webrtc_host.transport import aioice_seam as seam
from webrtc_host.transport.tap import TapError, unsupported

PRIVATE_NAMES = {
    "RTCRtpSender": (
        "_ssrc",
        "_RTCRtpSender__ntp_timestamp",
        "_RTCRtpSender__rtp_timestamp",
        "_RTCRtpSender__octet_count",
        "_RTCRtpSender__packet_count",
    ),
    "RTCDtlsTransport": ("_tx_srtp", "_state"),
}
HEADER = struct.Struct("!BBHLL")
VERSION = 0x80
MARKER = 0x80  # the first packet after a pause (RFC 3551, 4.1): the receiver may adapt its delay there
TICKS_PER_SAMPLE = RATE // 16_000


class SilentTrack(MediaStreamTrack):
    """A track without frames, for a line whose packets this module sends.

    aiortc's sender waits for the first frame until the track is stopped, so it sends nothing itself.
    """

    kind = "audio"

    async def recv(self) -> Any:
        await asyncio.get_running_loop().create_future()


class RtpLine:
    """One audio line towards a peer."""

    def __init__(self, sender: RTCRtpSender, payload_type: int) -> None:
        self._sender: Any = sender
        self._payload_type = payload_type
        self._ssrc = int(sender._ssrc)
        # In the lower half, as RFC 3711 advises: an early wrap disturbs the keys of a receiver that lost
        # packets.
        self._sequence = random.randrange(1 << 15)
        self._origin = random.randrange(1 << 32)
        self._next_sample: int | None = None

    def write(self, packet: OpusPacket, ntp_time: int) -> bytes:
        """The packet as RTP.

        ntp_time: this moment (`aiortc.clock.current_ntp_time`), for the sender reports.
        """
        timestamp = (self._origin + packet.start_sample * TICKS_PER_SAMPLE) & 0xFFFFFFFF
        marker = 0 if packet.start_sample == self._next_sample else MARKER
        self._next_sample = packet.end_sample
        header = HEADER.pack(VERSION, marker | self._payload_type, self._sequence, timestamp, self._ssrc)
        self._sequence = (self._sequence + 1) & 0xFFFF
        sender = self._sender
        sender._RTCRtpSender__ntp_timestamp = ntp_time
        sender._RTCRtpSender__rtp_timestamp = timestamp
        sender._RTCRtpSender__octet_count += len(packet.payload)
        sender._RTCRtpSender__packet_count += 1
        return header + packet.payload


class RtpExit:
    """The transport of one peer; all its lines share it."""

    def __init__(self, transport: RTCDtlsTransport) -> None:
        self._transport: Any = transport
        self._ice: Any = transport.transport._connection

    @property
    def is_ready(self) -> bool:
        """Whether packets can be sent: the handshake is done, and there is a path."""
        is_connected = self._transport._state is State.CONNECTED
        return is_connected and self._ice._nominated.get(seam.COMPONENT) is not None

    def send(self, data: bytes) -> None:
        """Sign and send; call it only while `is_ready`. What the system does not accept now is lost."""
        pair = self._ice._nominated[seam.COMPONENT]
        pair.protocol.transport.sendto(self._transport._tx_srtp.protect(data), pair.remote_addr)


def self_test() -> None:
    """Raise TapError when the internals of this aiortc are not those of the supported version."""
    known = {
        "RTCRtpSender": RTCRtpSender.__init__.__code__.co_names,  # a sender cannot be made without a loop
        "RTCDtlsTransport": RTCDtlsTransport.__init__.__code__.co_names,
    }
    missing = [
        f"{owner}.{name}"
        for owner, names in PRIVATE_NAMES.items()
        for name in names
        if name not in known[owner]
    ]
    if missing:
        raise TapError(unsupported(", ".join(missing)))
