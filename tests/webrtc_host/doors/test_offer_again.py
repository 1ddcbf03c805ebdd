"""Clients that reconnect, and connections whose tracks change: real aiortc clients and `POST /offer`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiortc import RTCSessionDescription

from tests.support.peers import Client, SampleTrack, tone_bursts
from tests.support.polling import until
from tests.webrtc_host.doors.test_offer_peer import World, fed, has_received, hum
from webrtc_host.config import MediaConfig
from webrtc_host.seams import EventType
from webrtc_host.transport.peer import Peer

pytestmark = pytest.mark.peer


@pytest.fixture
async def world(aiohttp_client: Any) -> AsyncIterator[World]:
    made = World(aiohttp_client)
    yield made
    await made.stop()


def reasons(world: World, answer: dict[str, Any]) -> list[str]:
    return [event["reason"] for event in world.log(answer).of(EventType.CHANNEL_CLOSED)]


async def test_the_token_of_a_connection_that_ended_during_its_negotiation_expires(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.start(MediaConfig(resume_s=0.0))
    answer_offer = Peer.answer

    async def ended_at_once(peer: Peer, *arguments: Any) -> str:
        answer = await answer_offer(peer, *arguments)
        await peer.end("stopped")  # as a session that is ended in this moment
        return answer

    monkeypatch.setattr(Peer, "answer", ended_at_once)
    client = Client([hum()])
    world.clients.append(client)
    async with world.http.post("/offer", json=await client.offer()) as response:
        first = await response.json()
    monkeypatch.setattr(Peer, "answer", answer_offer)
    async with world.http.get(f"/offer/{first['connection']}") as response:
        assert response.status == 404
    _, second = await world.connect(hum(), resume=first["resume"])
    assert (second["resumed"], second["resume_refused"]) == (False, "expired")


class SlowToClose:
    """Delays the close of a channel as long as the test wants."""

    def __init__(self, world: World, channel: str) -> None:
        self.pipeline = world.rig.pipeline(channel)
        self.may_close = asyncio.Event()
        self.is_closing = asyncio.Event()
        close = self.pipeline.close

        async def slowly() -> None:
            self.is_closing.set()
            await self.may_close.wait()
            await close()

        self.pipeline.close = slowly  # type: ignore[method-assign]  # a slow engine


async def test_a_slow_close_does_not_delay_a_client_that_reconnects(world: World) -> None:
    await world.start()
    first, answer = await world.connect(hum(), channels=[{"channel": "C05"}])
    await until(lambda: has_received(world, "C05", 0.3))
    slow = SlowToClose(world, "C05")
    first.cut_network()
    _, again = await world.connect(hum(), resume=answer["resume"])
    assert fed(again) == {"0": "C05"}
    assert not slow.pipeline.is_closed
    assert reasons(world, answer) == ["resumed"]
    await until(lambda: world.rig.pipeline("C05") is not slow.pipeline and has_received(world, "C05", 0.2))
    slow.may_close.set()
    await until(lambda: slow.pipeline.is_closed)
    assert reasons(world, answer) == ["resumed"]


async def test_an_answer_that_did_not_arrive_leaves_no_second_feed(world: World) -> None:
    """The second offer arrives while the first connection still waits for ICE."""
    await world.start()
    first, answer = await world.connect(hum())
    await until(lambda: has_received(world, "C01", 0.2))
    first.cut_network()
    lost = Client([hum()])
    world.clients.append(lost)
    async with world.http.post("/offer", json={**await lost.offer(), "resume": answer["resume"]}) as response:
        assert (await response.json())["resumed"] is True
    _, again = await world.connect(hum(), resume=answer["resume"])
    assert (fed(again), again["resumed"]) == ({"0": "C01"}, True)
    assert list(world.rig.registry.connections) == [again["connection"]]


async def test_a_closing_channel_is_handed_over_too(world: World) -> None:
    await world.start()
    _, answer = await world.connect(hum())
    await until(lambda: has_received(world, "C01", 0.3))
    slow = SlowToClose(world, "C01")
    leaving = asyncio.create_task(world.close_connection(answer["connection"]))  # a reloaded page
    await slow.is_closing.wait()
    _, again = await world.connect(hum(), resume=answer["resume"])
    assert (fed(again), again["resumed"]) == ({"0": "C01"}, True)
    slow.may_close.set()
    await leaving
    await until(lambda: has_received(world, "C01", 0.3))
    assert world.rig.registry.channel(world.rig.registry.current(), "C01").connection is not None


async def test_an_expired_token_gives_new_channels_and_the_answer_says_so(world: World) -> None:
    await world.start(MediaConfig(resume_s=0.0))
    _, answer = await world.connect(hum(), channels=[{"channel": "C05"}])
    await world.close_connection(answer["connection"])
    _, again = await world.connect(hum(), resume=answer["resume"])
    assert (again["resumed"], again["resume_refused"]) == (False, "expired")
    assert fed(again) == {"0": "C01"}


async def test_a_token_for_other_channels_gives_new_ones(world: World) -> None:
    await world.start()
    _, answer = await world.connect(hum())
    _, again = await world.connect(hum(), hum(), resume=answer["resume"])
    assert (again["resumed"], again["resume_refused"]) == (False, "other_channels")
    assert fed(again) == {"0": "C02", "1": "C03"}


async def test_after_the_session_ended_the_client_gets_the_next_one(world: World) -> None:
    await world.start()
    _, answer = await world.connect(hum())
    await world.rig.registry.end(world.rig.registry.get(answer["session"]))
    _, again = await world.connect(hum(), resume=answer["resume"])
    assert (again["resumed"], again["resume_refused"]) == (False, "session_ended")
    assert again["session"] != answer["session"]


async def test_a_channel_of_another_connection_is_not_handed_back(world: World) -> None:
    await world.start()
    _, answer = await world.connect(hum(), channels=[{"channel": "C05"}])
    await world.close_connection(answer["connection"])
    await world.connect(hum(), channels=[{"channel": "C05"}])
    _, again = await world.connect(hum(), resume=answer["resume"])
    assert (again["resumed"], again["resume_refused"]) == (False, "channel_taken")


async def test_the_response_to_a_ping_lists_the_gaps(world: World) -> None:
    await world.start()
    client, answer = await world.connect(hum())
    await until(lambda: has_received(world, "C01", 0.5))
    said: list[dict[str, Any]] = []
    assert client.data is not None
    client.data.on("message", lambda message: said.append(json.loads(message)))
    for message in ("no json", '{"type":"ping","id":-1}', '{"type":"ping","id":7}'):
        client.data.send(message)
    await until(lambda: bool(said))
    assert [(one["type"], one["id"]) for one in said] == [("pong", 7)]
    [channel] = said[0]["channels"]
    assert channel["channel"] == "C01" and channel["missing"] == []
    assert abs(said[0]["now_ms"] - channel["received_to_ms"]) < 2000
    async with world.http.get(f"/offer/{answer['connection']}") as response:
        stands = await response.json()
    assert set(stands) >= {"session", "connection", "now_ms", "channels"}
    async with world.http.get("/offer/c_none") as response:
        assert response.status == 404


async def offer_again(world: World, client: Client, answer: dict[str, Any], **fields: Any) -> dict[str, Any]:
    body = {**await client.offer(), "connection": answer["connection"], **fields}
    async with world.http.post("/offer", json=body) as response:
        again: dict[str, Any] = await response.json()
        again["status"] = response.status
    if again["status"] == 200:
        await client.pc.setRemoteDescription(RTCSessionDescription(again["sdp"], "answer"))
    return again


async def test_tracks_are_added_and_removed_on_a_live_connection(world: World) -> None:
    await world.start()
    client, answer = await world.connect(SampleTrack(tone_bursts(400, (0.4, 2.4), 5.0)))
    await until(lambda: has_received(world, "C01", 0.4))
    client.pc.addTransceiver(hum(900), direction="sendonly")
    added = await offer_again(world, client, answer, channels=[{"channel": "C09", "label": "Gate"}])
    assert added["status"] == 200, added
    assert added["connection"] == answer["connection"] and added["resume"] == answer["resume"]
    assert set(fed(added).values()) == {"C01", "C09"}
    await until(lambda: has_received(world, "C09", 0.5))
    client.pc.getTransceivers()[0].direction = "inactive"
    removed = await offer_again(world, client, added)
    assert removed["status"] == 200, removed
    await until(lambda: reasons(world, answer) == ["track_removed"])
    assert set(fed(removed).values()) == {"C09"}
    before = len(world.rig.pipeline("C09").blocks)
    await until(lambda: len(world.rig.pipeline("C09").blocks) > before + 5)
    assert world.rig.registry.connections[answer["connection"]].channels[0].id == "C09"


async def test_a_later_offer_for_a_channel_that_is_held_changes_nothing(world: World) -> None:
    await world.start()
    client, answer = await world.connect(hum())
    _, other = await world.connect(hum())
    await until(lambda: has_received(world, "C01", 0.2))
    client.pc.addTransceiver(hum(), direction="sendonly")
    refused = await offer_again(world, client, answer, channels=[{"channel": fed(other)["0"]}])
    assert (refused["status"], refused["error"]["code"]) == (409, "channel_fed")
    before = len(world.rig.pipeline("C01").blocks)
    await until(lambda: len(world.rig.pipeline("C01").blocks) > before + 5)


async def test_a_later_offer_for_no_connection_is_refused(world: World) -> None:
    await world.start()
    client = Client([hum()])
    world.clients.append(client)
    refused = await offer_again(world, client, {"connection": "c_gone"})
    assert (refused["status"], refused["error"]["code"]) == (404, "unknown_connection")


async def test_an_unwanted_track_is_counted_and_dropped(world: World) -> None:
    await world.start()
    client, answer = await world.connect(hum(), hum(), channels=[{"mid": "0", "ignore": True}])
    assert fed(answer) == {"1": "C01"}
    await until(lambda: has_received(world, "C01", 0.5))
    peer = world.peer(answer)
    assert peer.ignored["0"].packets >= 10
    assert [pipeline.channel.id for pipeline in world.rig.pipelines] == ["C01"]
    client.pc.addTransceiver(hum(), direction="sendonly")
    again = await offer_again(world, client, answer, channels=[{"mid": "3", "ignore": True}])
    assert again["status"] == 200, again
    assert fed(again) == {"1": "C01"}
    await until(lambda: peer.ignored["3"].packets >= 5)


async def test_an_offer_of_ignored_tracks_alone_is_refused(world: World) -> None:
    await world.start()
    client = Client([hum()])
    world.clients.append(client)
    body = {**await client.offer(), "channels": [{"mid": "0", "ignore": True}]}
    async with world.http.post("/offer", json=body) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (422, "all_ignored")
    assert not world.rig.registry.connections
