"""Packets leave aiortc before its jitter buffer; no error of a packet reaches its transport."""

from __future__ import annotations

import logging
import random
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import pytest
from aiortc import RTCRtpReceiver
from aiortc.rtcdtlstransport import RTCDtlsTransport, RtpRouter
from aiortc.rtp import RTCP_RR, RtcpReceiverInfo, RtcpRrPacket, RtpPacket

from tests.support.rtp import a_receiver, do_nothing, receive, sources_of
from webrtc_host.media.opus import Codec
from webrtc_host.transport import tap
from webrtc_host.transport.tap import ROUTES_MAX, SOURCES_MAX, Tap, TapError, WirePacket, guard, self_test


def a_packet(
    number: int, *, payload_type: int = 96, ssrc: int = 7, timestamp: int | None = None
) -> RtpPacket:
    return RtpPacket(
        payload_type=payload_type,
        sequence_number=number % 2**16,
        timestamp=(number * 960 if timestamp is None else timestamp) % 2**32,
        ssrc=ssrc,
        payload=b"%d" % number,
    )


def test_the_installed_version_is_the_one_the_private_names_were_checked_for() -> None:
    """A new minor version: read its rtcrtpreceiver.py and rtcdtlstransport.py, then change this line."""
    assert version("aiortc").startswith("1.16."), "the tap replaces private methods of aiortc 1.16"
    assert version("aioice").startswith("0.13.")


def test_the_self_test_passes_with_the_installed_aiortc() -> None:
    self_test()


@pytest.mark.parametrize("name", ["_handle_rtp_packet"])
def test_the_self_test_names_what_a_new_aiortc_changed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delattr(RTCRtpReceiver, name)
    with pytest.raises(TapError, match=f"not the aiortc 1.16 .*{name}.*install the pinned version"):
        self_test()


def test_the_self_test_detects_a_table_with_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    made = RTCRtpReceiver.__init__

    def moved(self: Any, *args: Any) -> None:
        made(self, *args)
        self.streams = self.__dict__.pop("_RTCRtpReceiver__remote_streams")

    monkeypatch.setattr(RTCRtpReceiver, "__init__", moved)
    with pytest.raises(TapError, match="remote_streams"):
        self_test()


async def test_packets_come_out_unchanged_with_their_codec() -> None:
    receiver, taken = a_receiver(), []
    tapped = Tap(receiver, lambda codec, packet: taken.append((codec, packet.sequence_number)))
    for payload_type, number in [(96, 5), (96, 4), (0, 6), (8, 7), (9, 8), (101, 9), (13, 10)]:
        await receive(receiver, a_packet(number, payload_type=payload_type))
    assert taken == [(Codec.OPUS, 5), (Codec.OPUS, 4), (Codec.PCMU, 6), (Codec.PCMA, 7)]
    assert (tapped.packets, tapped.ignored) == (7, 3), "G.722, telephone events and comfort noise"


async def test_receiver_reports_count_received_and_lost_packets() -> None:
    receiver = a_receiver()
    Tap(receiver, None)
    for number in (1, 2, 3, 5, 6, 10):
        await receive(receiver, a_packet(number))
    stream = sources_of(receiver)[7]
    assert (stream.packets_received, stream.packets_lost) == (6, 4)
    stats = await a_stats(receiver)
    assert stats.packetsLost == 4


async def a_stats(receiver: Any) -> Any:
    receiver.transport._get_stats = dict
    receiver.transport._stats_id = "t"
    report = await receiver.getStats()
    return next(iter(report.values()))


async def test_an_exception_drops_one_packet_and_is_logged_rarely(caplog: pytest.LogCaptureFixture) -> None:
    receiver, taken = a_receiver(), []

    def take(codec: Codec, packet: WirePacket) -> None:
        if packet.sequence_number % 2:
            raise RuntimeError("a bug")
        taken.append(packet.sequence_number)

    tapped = Tap(receiver, take)
    with caplog.at_level(logging.ERROR):
        for number in range(200):
            await receive(receiver, a_packet(number))
    assert (len(taken), tapped.failed) == (100, 100)
    assert len(caplog.records) == 7  # 1, 2, 4 ... 64


