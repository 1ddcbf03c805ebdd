"""A real aiortc client into a tapped track: other codecs, loss, and what the client learns of it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiortc import RTCRtpReceiver

from tests.support.peers import (
    Client,
    Rig,
    SoundTrack,
    app_of,
    drop_packets,
    onsets_of,
    pitch_of,
    tone_bursts,
    until,
)
from tests.support.rtp import assert_contiguous
from webrtc_host.config import MediaConfig
from webrtc_host.doors.offer import OfferDoor
from webrtc_host.media.tap import _Guarded, _Routing
from webrtc_host.seams import BlockKind

pytestmark = pytest.mark.peer

ONSETS = (0.4, 1.0, 1.7)


class World:
    def __init__(self, aiohttp_client: Any) -> None:
        self._aiohttp_client = aiohttp_client
        self.rig = Rig()
        self.clients: list[Client] = []

    async def connect(self, client: Client) -> dict[str, Any]:
        self.clients.append(client)
        door = OfferDoor(self.rig.registry, MediaConfig(), lambda *_: None)
        return await client.connect(await self._aiohttp_client(app_of(door.routes())))

    def heard_s(self, channel: str = "C01") -> float:
        found = [pipeline for pipeline in self.rig.pipelines if pipeline.channel.id == channel]
        return sum(len(block.samples) for block in found[-1].blocks) / 16_000 if found else 0.0


@pytest.fixture
async def world(aiohttp_client: Any) -> AsyncIterator[World]:
    made = World(aiohttp_client)
    yield made
    for client in made.clients:
        await client.close()
    await made.rig.registry.close()


def sound(hertz: float = 700) -> SoundTrack:
    return SoundTrack(tone_bursts(hertz, ONSETS, 2.4))


@pytest.mark.parametrize("name", ["PCMU", "PCMA"])
async def test_a_sender_of_g711_is_heard_in_its_place(world: World, name: str) -> None:
    client = Client([sound()])
    known: Any = RTCRtpReceiver.getCapabilities("audio")
    wanted = [codec for codec in known.codecs if codec.mimeType == f"audio/{name}"]
    client.pc.getTransceivers()[0].setCodecPreferences(wanted)
    await world.connect(client)
    await until(lambda: world.heard_s() > 2.3)
    pipeline = world.rig.pipeline("C01")
    assert abs(pitch_of(pipeline.audio()) - 700) < 5
    onsets = onsets_of(pipeline.audio())
    assert len(onsets) == len(ONSETS)
    assert abs((onsets[-1] - onsets[0]) - (ONSETS[-1] - ONSETS[0])) < 0.020


async def test_a_tenth_of_the_packets_lost_costs_a_tenth_of_the_sound_and_the_sender_learns_of_it(
    world: World,
) -> None:
    rng, client = random.Random(4), Client([sound()])
    dropped: list[int] = []

    def is_lost(number: int) -> bool:
        if number > 10 and rng.random() < 0.1:
            dropped.append(number)
            return True
        return False

    drop_packets(client, is_lost)
    await world.connect(client)
    await until(lambda: world.heard_s() > 3.0)
    pipeline = world.rig.pipeline("C01")
    assert_contiguous(pipeline.blocks)
    assert pipeline.samples_of(BlockKind.LOST) == 0, "each hole is short enough to be concealed"

    async def packets_lost() -> int:
        report = await client.pc.getSenders()[0].getStats()
        return max((s.packetsLost for s in report.values() if s.type == "remote-inbound-rtp"), default=0)

    seen = 0
    for _ in range(100):
        if seen := await packets_lost():
            break
        await asyncio.sleep(0.1)  # a report comes every 0.5 to 1.5 s
    assert 0 < seen <= len(dropped)


async def test_the_transport_of_a_peer_is_guarded_and_routes_by_mid(world: World) -> None:
    await world.connect(Client([sound(), sound()]))
    await until(lambda: world.heard_s("C02") > 0.2)
    connection = next(iter(world.rig.registry.connections.values()))
    end: Any = connection.end
    feeds = end.__self__._feeds
    for feed in feeds:
        transport: Any = feed.receiver.transport
        assert isinstance(transport._handle_rtp_data, _Guarded)
        assert isinstance(transport._rtp_router.route_rtp, _Routing)
    assert len(feeds) == 2
