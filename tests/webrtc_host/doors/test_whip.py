"""WHIP as in the RFC: refusals and their status, headers of the responses, trickle ICE, the end."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from bench.offer_mutations import REAL_CLIENTS
from tests.support.desk import Desk, a_config, running_desk
from tests.support.peers import Client, SampleTrack, tone_bursts
from tests.support.polling import until
from webrtc_host.doors.whip import CONNECTING_MAX, WhipDoor
from webrtc_host.seams import ChannelState
from webrtc_host.session import takeover
from webrtc_host.session.channel import ChannelSpec
from webrtc_host.session.channel_seams import DoorKind

pytestmark = pytest.mark.peer

TOKEN = "a-token-for-whip"
SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}
ICE_SERVERS = (
    {"urls": ("stun:stun.example",)},
    {"urls": ("turn:turn.example:3478",), "username": "desk", "credential": 'a "quoted" word'},
)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    config = a_config(
        tmp_path,
        token=TOKEN,
        media={"allowed_origins": ("https://wall.example",), "no_signal_after_s": 1.0},
        limits={"channels_per_process": 100},
    )
    async with running_desk(config, headers={"Authorization": f"Bearer {TOKEN}"}) as running:
        yield running


class Publisher:
    """An aiortc client that publishes one tone by WHIP."""

    def __init__(self, desk: Desk, channel: str = "C01", query: str = "") -> None:
        self.desk = desk
        self.url = f"{desk.url}/whip/{channel}{query}"
        self.client = Client([SampleTrack(tone_bursts(500, [0.2, 1.0], 2.0))], data_channel=None)
        self.response: Any = None
        self.answer = ""

    async def post(self) -> int:
        sdp = (await self.client.offer())["sdp"]
        async with self.desk.client.post(self.url, data=sdp, headers=SDP) as response:
            self.response, self.answer = response, await response.text()
            return response.status

    async def connect(self) -> None:
        assert await self.post() == 201, self.answer
        await self.client.pc.setRemoteDescription(RTCSessionDescription(self.answer, "answer"))
        await until(lambda: self.client.pc.connectionState == "connected")

    @property
    def location(self) -> str:
        return self.desk.url + str(self.response.headers["Location"])

    async def patch(self, body: str, **headers: str) -> int:
        given = {**FRAGMENT, **{name.replace("_", "-"): value for name, value in headers.items()}}
        async with self.desk.client.patch(self.location, data=body, headers=given) as response:
            assert "ETag" not in response.headers
            return response.status

    async def delete(self) -> int:
        async with self.desk.client.delete(self.location) as response:
            return response.status


async def sdp_of(*kinds: str, direction: str = "sendonly") -> str:
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    for kind in kinds:
        pc.addTransceiver(kind, direction=direction)
    if not kinds:
        pc.createDataChannel("transcript")
    await pc.setLocalDescription(await pc.createOffer())
    sdp = pc.localDescription.sdp
    await pc.close()
    return str(sdp)


async def refused(desk: Desk, status: int, code: str, path: str = "/whip/C01", **request: Any) -> Any:
    async with desk.client.post(desk.url + path, **request) as response:
        body = await response.json()
        assert (response.status, body["error"]["code"]) == (status, code), body
    assert not desk.registry.connections
    return response.headers


async def test_an_offer_that_is_no_sdp_is_refused_by_its_type(desk: Desk) -> None:
    sdp = await sdp_of("audio")
    headers = await refused(desk, 415, "wrong_type", json={"sdp": sdp})
    assert headers["Accept-Post"] == "application/sdp"
    await refused(desk, 400, "bad_sdp", data="hello", headers=SDP)
    await refused(desk, 400, "bad_sdp", data=b"\xff\xfe", headers=SDP)
    await refused(desk, 413, "too_large", data=io.BytesIO(b"v=0" + b"x" * 1_100_000), headers=SDP)


@pytest.mark.parametrize(
    ("kinds", "direction", "code"),
    [
        ((), "sendonly", "no_audio"),
        (("video",), "sendonly", "no_audio"),
        (("audio", "audio"), "sendonly", "too_many_tracks"),
        (("audio",), "recvonly", "not_sending"),
    ],
)
async def test_an_offer_without_exactly_one_audio_track_is_422(
    desk: Desk, kinds: tuple[str, ...], direction: str, code: str
) -> None:
    await refused(desk, 422, code, data=await sdp_of(*kinds, direction=direction), headers=SDP)


async def test_a_wrong_channel_language_or_session_is_refused(desk: Desk) -> None:
    sdp = await sdp_of("audio")
    await refused(desk, 422, "unknown_channel", "/whip/C99", data=sdp, headers=SDP)
    await refused(desk, 422, "unknown_language", "/whip/C01?language=xx", data=sdp, headers=SDP)
    await refused(desk, 404, "unknown_session", "/whip/C01?session=s_none", data=sdp, headers=SDP)


async def test_the_token_is_a_bearer_and_every_method_except_options_requires_it(desk: Desk) -> None:
    async with aiohttp.ClientSession() as stranger:
        url = f"{desk.url}/whip/C01"
        for method in ("POST", "GET"):
            async with stranger.request(method, url) as response:
                assert response.status == 401
                assert response.headers["WWW-Authenticate"].startswith("Bearer")
        for method in ("PATCH", "DELETE", "GET"):
            async with stranger.request(method, f"{url}/anything") as response:
                assert response.status == 401
        async with stranger.options(url) as response:
            assert response.status == 200
            assert response.headers["Accept-Post"] == "application/sdp"


async def test_a_page_of_an_allowed_origin_passes_its_preflight_and_another_does_not(desk: Desk) -> None:
    ask = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "if-match"}
    async with aiohttp.ClientSession() as page:
        for path in ("/whip/C01", "/whip/C01/some-session"):
            origin = {"Origin": "https://wall.example", **ask}
            async with page.options(desk.url + path, headers=origin) as response:
                assert response.status == 200
                allowed = response.headers
                assert allowed["Access-Control-Allow-Origin"] == "https://wall.example"
                assert "PATCH" in allowed["Access-Control-Allow-Methods"]
                assert {"Authorization", "If-Match"} <= set(
                    allowed["Access-Control-Allow-Headers"].split(", ")
                )
                assert "Location" in allowed["Access-Control-Expose-Headers"]
        async with page.options(
            f"{desk.url}/whip/C01", headers={"Origin": "https://evil.example", **ask}
        ) as no:
            assert no.status == 403


async def test_get_has_no_content_and_unknown_methods_are_405(desk: Desk) -> None:
    async with desk.client.get(f"{desk.url}/whip/C01") as response:
        assert (response.status, await response.read()) == (204, b"")
    async with desk.client.put(f"{desk.url}/whip/C01") as response:
        assert response.status == 405


async def test_the_response_has_location_etag_and_links(tmp_path: Path) -> None:
    config = a_config(tmp_path, media={"ice_servers": ICE_SERVERS})
    async with running_desk(config) as desk:
        publisher = Publisher(desk, "C05", "?label=Tower&language=ko_KR")
        # aiortc would send requests to the STUN server, which does not exist; only the response matters.
        publisher.client.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        publisher.client.pc.addTransceiver("audio", direction="sendonly")
        assert await publisher.post() == 201
        headers = publisher.response.headers
        assert publisher.response.content_type == "application/sdp"
        assert headers["Location"].startswith("/whip/C05/") and len(headers["Location"]) > 40
        assert headers["ETag"].startswith('"') and headers["Accept-Patch"] == FRAGMENT["Content-Type"]
        events, stun, turn = headers.getall("Link")
        session = desk.session.id
        assert events == f'</events?session={session}&channels=C05>; rel="urn:x-host-stt:events"'
        assert stun == '<stun:stun.example>; rel="ice-server"'
        assert turn.startswith(
            '<turn:turn.example:3478>; rel="ice-server"; username="desk"; credential="a \\"q'
        )
        for line in ("a=recvonly", "a=candidate:", "useinbandfec=1", "a=group:BUNDLE"):
            assert line in publisher.answer
        channel = desk.session.channels["C05"]
        assert (channel.label, channel.language) == ("Tower", "ko")
        assert desk.registry.statistics()["connections_whip"] == 1
        await publisher.client.close()


async def test_audio_of_a_publisher_arrives_and_delete_may_be_repeated(desk: Desk) -> None:
    publisher = Publisher(desk)
    await publisher.connect()
    channel = desk.session.channels["C01"]
    await until(lambda: channel.end_sample > 0 and channel.pipeline is not None)
    pipeline: Any = channel.pipeline
    await until(lambda: sum(len(block.samples) for block in pipeline.blocks) > 16_000)
    assert await publisher.delete() == 200
    assert not desk.registry.connections
    assert await publisher.delete() == 200
    assert await publisher.patch("a=end-of-candidates", If_Match="*") == 404
    await publisher.client.close()


async def test_delete_is_200_after_the_peer_closed_and_404_for_an_unknown_id(desk: Desk) -> None:
    publisher = Publisher(desk)
    await publisher.connect()
    await publisher.client.close()
    await until(lambda: not desk.registry.connections)
    assert await publisher.delete() == 200
    async with desk.client.delete(f"{desk.url}/whip/C01/guessed") as response:
        assert response.status == 404


async def test_a_client_without_candidates_in_its_offer_connects_by_trickling_them(desk: Desk) -> None:
    publisher = Publisher(desk)
    await publisher.client.offer()
    whole = publisher.client.pc.localDescription.sdp
    lines = whole.splitlines()
    candidates = [line for line in lines if line.startswith(("a=candidate", "a=end-of"))]
    bare = "\r\n".join(line for line in lines if line not in candidates) + "\r\n"
    async with desk.client.post(publisher.url, data=bare, headers=SDP) as response:
        publisher.response, publisher.answer = response, await response.text()
        assert response.status == 201
    etag = publisher.response.headers["ETag"]
    assert candidates
    fragment = "\r\n".join([*ice_of(whole), "m=audio 9 UDP/TLS/RTP/SAVPF 0", "a=mid:0", *candidates]) + "\r\n"
    assert await publisher.patch(fragment, If_Match=etag) == 204
    await publisher.client.pc.setRemoteDescription(RTCSessionDescription(publisher.answer, "answer"))
    await until(lambda: publisher.client.pc.connectionState == "connected")
    assert await publisher.patch(fragment, If_Match=etag) == 204, "late candidates are no error"
    await publisher.client.close()


def ice_of(sdp: str) -> list[str]:
    return [
        next(line for line in sdp.splitlines() if line.startswith(f"a=ice-{part}:"))
        for part in ("ufrag", "pwd")
    ]


async def test_a_patch_is_checked_by_type_etag_and_content(desk: Desk) -> None:
    publisher = Publisher(desk)
    await publisher.connect()
    etag = publisher.response.headers["ETag"]
    ufrag = ice_of(publisher.client.pc.localDescription.sdp)[0]
    assert await publisher.patch("a=end-of-candidates", If_Match=etag, Content_Type="application/sdp") == 415
    assert await publisher.patch("a=end-of-candidates") == 428
    assert await publisher.patch("a=end-of-candidates", If_Match='"other"') == 412
    assert await publisher.patch("hello", If_Match=etag) == 400
    assert await publisher.patch("", If_Match=etag) == 400
    restart = "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n"
    assert await publisher.patch(restart, If_Match="*") == 422
    assert await publisher.patch(restart, If_Match=etag) == 422
    junk = [
        "a=candidate:1 1 udp 2130706431 nowhere.local 5000 typ host",
        "a=candidate:1 1 tcp 2130706431 192.0.2.1 9 typ host tcptype active",
        "a=candidate:1 1 udp 2130706431 192.0.2.1 70000 typ host",
        "a=candidate:1 1 udp x 192.0.2.1 5000 typ host",
        "a=candidate:",
        "a=candidate:1 1 udp 2130706431 2001:db8::1 5000 typ host",
    ]
    assert await publisher.patch("\r\n".join([ufrag, *junk]), If_Match=etag) == 204
    flood = [f"a=candidate:{n} 1 udp 1 192.0.2.1 {2000 + n} typ host" for n in range(1000)]
    assert await publisher.patch("\r\n".join(flood), If_Match=f'"other", {etag}') == 204
    assert publisher.client.pc.connectionState == "connected"
    assert len(desk.registry.connections) == 1
    assert await publisher.delete() == 200
    await publisher.client.close()


async def test_unusable_trickled_candidates_are_no_error(desk: Desk) -> None:
    """A browser hides its addresses behind names, sends end-of-candidates, and then connects by itself."""
    publisher = Publisher(desk)
    whole = (await publisher.client.offer())["sdp"]
    hidden = ("a=candidate", "a=end-of")
    bare = "\r\n".join(line for line in whole.splitlines() if not line.startswith(hidden)) + "\r\n"
    async with desk.client.post(publisher.url, data=bare, headers=SDP) as response:
        publisher.response, publisher.answer = response, await response.text()
        assert response.status == 201, publisher.answer
    fragment = [
        *ice_of(whole),
        "m=audio 9 UDP/TLS/RTP/SAVPF 0",
        "a=mid:0",
        "a=candidate:1 1 udp 2113937151 6eb06563-2369-49bf-be97-d969944a8945.local 49377 typ host",
        "a=candidate:5 1 udp 123",
        "a=candidate:6 1 UDP x y z typ",
        "nonsense",
        "=",
        "a=end-of-candidates",
    ]
    etag = publisher.response.headers["ETag"]
    assert await publisher.patch("\r\n".join(fragment), If_Match=etag) == 204
    await asyncio.sleep(0.5)  # with those candidates the server's ICE would have failed by now
    await publisher.client.pc.setRemoteDescription(RTCSessionDescription(publisher.answer, "answer"))
    await until(lambda: publisher.client.pc.connectionState == "connected")
    assert await publisher.delete() == 200
    await publisher.client.close()


@pytest.mark.parametrize("name", sorted(REAL_CLIENTS))
async def test_offers_of_other_clients_are_answered_line_by_line(desk: Desk, name: str) -> None:
    offer = REAL_CLIENTS[name](await sdp_of("audio"))
    async with desk.client.post(f"{desk.url}/whip/C01", data=offer, headers=SDP) as response:
        answer = await response.text()
        assert response.status == 201, answer
    kinds = [re.findall(r"(?m)^m=(\w+)", text) for text in (offer, answer)]
    assert kinds[0] == kinds[1]
    assert answer.count("a=recvonly") == 1
    assert set(re.findall(r"a=fingerprint:(\S+)", answer)) == {"sha-256"}
    async with desk.client.delete(desk.url + response.headers["Location"]) as response:
        assert response.status == 200


async def test_a_working_publisher_keeps_the_channel_and_a_dead_one_loses_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = Publisher(desk), Publisher(desk), Publisher(desk)
    await first.connect()
    channel = desk.session.channels["C01"]
    await until(lambda: channel.pipeline is not None)
    assert await second.post() == 409
    first.client.cut_network()
    await until(lambda: channel.state is ChannelState.NO_SIGNAL)
    assert await second.post() == 201, "it never connects: its client does not apply the answer"
    assert channel.connection is not None and len(desk.registry.connections) == 1
    assert await third.post() == 409
    monkeypatch.setattr(takeover, "CONNECTING_S", 0.0)
    await third.connect()
    await until(lambda: channel.pipeline is not None)
    for publisher in (first, second, third):
        assert await publisher.delete() == 200
        await publisher.client.close()
    assert not desk.registry.connections


async def test_a_page_keeps_its_channel(desk: Desk) -> None:
    async def end(reason: str) -> int:
        return 0

    page = desk.registry.connect(desk.session, DoorKind.WEBRTC, [ChannelSpec("C01")], end)
    desk.session.channels["C01"].state = ChannelState.NO_SIGNAL
    async with desk.client.post(f"{desk.url}/whip/C01", data=await sdp_of("audio"), headers=SDP) as response:
        assert response.status == 409
    desk.registry.disconnect(page)


async def test_a_full_server_returns_503_with_a_retry_time(desk: Desk) -> None:
    async def end(reason: str) -> int:
        return 0

    full = [
        desk.registry.connect(desk.registry.create(), DoorKind.WEBRTC, [ChannelSpec()] * 50, end)
        for _ in "ab"
    ]
    async with desk.client.post(f"{desk.url}/whip/C01", data=await sdp_of("audio"), headers=SDP) as response:
        assert response.status == 503
        assert int(response.headers["Retry-After"]) >= 1
    for connection in full:
        desk.registry.disconnect(connection)


async def test_a_flood_of_publishers_that_never_connect_gets_a_retry_time(desk: Desk) -> None:
    sdp = await sdp_of("audio")

    async def post(number: int) -> int:
        async with desk.client.post(f"{desk.url}/whip/C{number:02d}", data=sdp, headers=SDP) as response:
            return response.status

    other = desk.registry.create().id
    statuses = [await post(number) for number in range(1, CONNECTING_MAX + 1)]
    assert statuses == [201] * CONNECTING_MAX
    async with desk.client.post(f"{desk.url}/whip/C01?session={other}", data=sdp, headers=SDP) as response:
        assert response.status == 503
        assert "Retry-After" in response.headers
    await asyncio.gather(*(c.end("test") for c in list(desk.registry.connections.values())))


async def test_the_stored_data_of_ended_sessions_is_bounded(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webrtc_host.doors.whip.ENDED_MAX", 2)
    sdp = await sdp_of("audio")
    locations = []
    for _ in range(3):
        async with desk.client.post(f"{desk.url}/whip/C01", data=sdp, headers=SDP) as response:
            locations.append(desk.url + response.headers["Location"])
        async with desk.client.delete(locations[-1]) as response:
            assert response.status == 200
    statuses = []
    for location in locations:
        async with desk.client.delete(location) as response:
            statuses.append(response.status)
    assert statuses == [404, 200, 200]
    door = next(iter([value for value in desk.app.values() if isinstance(value, WhipDoor)]))
    assert door.statistics()["published"] == 3