async def test_packets_of_an_unused_track_are_counted_and_not_stored() -> None:
    receiver = a_receiver()
    tapped = Tap(receiver, None)
    for number in range(500):
        await receive(receiver, a_packet(number))
    assert tapped.packets == 500
    assert receiver._RTCRtpReceiver__decoder_queue.empty()


async def test_invented_sources_are_limited_and_every_report_can_be_written() -> None:
    receiver, rng = a_receiver(), random.Random(3)
    Tap(receiver, None)
    for number in range(2_000):
        source, timestamp = rng.randrange(30), rng.choice([0, 2**32 - 1])
        packet = a_packet(rng.randrange(2**16), ssrc=source, timestamp=timestamp)
        await receive(receiver, packet, number)
    streams = sources_of(receiver)
    assert len(streams) == SOURCES_MAX
    reports = [
        RtcpReceiverInfo(
            ssrc=ssrc,
            fraction_lost=stream.fraction_lost,
            packets_lost=stream.packets_lost,
            highest_sequence=stream.max_seq,
            jitter=stream.jitter,
            lsr=0,
            dlsr=0,
        )
        for ssrc, stream in streams.items()
    ]
    assert bytes(RtcpRrPacket(ssrc=1, reports=reports))[1] == RTCP_RR


async def test_only_a_lost_connection_passes_the_transport_as_an_error() -> None:
    async def fail(data: bytes) -> None:
        raise ConnectionError if data == b"gone" else IndexError("a parser's")

    transport: Any = SimpleNamespace(_handle_rtp_data=fail, _handle_rtcp_data=fail, _rtp_router=RtpRouter())
    guard(transport)
    guard(transport)
    await transport._handle_rtp_data(b"x")
    await transport._handle_rtcp_data(b"x")
    assert transport._handle_rtp_data.failed == 1
    with pytest.raises(ConnectionError):
        await transport._handle_rtp_data(b"gone")


def test_all_private_names_exist() -> None:
    things = {"RTCRtpReceiver": a_receiver(), "RTCDtlsTransport": RTCDtlsTransport, "RtpRouter": RtpRouter()}
    assert things.keys() == tap.PRIVATE_NAMES.keys()
    for owner, names in tap.PRIVATE_NAMES.items():
        for name in names:
            assert hasattr(things[owner], name), f"{owner}.{name}"


def routed() -> tuple[Any, Any, Any]:
    """A transport with two tracks of the same codec, as every bundled connection has them."""
    transport: Any = SimpleNamespace(
        _handle_rtp_data=do_nothing, _handle_rtcp_data=do_nothing, _rtp_router=RtpRouter()
    )
    guard(transport)
    first, second = a_receiver(), a_receiver()
    transport._rtp_router.register_receiver(first, [10], [96], mid="0")
    transport._rtp_router.register_receiver(second, [20], [96], mid="1")
    return transport._rtp_router, first, second


def test_a_new_source_is_routed_by_the_line_it_names() -> None:
    router, first, second = routed()
    assert router.route_rtp(a_packet(1, ssrc=10)) is first
    stranger = a_packet(2, ssrc=99)
    assert router.route_rtp(stranger) is None
    stranger.extensions.mid = "1"
    assert router.route_rtp(stranger) is second
    assert router.route_rtp(a_packet(3, ssrc=99)) is second, "from then on it need not say"
    stolen = a_packet(4, ssrc=10, payload_type=0)
    stolen.extensions.mid = "1"
    assert router.route_rtp(stolen) is None


def test_routes_to_invented_sources_are_limited() -> None:
    router, _, second = routed()
    for ssrc in range(1_000, 3_000):
        packet = a_packet(1, ssrc=ssrc)
        packet.extensions.mid = "1"
        assert router.route_rtp(packet) is second
    assert len(router.ssrc_table) <= ROUTES_MAX
