"""Live audio for desks: a whole server, and desks and a microphone made of aiortc."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.desk import Desk, a_config, running_desk
from tests.support.listeners import ListeningClient
from tests.support.opus_packets import encoded
from tests.support.peers import Client, SampleTrack
from tests.support.polling import until
from tests.support.speech import padded, say
from webrtc_host.keys import LISTENING
from webrtc_host.media.opus import Codec, make_decoder
from webrtc_host.session.channel import Channel, ChannelSpec
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.session.session import Session

PATH = "/api/listening"


async def nothing(reason: str) -> int:
    return 0


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    config = a_config(tmp_path, archive={"enabled": False}, limits={"listeners": 3})
    async with running_desk(config) as running:
        yield running


@pytest.fixture
async def clients() -> AsyncIterator[list[ListeningClient]]:
    made: list[ListeningClient] = []
    yield made
    for client in made:
        await client.close()


async def listening(desk: Desk, clients: list[ListeningClient], lines: int, **fields: Any) -> ListeningClient:
    client = ListeningClient(lines)
    clients.append(client)
    await client.connect(desk.client, desk.url, **fields)
    await until(lambda: client.is_connected)
    # The server's side of the handshake may end a moment later.
    peer = desk.app[LISTENING]._listeners[client.answer["listener"]].peer
    await until(lambda: peer._exit is not None and peer._exit.is_ready)
    return client


def open_channels(desk: Desk, *ids: str, session: Session | None = None) -> list[Channel]:
    session = session or desk.session
    specs = [ChannelSpec(channel) for channel in ids]
    connection = desk.registry.connect(session, DoorKind.SOCKET, specs, nothing)
    for channel in connection.channels:
        channel.open()
    return list(connection.channels)


def decoded(packets: list[bytes]) -> np.ndarray[Any, np.dtype[np.float32]]:
    decoder = make_decoder(Codec.OPUS)
    return np.concatenate([decoder.decode(payload) for payload in packets])


async def test_a_desk_hears_what_a_microphone_sends(desk: Desk, clients: list[ListeningClient]) -> None:
    said = say("alpha one proceed to gate seven")
    # The first packets may come before the server's side of the handshake has ended, so speech begins later.
    sound = padded(said, 0.8, 0.2)
    fast = np.interp(np.arange(len(sound) * 3) / 3, np.arange(len(sound)), sound)
    client = await listening(desk, clients, 1, listen=["C01"])
    microphone = Client([SampleTrack((fast * 32_767).astype(np.int16))])
    try:
        async with desk.client.post(f"{desk.url}/offer", json=await microphone.offer()) as response:
            microphone.answer = await response.json()
        await microphone.apply_answer()
        await until(lambda: len(client.heard["C01"]) * 320 > len(sound))
    finally:
        await microphone.close()
    heard = decoded([packet.payload for packet in client.heard["C01"]])
    at = int(np.correlate(heard, said, "valid").argmax())
    assert np.corrcoef(heard[at : at + len(said)], said)[0, 1] > 0.95
    numbers = [packet.sequence for packet in client.heard["C01"]]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


async def test_packets_are_forwarded_as_they_came_and_only_those_of_chosen_channels(
    desk: Desk, clients: list[ListeningClient]
) -> None:
    ids = [f"C{n:02}" for n in range(1, 17)]
    channels = open_channels(desk, *ids)
    client = await listening(desk, clients, 16, listen=ids)
    early = encoded(say("alpha"))
    for packet in early:
        for channel in channels:
            channel.archive_packet(packet)
    await until(lambda: all(len(heard) == len(early) for heard in client.heard.values()))
    for heard in client.heard.values():
        assert [one.payload for one in heard] == [packet.payload for packet in early]
    await client.listen(desk.client, desk.url, "C05")
    # Five seconds later on the timeline: the desk joins there.
    late = encoded(say("bravo"), start=16_000 * 6)
    for packet in late:
        for channel in channels:
            channel.archive_packet(packet)
    await until(lambda: len(client.heard["C05"]) == len(early) + len(late))
    assert all(len(client.heard[one]) == len(early) for one in ids if one != "C05")
    heard = client.heard["C05"]
    step = (heard[len(early)].timestamp - heard[0].timestamp) % 2**32
    assert step == (late[0].start_sample - early[0].start_sample) * 3
    assert desk.app[LISTENING].statistics()["packets"] == 16 * len(early) + len(late)


async def test_two_desks_hear_different_channels_and_one_that_leaves_takes_nothing_along(
    desk: Desk, clients: list[ListeningClient]
) -> None:
    open_channels(desk, "C01", "C02")
    one = await listening(desk, clients, 2, listen=["C01"])
    other = await listening(desk, clients, 1, channels=["C02"], listen=["C02"])
    first, second = (desk.registry.channel(desk.session, name) for name in ("C01", "C02"))
    packets = encoded(say("alpha"))
    for packet in packets:
        first.archive_packet(packet)
        second.archive_packet(packet)
    await until(lambda: len(one.heard["C01"]) == len(other.heard["C02"]) == len(packets))
    assert one.heard["C02"] == []
    async with desk.client.delete(f"{desk.url}{PATH}/{one.answer['listener']}") as response:
        assert response.status == 200
    figures = desk.app[LISTENING].statistics()
    assert (figures["desks"], figures["lines"]) == (1, 1)
    async with desk.client.put(
        f"{desk.url}{PATH}/{one.answer['listener']}", json={"channels": []}
    ) as response:
        assert response.status == 404
        assert (await response.json())["error"]["code"] == "unknown_listener"
    # A desk that goes without a word is noticed by its closed connection.
    await other.close()
    await until(lambda: desk.app[LISTENING].statistics()["desks"] == 0)
    assert desk.app[LISTENING].statistics()["lines"] == 0


async def test_a_desk_that_is_not_connected_yet_loses_packets_and_they_are_counted(
    desk: Desk, clients: list[ListeningClient]
) -> None:
    (channel,) = open_channels(desk, "C01")
    client = ListeningClient(1)
    clients.append(client)
    body = {**await client.offer(), "listen": ["C01"]}
    async with desk.client.post(desk.url + PATH, json=body) as response:
        assert response.status == 200
    packets = encoded(say("alpha"))
    for packet in packets:
        channel.archive_packet(packet)
    await until(lambda: desk.app[LISTENING].statistics()["dropped"] == len(packets))


async def test_a_burst_longer_than_the_queue_loses_its_oldest_packets(
    desk: Desk, clients: list[ListeningClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webrtc_host.listening.desk_peer.PACKETS_WAITING_MAX", 10)
    (channel,) = open_channels(desk, "C01")
    client = await listening(desk, clients, 1, listen=["C01"])
    packets = encoded(say("alpha"))
    for packet in packets:
        channel.archive_packet(packet)
    await until(lambda: len(client.heard["C01"]) == 10)
    assert [one.payload for one in client.heard["C01"]] == [packet.payload for packet in packets[-10:]]
    assert desk.app[LISTENING].statistics()["dropped"] == len(packets) - 10


async def refused(desk: Desk, **body: Any) -> tuple[int, str]:
    async with desk.client.post(desk.url + PATH, json=body) as response:
        return response.status, (await response.json())["error"]["code"]


async def test_bad_requests_are_refused_in_words_and_leave_nothing(
    desk: Desk, clients: list[ListeningClient]
) -> None:
    clients.append(client := ListeningClient(2))
    good = await client.offer()
    sending = good["sdp"].replace("a=recvonly", "a=sendonly")
    for change, expected in (
        ({"sdp": "hello"}, (400, "bad_sdp")),
        ({"sdp": sending}, (422, "not_receiving")),
        ({"sdp": good["sdp"].replace("opus", "g722")}, (422, "no_opus")),
        ({"type": "answer"}, (422, "bad_field")),
        ({"session": "s_none"}, (404, "unknown_session")),
        ({"channels": ["C01"]}, (422, "bad_channels")),
        ({"channels": ["C01", "C01"]}, (422, "duplicate_channel")),
        ({"channels": ["C01", "X"]}, (422, "bad_channel")),
        ({"listen": ["C03"]}, (422, "no_line")),
    ):
        assert await refused(desk, **{**good, **change}) == expected, change
    assert desk.app[LISTENING].statistics()["desks"] == 0


async def test_more_desks_than_the_limit_are_refused(desk: Desk, clients: list[ListeningClient]) -> None:
    for _ in range(3):
        clients.append(client := ListeningClient(1))
        await client.connect(desk.client, desk.url)
    clients.append(last := ListeningClient(1))
    assert await refused(desk, **await last.offer()) == (429, "too_many_listeners")
    async with desk.client.delete(f"{desk.url}{PATH}/{clients[0].answer['listener']}") as response:
        assert response.status == 200
    await last.connect(desk.client, desk.url)


async def test_a_desk_that_never_connects_is_forgotten(tmp_path: Path) -> None:
    config = a_config(tmp_path, archive={"enabled": False}, media={"connect_timeout_s": 0.3})
    client = ListeningClient(1)
    async with running_desk(config) as desk:
        async with desk.client.post(desk.url + PATH, json=await client.offer()) as response:
            assert response.status == 200
        await until(lambda: desk.app[LISTENING].statistics()["desks"] == 0)
    await client.close()


async def test_the_audit_names_who_heard_which_channels(tmp_path: Path) -> None:
    tokens = (
        {"name": "the reader", "token": "viewer-secret", "role": "viewer"},
        {"name": "the ear", "token": "listener-secret", "role": "listener"},
        {"name": "the chief", "token": "admin-secret", "role": "admin"},
    )
    client = ListeningClient(2)
    async with running_desk(a_config(tmp_path, archive={"enabled": False}, tokens=tokens)) as desk:
        offer = await client.offer()
        headers = {"Authorization": "Bearer viewer-secret"}
        async with desk.client.post(desk.url + PATH, json=offer, headers=headers) as response:
            assert response.status == 403
        headers = {"Authorization": "Bearer listener-secret"}
        body = {**offer, "listen": ["C01"]}
        async with desk.client.post(desk.url + PATH, json=body, headers=headers) as response:
            answer = await response.json()
        path = f"{desk.url}{PATH}/{answer['listener']}"
        for channels in (["C01", "C02"], ["C01"], ["C02"]):
            async with desk.client.put(path, json={"channels": channels}, headers=headers) as response:
                assert (await response.json())["channels"] == channels
        await asyncio.sleep(0)
        await desk.written()
        headers = {"Authorization": "Bearer admin-secret"}
        async with desk.client.get(f"{desk.url}/api/audit", headers=headers) as response:
            lines = (await response.json())["lines"]
    heard = [(one["who"], one["channel"]) for one in lines if one["action"] == "listened live"]
    assert heard == [("the ear", "C02"), ("the ear", "C01")]  # newest first, each channel once
    await client.close()
