"""The direct path: audio bypasses aiortc's queue, all else goes through it; a bad packet is dropped alone."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsTransport
from aiortc.rtp import HeaderExtensionsMap, RtpPacket, is_rtcp

from tests.support.one_port import Relay, Served, serving
from tests.support.peers import SampleTrack, onsets_of, tone_bursts
from tests.support.polling import until
from webrtc_host.transport import aioice_seam
from webrtc_host.transport import direct_path as direct
from webrtc_host.transport.direct_path import HEADER, read_rtp
from webrtc_host.transport.tap import TapError, tap_of

ONSETS = (0.4, 1.0, 1.7)


def hum() -> SampleTrack:
    return SampleTrack(tone_bursts(500, ONSETS, 2.4))


def last_packet_s(served: Served) -> float:
    return sum(len(b.samples) for p in served.rig.pipelines for b in p.blocks) / 16_000


def assert_bursts_received(served: Served, within_s: float = 0.03) -> None:
    heard = onsets_of(served.rig.pipeline("C01").audio())
    assert len(heard) == len(ONSETS), heard
    for at, true in zip(heard, ONSETS, strict=True):
        assert abs((at - heard[0]) - (true - ONSETS[0])) < within_s, heard


def the_peer(served: Served) -> Any:
    return served.port.attached[-1]


def is_audio(data: bytes) -> bool:
    return 128 <= data[0] <= 191 and not is_rtcp(data)


def queued(served: Served) -> list[tuple[bytes, bool]]:
    """The packets that aiortc's queue gets from now on, and whether the queue held packets before."""
    connection = the_peer(served).connection
    found: list[tuple[bytes, bool]] = []
    received = connection.data_received

    def receive(data: bytes, component: int) -> None:
        found.append((data, aioice_seam.waiting_packets(connection) > 0))
        received(data, component)

    connection.data_received = receive
    return found


async def through(relay: Relay, served: Served, on_way_out: Callable[[bytes], list[bytes]]) -> None:
    """A peer whose audio goes through `on_way_out` from its second packet on."""
    await served.connect_through(relay, hum())
    await until(lambda: last_packet_s(served) > 0.1)
    relay.on_way_out = lambda data: on_way_out(data) if is_audio(data) else [data]


def test_all_private_names_exist() -> None:
    transport = RTCDtlsTransport(None, [RTCCertificate.generateCertificate()])  # type: ignore[arg-type]
    for name in direct.PRIVATE_NAMES:
        assert hasattr(transport, name), name


def test_the_self_test_passes_with_the_installed_aiortc() -> None:
    direct.self_test()


@pytest.mark.parametrize("name", direct.PRIVATE_NAMES)
def test_the_self_test_names_what_a_new_aiortc_changed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    made = RTCDtlsTransport.__init__

    def moved(self: Any, *args: Any) -> None:
        made(self, *args)
        del self.__dict__[name]

    monkeypatch.setattr(RTCDtlsTransport, "__init__", moved)
    with pytest.raises(TapError, match=f"not the aiortc 1.16 .*{name}"):
        direct.self_test()


def test_packets_are_parsed_as_aiortc_parses_them() -> None:
    rng, extensions = random.Random(5), HeaderExtensionsMap()
    outcomes: set[str] = set()
    for _ in range(20_000):
        data = bytearray(HEADER.pack(0x80 | rng.randrange(64), rng.randrange(256), 1, 2, 3))
        data += rng.choice([b"", bytes(4), rng.randbytes(rng.randrange(40))])
        data += b"\x00\x00" + rng.randrange(4).to_bytes(2, "big") + rng.randbytes(rng.randrange(12))
        data = data[: rng.randrange(4, len(data) + 1)]
        try:
            expected: Any = RtpPacket.parse(bytes(data), extensions)
        except ValueError:
            with pytest.raises(ValueError):
                read_rtp(bytes(data))
            outcomes.add("refused")
            continue
        packet = read_rtp(bytes(data))
        assert packet == tuple(getattr(expected, name) for name in packet._fields)
        outcomes.add("padded" if expected.padding_size else "plain")
        outcomes.add("with sources" if expected.csrc else "plain")
    assert outcomes == {"refused", "padded", "plain", "with sources"}


@pytest.mark.peer
async def test_audio_bypasses_the_queue_and_rtcp_goes_through_it() -> None:
    async with serving() as served:
        client, _ = await served.connect(hum())
        await until(lambda: last_packet_s(served) > 0.1)
        through_queue = queued(served)
        await until(lambda: last_packet_s(served) > 2.2)
        assert_bursts_received(served)
        assert not [data for data, is_behind in through_queue if is_audio(data) and not is_behind]
        assert [data for data, _ in through_queue if is_rtcp(data)], "the sender's reports"
        report = await client.pc.getTransceivers()[0].sender.getStats()
        assert any(one.type == "remote-inbound-rtp" for one in report.values()), (
            "the server's report reached the sender"
        )
        transport = the_peer(served).direct._transport
        assert transport._get_stats()[transport._stats_id].packetsReceived > 100


@pytest.mark.peer
async def test_an_exception_drops_one_packet_and_not_the_peer() -> None:
    async with serving() as served:
        await served.connect(hum())
        await until(lambda: last_packet_s(served) > 0.1)
        tap: Any = tap_of(next(iter(the_peer(served).direct._router.receivers)))
        take, numbers = tap._take, []

        def fail_sometimes(codec: Any, packet: Any) -> None:
            numbers.append(packet.sequence_number)
            if len(numbers) % 10 == 0:
                raise RuntimeError("a bug")
            take(codec, packet)

        tap._take = fail_sometimes
        await until(lambda: last_packet_s(served) > 2.2)
        assert tap.failed == len(numbers) // 10 > 5
        assert_bursts_received(served, within_s=0.15)  # a packet that failed may be the first of a burst


@pytest.mark.peer
async def test_forged_and_replayed_packets_are_refused_and_counted() -> None:
    async with serving() as served, Relay(served.number) as relay:
        sent: list[bytes] = []

        def attack(data: bytes) -> list[bytes]:
            sent.append(data)
            forged = data[:-1] + bytes([data[-1] ^ 1])
            return [forged, data, data, sent[len(sent) // 2], data + bytes(1500)]

        await through(relay, served, attack)
        await until(lambda: last_packet_s(served) > 2.2)
        assert_bursts_received(served)
        assert len(sent) > 80
        assert served.figure("refused") >= 4 * (len(sent) - 5)
        assert served.figure("errors") == 0


@pytest.mark.peer
async def test_no_packet_overtakes_those_in_the_queue_of_aiortc() -> None:
    async with serving() as served, Relay(served.number) as relay:
        control = b"\x14" + bytes(40)  # a DTLS record that OpenSSL does not accept
        await through(relay, served, lambda data: [control, data])
        through_queue = queued(served)
        await until(lambda: last_packet_s(served) > 2.2)
        assert_bursts_received(served)
        behind = [data for data, _ in through_queue if is_audio(data)]
        assert len(behind) > 20, "audio of the same turn of the loop goes through the queue too"
