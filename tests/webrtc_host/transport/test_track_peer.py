"""A real aiortc client and a tapped track: other codecs, packet loss, and the reports to the client."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiortc import RTCRtpReceiver
from aiortc.rtp import HeaderExtensionsMap, RtpPacket

from tests.support.peers import (
    Client,
    Rig,
    SampleTrack,
    app_of,
    drop_packets,
    onsets_of,
    pitch_of,
    tone_bursts,
)
from tests.support.polling import until
from tests.support.rtp import assert_contiguous
from webrtc_host.config import MediaConfig
from webrtc_host.doors.offer import OfferDoor
from webrtc_host.seams import BlockKind, EventType
from webrtc_host.transport import track
from webrtc_host.transport.flood import FloodConfig, PacketBudget
from webrtc_host.transport.reception import RECEPTION
from webrtc_host.transport.tap import _Guarded, _Routing
from webrtc_host.transport.track import TrackFeed

pytestmark = pytest.mark.peer

ONSETS = (0.4, 1.0, 1.7)


class World:
    def __init__(self, aiohttp_client: Any) -> None:
        self._aiohttp_client = aiohttp_client
        self._http: Any = None
        self.rig = Rig()
        self.clients: list[Client] = []

    async def connect(self, client: Client) -> dict[str, Any]:
        self.clients.append(client)
        if self._http is None:
            door = OfferDoor(self.rig.registry, MediaConfig(), lambda *_: None)
            self._http = await self._aiohttp_client(app_of(door))
        return await client.connect(self._http)

    def feeds(self) -> list[TrackFeed]:
        """Of the first connection."""
        end: Any = next(iter(self.rig.registry.connections.values())).end
        return list(end.__self__._feeds)

    def last_packet_s(self, channel: str = "C01") -> float:
        found = [pipeline for pipeline in self.rig.pipelines if pipeline.channel.id == channel]
        return sum(len(block.samples) for block in found[-1].blocks) / 16_000 if found else 0.0


@pytest.fixture
async def world(aiohttp_client: Any) -> AsyncIterator[World]:
    made = World(aiohttp_client)
    yield made
    for client in made.clients:
        await client.close()
    await made.rig.registry.close()


def hum(hertz: float = 700) -> SampleTrack:
    return SampleTrack(tone_bursts(hertz, ONSETS, 2.4))


@pytest.mark.parametrize("name", ["PCMU", "PCMA"])
async def test_audio_in_g711_arrives_at_its_time(world: World, name: str) -> None:
    client = Client([hum()])
    known: Any = RTCRtpReceiver.getCapabilities("audio")
    wanted = [codec for codec in known.codecs if codec.mimeType == f"audio/{name}"]
    client.pc.getTransceivers()[0].setCodecPreferences(wanted)
    await world.connect(client)
    await until(lambda: world.last_packet_s() > 2.3)
    pipeline = world.rig.pipeline("C01")
    assert abs(pitch_of(pipeline.audio()) - 700) < 5
    onsets = onsets_of(pipeline.audio())
    assert len(onsets) == len(ONSETS)
    assert abs((onsets[-1] - onsets[0]) - (ONSETS[-1] - ONSETS[0])) < 0.020


async def test_a_loss_of_a_tenth_loses_a_tenth_of_the_audio_and_is_reported_to_the_sender(
    world: World,
) -> None:
    rng, client = random.Random(4), Client([hum()])
    dropped: list[int] = []

    def is_lost(number: int) -> bool:
        if number > 10 and rng.random() < 0.1:
            dropped.append(number)
            return True
        return False

    drop_packets(client, is_lost)
    await world.connect(client)
    await until(lambda: world.last_packet_s() > 3.0)
    pipeline = world.rig.pipeline("C01")
    assert_contiguous(pipeline.blocks)
    assert pipeline.samples_of(BlockKind.LOST) == 0, "each hole is short enough to be concealed"
    figures = RECEPTION.by_channel(world.rig.registry.current().id)["C01"]
    assert figures["packets"] > 50 and 0 < figures["lost"] <= len(dropped)

    async def packets_lost() -> int:
        report = await client.pc.getSenders()[0].getStats()
        return max((s.packetsLost for s in report.values() if s.type == "remote-inbound-rtp"), default=0)

    assert 0 < await until(packets_lost) <= len(dropped)  # a report comes every 0.5 to 1.5 s


async def test_the_transport_of_a_peer_is_guarded_and_routes_by_mid(world: World) -> None:
    await world.connect(Client([hum(), hum()]))
    await until(lambda: world.last_packet_s("C02") > 0.2)
    for feed in world.feeds():
        transport: Any = feed.receiver.transport
        assert isinstance(transport._handle_rtp_data, _Guarded)
        assert isinstance(transport._rtp_router.route_rtp, _Routing)
    assert len(world.feeds()) == 2


async def test_a_datagram_that_is_sent_again_is_refused_by_the_encryption(world: World) -> None:
    client = Client([hum()])
    transport: Any = client.pc.getSenders()[0].transport.transport
    send = transport._send

    async def twice(data: bytes) -> None:
        await send(data)
        if 127 < data[0] < 192:  # RTP and RTCP
            await send(data)

    transport._send = twice
    await world.connect(client)
    await until(lambda: world.last_packet_s() > 1.0)
    feed = world.feeds()[0]
    assert feed.counts().duplicates == 0, "the decryption passed none of them on"
    assert feed.counts().packets < 60 * world.last_packet_s() + 60
    assert_contiguous(world.rig.pipeline("C01").blocks)


async def test_a_flood_ends_its_peer_and_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a lower limit than in production, so that a slow machine can exceed it too."""
    small = FloodConfig(packets_per_s=100, burst_packets=300, refused_max=200)
    monkeypatch.setattr(track, "PacketBudget", lambda: PacketBudget(small))
    flooding, quiet = Client([hum()]), Client([hum()])
    await world.connect(flooding)
    await world.connect(quiet)
    await until(lambda: world.last_packet_s("C01") > 0.3 and world.last_packet_s("C02") > 0.3)
    sender: Any = flooding.pc.getSenders()[0]
    transport = sender.transport
    payload_type: Any = flooding.pc.getTransceivers()[0]._codecs[0].payloadType
    for number in range(20_000):
        packet = RtpPacket(
            payload_type=payload_type,
            sequence_number=number % 2**16,
            timestamp=number * 960 % 2**32,
            ssrc=sender._ssrc + 1,
            payload=b"\xff",
        )
        try:
            await transport._send_rtp(packet.serialize(HeaderExtensionsMap()))
        except ConnectionError:
            break
        if number % 20 == 0:
            await asyncio.sleep(0.001)
        if len(world.rig.registry.connections) == 1:
            break
    await until(lambda: len(world.rig.registry.connections) == 1, 20.0)
    log = next(iter(world.rig.logs.values()))
    assert [event["reason"] for event in log.of(EventType.CHANNEL_CLOSED)] == ["flood"]
    before = world.last_packet_s("C02")
    await until(lambda: world.last_packet_s("C02") > before + 0.5)
    pipeline = world.rig.pipeline("C02")
    assert pipeline.samples_of(BlockKind.LOST) == 0
    assert_contiguous(pipeline.blocks)
