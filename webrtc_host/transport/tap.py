"""The tap: takes RTP packets out of aiortc before its jitter buffer and its decoder thread.

THIS MODULE USES PRIVATE NAMES OF AIORTC 1.16, listed in `PRIVATE_NAMES`; a test checks them. aiortc's own
jitter buffer discards about four good packets for each lost one. This module replaces methods of the
receiver, feeds the receiver reports (RTCP) that depend on these methods, and stops exceptions of a packet: in
aiortc they would close the whole peer without a message. The `take` callback decides what a packet means.
Invariant: an exception costs one packet; `self_test` reports at the start when aiortc has changed a name.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, Protocol

import aiortc
from aiortc import RTCRtpReceiver
from aiortc.rtcdtlstransport import RTCDtlsTransport, RtpRouter
from aiortc.rtcrtpreceiver import StreamStatistics
from aiortc.rtp import RtpPacket

from webrtc_host.errors import ConfigError
from webrtc_host.media.opus import Codec

logger = logging.getLogger(__name__)

PRIVATE_NAMES = {
    "RTCRtpReceiver": ("_handle_rtp_packet", "_RTCRtpReceiver__codecs", "_RTCRtpReceiver__remote_streams"),
    "RTCDtlsTransport": ("_handle_rtp_data", "_handle_rtcp_data"),
    "RtpRouter": ("route_rtp", "mid_table", "ssrc_table", "payload_type_table"),
}
SOURCES_MAX = 8
"""Senders (SSRCs) in the reports of one track; one is usual. A report has room for 31, and a sender can use
any number of them.
"""
ROUTES_MAX = 256
"""SSRCs whose track a peer's transport remembers: four for each of 64 tracks."""
UINT32_MAX = 0xFFFFFFFF


class WirePacket(Protocol):
    """The fields of an RTP packet that are used, whether aiortc or the direct path has read it."""

    @property
    def payload_type(self) -> int: ...

    @property
    def sequence_number(self) -> int: ...

    @property
    def timestamp(self) -> int: ...

    @property
    def ssrc(self) -> int: ...

    @property
    def payload(self) -> bytes: ...


Take = Callable[[Codec, WirePacket], None]
"""Called for each packet of a known codec, in the order of arrival. An exception costs this packet."""


class TapError(ConfigError):
    """aiortc lacks something that this module needs; the text says what, and which version has it."""


class Tap:
    """The tap of one receiver, during the receiver's whole life."""

    def __init__(self, receiver: RTCRtpReceiver, take: Take | None) -> None:
        """take: None counts and discards the packets; then a track without a channel costs nothing."""
        self.packets = 0
        self.ignored = 0  # payload types that are not audio codecs: telephone events, comfort noise
        self.failed = 0  # packets that raised an exception
        self._take = take
        self._codecs: dict[int, Codec | None] = {}
        self._streams: dict[int, StreamStatistics] = receiver._RTCRtpReceiver__remote_streams  # type: ignore[attr-defined]
        self._negotiated: dict[int, Any] = receiver._RTCRtpReceiver__codecs  # type: ignore[attr-defined]
        receiver._handle_rtp_packet = self._handle  # type: ignore[method-assign]
        guard(receiver.transport)

    async def _handle(self, packet: RtpPacket, arrival_time_ms: int) -> None:
        """Replaces the receiver's method. arrival_time_ms is wall-clock time, which can step: not used."""
        self.take(packet)

    def take(self, packet: WirePacket) -> None:
        """Take a packet of this receiver. Does not raise."""
        try:
            self._receive(packet)
        except Exception:
            self.failed += 1
            if self.failed.bit_count() == 1:  # the 1st, 2nd, 4th, 8th ...: the log must not fill the disk
                logger.exception("x a packet failed and was dropped (%d so far)", self.failed)

    def _receive(self, packet: WirePacket) -> None:
        self.packets += 1
        codec = self._codec_of(packet.payload_type)
        if codec is None:
            self.ignored += 1
            return
        self._report(packet, codec)
        if self._take is not None:
            self._take(codec, packet)

    def _codec_of(self, payload_type: int) -> Codec | None:
        if payload_type not in self._codecs:
            negotiated = self._negotiated.get(payload_type)
            if negotiated is None:
                return None  # not stored: aiortc fills its table only when the receiver starts
            name = negotiated.mimeType.lower().removeprefix("audio/")
            self._codecs[payload_type] = Codec(name) if name in set(Codec) else None
        return self._codecs[payload_type]

    def _report(self, packet: WirePacket, codec: Codec) -> None:
        """Feed the statistics of aiortc's receiver reports: without reports the sender cannot see loss."""
        stream = self._streams.get(packet.ssrc)
        if stream is None:
            while len(self._streams) >= SOURCES_MAX:
                del self._streams[next(iter(self._streams))]
            stream = self._streams[packet.ssrc] = _Statistics(codec.clock_rate)
        stream.add(packet)  # type: ignore[arg-type]  # it reads the number and the time


