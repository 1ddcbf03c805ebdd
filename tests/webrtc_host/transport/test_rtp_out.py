"""Packets on their way to a desk: their numbers, their time, and the counts for the sender reports."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiortc import RTCRtpSender

from tests.support.opus_packets import packet_at
from webrtc_host.transport import rtp_out
from webrtc_host.transport.direct_path import HEADER, read_rtp
from webrtc_host.transport.rtp_out import RtpLine
from webrtc_host.transport.tap import TapError


def a_sender() -> Any:
    return SimpleNamespace(
        _ssrc=7,
        _RTCRtpSender__ntp_timestamp=0,
        _RTCRtpSender__rtp_timestamp=0,
        _RTCRtpSender__octet_count=0,
        _RTCRtpSender__packet_count=0,
    )


def has_marker(data: bytes) -> bool:
    return bool(HEADER.unpack_from(data)[1] & 0x80)


def test_a_packet_keeps_its_payload_and_its_place_in_time() -> None:
    line = RtpLine(a_sender(), 111)
    sent = [read_rtp(line.write(packet_at(ms, bytes([ms])), 1)) for ms in (0, 20, 40)]
    assert [packet.payload for packet in sent] == [b"\0", b"\x14", b"\x28"]
    assert {(packet.payload_type, packet.ssrc) for packet in sent} == {(111, 7)}
    steps = [(b.timestamp - a.timestamp) % 2**32 for a, b in zip(sent, sent[1:], strict=False)]
    assert steps == [960, 960]
    assert [(packet.sequence_number - sent[0].sequence_number) for packet in sent] == [0, 1, 2]


def test_after_a_pause_time_goes_on_and_numbers_have_no_gap() -> None:
    line = RtpLine(a_sender(), 111)
    data = [line.write(packet_at(ms), 1) for ms in (0, 20, 5_020, 5_040)]
    sent = [read_rtp(one) for one in data]
    assert (sent[2].timestamp - sent[1].timestamp) % 2**32 == 5_000 * 48
    assert (sent[2].sequence_number - sent[1].sequence_number) % 2**16 == 1
    assert [has_marker(one) for one in data] == [True, False, True, False]


def test_numbers_and_time_wrap() -> None:
    line = RtpLine(a_sender(), 111)
    day_ms = 25 * 3600 * 1000  # RTP time of 48 kHz wraps after 24.8 hours
    first = read_rtp(line.write(packet_at(0), 1))
    for ms in range(20, 20 * 70_000, 20):
        line.write(packet_at(ms), 1)
    last = read_rtp(line.write(packet_at(day_ms), 1))
    assert (last.timestamp - first.timestamp) % 2**32 == day_ms * 48 % 2**32
    assert (last.sequence_number - first.sequence_number) % 2**16 == 70_000 % 2**16


def test_the_sender_reports_count_what_was_sent() -> None:
    sender = a_sender()
    line = RtpLine(sender, 111)
    line.write(packet_at(0, b"abc"), 5)
    last = read_rtp(line.write(packet_at(20, b"de"), 9))
    assert sender._RTCRtpSender__octet_count == 5
    assert sender._RTCRtpSender__packet_count == 2
    assert (sender._RTCRtpSender__ntp_timestamp, sender._RTCRtpSender__rtp_timestamp) == (9, last.timestamp)


def test_the_installed_aiortc_has_the_private_names() -> None:
    rtp_out.self_test()


def test_another_aiortc_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(self: Any) -> None: ...

    monkeypatch.setattr(RTCRtpSender, "__init__", init)
    with pytest.raises(TapError, match="RTCRtpSender._ssrc"):
        rtp_out.self_test()