class _Statistics(StreamStatistics):
    @property
    def jitter(self) -> int:
        """Within its 32 bits: a larger value ends aiortc's report task, and closing the peer waits for it."""
        return min(super().jitter, UINT32_MAX)


def tap_of(receiver: Any) -> Tap | None:
    """The tap of this receiver; None when aiortc handles the packets itself."""
    owner = getattr(receiver._handle_rtp_packet, "__self__", None)
    return owner if isinstance(owner, Tap) else None


def guard(transport: RTCDtlsTransport) -> None:
    """Stop exceptions of packets before the transport's loop, and repair its routing. May be called twice."""
    for name in PRIVATE_NAMES["RTCDtlsTransport"]:
        original = getattr(transport, name)
        if not isinstance(original, _Guarded):
            setattr(transport, name, _Guarded(original))
    router: Any = transport._rtp_router
    if not isinstance(router.route_rtp, _Routing):
        router.route_rtp = _Routing(router)


class _Routing:
    """Finds the track of a packet as RFC 8843 says, also by the `mid` in the packet, which aiortc ignores.

    Without this, a sender that starts again with another SSRC would get no audio through beside other tracks.
    """

    def __init__(self, router: Any) -> None:
        self._router = router
        self._original: Callable[[RtpPacket], Any] = router.route_rtp

    def __call__(self, packet: RtpPacket) -> Any:
        receiver = self._original(packet)
        if receiver is None and packet.extensions.mid is not None:
            named = self._router.mid_table.get(packet.extensions.mid)
            known = self._router.ssrc_table.get(packet.ssrc, named)
            if known is named and named in self._router.payload_type_table.get(packet.payload_type, ()):
                receiver = self._router.ssrc_table[packet.ssrc] = named
        if len(self._router.ssrc_table) > ROUTES_MAX:
            del self._router.ssrc_table[next(iter(self._router.ssrc_table))]
        return receiver


class _Guarded:
    """An async method whose exceptions are logged, except ConnectionError, by which the loop ends."""

    def __init__(self, original: Callable[..., Awaitable[None]]) -> None:
        self._original = original
        self.failed = 0

    async def __call__(self, *args: Any, **kwargs: Any) -> None:
        try:
            await self._original(*args, **kwargs)
        except ConnectionError:
            raise
        except Exception:
            self.failed += 1
            if self.failed.bit_count() == 1:
                logger.exception("x a datagram failed and was dropped (%d so far)", self.failed)


def self_test() -> None:
    """Raise TapError when the internals of this aiortc are not those of the supported version.

    A receiver is made, tapped and given a packet: the packet must come out, and a report must count it.
    """
    for owner, names in (("RTCRtpReceiver", RTCRtpReceiver), ("RTCDtlsTransport", RTCDtlsTransport)):
        for name in PRIVATE_NAMES[owner]:
            if not name.startswith("_RTC") and not hasattr(names, name):
                raise TapError(unsupported(f"{owner}.{name}"))
    try:
        taken = _run_self_test()
    except Exception as error:
        raise TapError(unsupported(str(error))) from error
    if taken != [(Codec.OPUS, b"x")]:
        raise TapError(unsupported("a packet did not come out of the tap"))


def _run_self_test() -> list[tuple[Codec, bytes]]:
    async def nothing(*_: Any, **__: Any) -> None: ...

    taken: list[tuple[Codec, bytes]] = []
    transport: Any = SimpleNamespace(
        state="new", _handle_rtp_data=nothing, _handle_rtcp_data=nothing, _rtp_router=RtpRouter()
    )
    receiver: Any = RTCRtpReceiver("audio", transport)
    tap = Tap(receiver, lambda codec, packet: taken.append((codec, packet.payload)))
    known: Any = RTCRtpReceiver.getCapabilities("audio")
    opus = next(codec for codec in known.codecs if codec.mimeType == "audio/opus")
    receiver._RTCRtpReceiver__codecs[96] = opus
    packet = RtpPacket(payload_type=96, sequence_number=1, timestamp=960, ssrc=7, payload=b"x")
    transport._rtp_router.register_receiver(receiver, [], [96], mid="0")
    if transport._rtp_router.route_rtp(packet) is not receiver:
        raise TapError("its router does not find the receiver of a packet")
    handled = receiver._handle_rtp_packet(packet, arrival_time_ms=0)
    try:
        handled.send(None)  # it never waits
    except StopIteration:
        pass
    counted = receiver._RTCRtpReceiver__remote_streams[7]
    if (counted.packets_received, counted.packets_lost, tap.packets) != (1, 0, 1):
        raise TapError("its receiver reports would not count packets")
    return taken


def unsupported(what: str) -> str:
    """What a TapError says."""
    return (
        f"aiortc {aiortc.__version__} is not the aiortc 1.16 this server was written for ({what}); "
        "install the pinned version"
    )
