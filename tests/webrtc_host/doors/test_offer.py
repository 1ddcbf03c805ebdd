"""Refused offers: each has its error code, and no state remains."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection

from tests.support.peers import Rig, app_of
from tests.support.polling import until
from webrtc_host.config import LimitsConfig, MediaConfig
from webrtc_host.doors.offer import OfferDoor
from webrtc_host.session.channel import ChannelSpec
from webrtc_host.session.channel_seams import DoorKind

pytestmark = pytest.mark.peer


def own_tasks() -> int:
    """Tasks except those of aiohttp that wait for the next request of a keep-alive connection."""
    names = (task.get_coro().__qualname__ for task in asyncio.all_tasks())  # type: ignore[union-attr]
    return sum(name != "RequestHandler.start" for name in names)


class World:
    def __init__(self, rig: Rig, http: Any) -> None:
        self.rig = rig
        self.http = http

    async def refused(self, status: int, code: str, **request: Any) -> str:
        """Send the offer; check the error response and that the server's state is unchanged."""
        tasks = own_tasks()
        held = dict(self.rig.registry.connections)
        async with self.http.post("/offer", **request) as response:
            body = await response.json()
            assert (response.status, body["error"]["code"]) == (status, code), body
        assert self.rig.registry.connections == held
        await until(lambda: own_tasks() <= tasks, 2.0)
        message: str = body["error"]["message"]
        return message


@pytest.fixture
async def world(aiohttp_client: Any) -> AsyncIterator[World]:
    rig = Rig(LimitsConfig(channels_per_process=100))
    door = OfferDoor(rig.registry, MediaConfig(), lambda *_: None)
    yield World(rig, await aiohttp_client(app_of(door)))
    await rig.registry.close()


async def sdp_of(*lines: tuple[str, str]) -> str:
    """A real offer with these (kind, direction) lines."""
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    for kind, direction in lines:
        pc.addTransceiver(kind, direction=direction)
    if not lines:
        pc.createDataChannel("transcript")
    await pc.setLocalDescription(await pc.createOffer())
    sdp = pc.localDescription.sdp
    await pc.close()
    return str(sdp)


def body_of(sdp: str, **fields: Any) -> dict[str, Any]:
    return {"json": {"sdp": sdp, "type": "offer", **fields}}


@pytest.mark.parametrize(
    ("status", "code", "request_"),
    [
        (400, "bad_json", {"data": b"hello"}),
        (400, "bad_json", {"data": b"[" * 100_000}),
        (400, "bad_json", {"data": b""}),
        (400, "bad_json", {"data": b"\xff\xfe"}),
        (400, "bad_json", {"json": ["v=0"]}),
        (400, "missing_field", {"json": {"type": "offer"}}),
        (400, "missing_field", {"json": {"type": "offer", "sdp": ""}}),
        (400, "missing_field", {"json": {"type": "offer", "sdp": 7}}),
        (422, "bad_type", {"json": {"type": "answer", "sdp": "v=0"}}),
        (422, "bad_type", {"json": {"sdp": "v=0"}}),
        (422, "unknown_field", {"json": {"type": "offer", "sdp": "v=0", "language": "ko"}}),
        (422, "unknown_field", {"json": {"type": "offer", "sdp": "v=0", "channels": [{"lang": "ko"}]}}),
        (400, "bad_sdp", {"json": {"type": "offer", "sdp": "garbage"}}),
        (400, "bad_sdp", {"json": {"type": "offer", "sdp": "v=0\r\nm=audio\r\n"}}),
        (422, "no_audio", {"json": {"type": "offer", "sdp": "v=0\r\n"}}),
        (413, "too_large", {"data": io.BytesIO(b"x" * 2_000_000)}),
        (422, "bad_field", {"json": {"type": "offer", "sdp": "v=0", "channels": "C01"}}),
        (422, "bad_field", {"json": {"type": "offer", "sdp": "v=0", "channels": [{"label": 5}]}}),
        (422, "bad_field", {"json": {"type": "offer", "sdp": "v=0", "channels": [{"glossary": "Alpha-1"}]}}),
        (422, "bad_field", {"json": {"type": "offer", "sdp": "v=0", "session": "s" * 65}}),
        (
            422,
            "unknown_language",
            {"json": {"type": "offer", "sdp": "v=0", "channels": [{"language": "xx"}]}},
        ),
        (422, "unknown_language", {"json": {"type": "offer", "sdp": "v=0", "channels": [{"language": 5}]}}),
    ],
)
async def test_an_invalid_body_is_refused(
    world: World, status: int, code: str, request_: dict[str, Any]
) -> None:
    await world.refused(status, code, **request_)


async def test_a_body_without_a_length_is_cut_off_at_the_limit(world: World) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 65_536

    await world.refused(413, "too_large", data=endless())


async def test_offers_without_usable_audio_are_refused(world: World) -> None:
    await world.refused(422, "no_audio", **body_of(await sdp_of()))
    await world.refused(422, "no_audio", **body_of(await sdp_of(("video", "sendonly"))))
    await world.refused(422, "not_sending", **body_of(await sdp_of(("audio", "recvonly"))))
    await world.refused(422, "not_sending", **body_of(await sdp_of(("audio", "inactive"))))
    mixed = await sdp_of(("audio", "recvonly"), ("video", "sendonly"), ("audio", "inactive"))
    message = await world.refused(422, "not_sending", **body_of(mixed))
    assert "audio line 0 is recvonly" in message


async def test_65_audio_lines_are_too_many(world: World) -> None:
    sdp = await sdp_of(("audio", "sendonly"))
    head, line = sdp.split("m=audio", 1)
    lines = "".join("m=audio" + line.replace("a=mid:0", f"a=mid:{i}") for i in range(65))
    message = await world.refused(422, "too_many_media_lines", **body_of(head + lines))
    assert "65" in message and "64" in message


async def test_audio_in_an_unsupported_codec_is_refused(world: World) -> None:
    sdp = await sdp_of(("audio", "sendonly"))
    for codec in ("opus/48000/2", "PCMU/8000", "PCMA/8000"):
        sdp = sdp.replace(codec, "speex/16000")
    await world.refused(422, "no_opus", **body_of(sdp))


async def test_incomplete_sdp_is_refused(world: World) -> None:
    sdp = await sdp_of(("audio", "sendonly"))

    def without(name: str) -> str:
        return "\r\n".join(line for line in sdp.splitlines() if not line.startswith(name)) + "\r\n"

    for code, broken in (
        ("unusable_sdp", without("a=fingerprint")),
        ("unusable_sdp", without("a=ice-ufrag")),
        ("unusable_sdp", sdp.replace("a=setup:actpass", "a=setup:holdconn")),
        ("bad_mid", sdp.replace("m=audio ", "m=audio 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\nm=audio ")),
    ):
        await world.refused(422, code, **body_of(broken))


async def test_unknown_and_ended_sessions_have_different_errors(world: World) -> None:
    sdp = await sdp_of(("audio", "sendonly"))
    await world.refused(404, "unknown_session", **body_of(sdp, session="s_nowhere"))
    session = world.rig.registry.create()
    await world.rig.registry.end(session)
    await world.refused(409, "session_ended", **body_of(sdp, session=session.id))


async def test_unavailable_channels_are_refused(world: World) -> None:
    registry = world.rig.registry
    sdp = await sdp_of(("audio", "sendonly"))
    two = await sdp_of(("audio", "sendonly"), ("audio", "sendonly"))

    async def end(reason: str) -> int:
        registry.disconnect(feeder)
        return 0

    feeder = registry.connect(registry.current(), DoorKind.WEBRTC, [ChannelSpec("C03")], end)
    message = await world.refused(409, "channel_fed", **body_of(sdp, channels=[{"channel": "C03"}]))
    assert "C03" in message
    message = await world.refused(422, "unknown_channel", **body_of(sdp, channels=[{"channel": "C65"}]))
    assert message == "channel C65 is outside C01-C64"
    for strange in ("", "c01", "C1", "C001", "C00", "tower"):
        await world.refused(422, "unknown_channel", **body_of(sdp, channels=[{"channel": strange}]))
    twice = [{"channel": "C05"}, {"channel": "C05"}]
    await world.refused(422, "duplicate_channel", **body_of(two, channels=twice))
    await world.refused(422, "unknown_mid", **body_of(sdp, channels=[{"mid": "9"}]))
    await world.refused(422, "duplicate_mid", **body_of(two, channels=[{"mid": "0"}, {"mid": "0"}]))
    await world.refused(422, "too_many_wishes", **body_of(sdp, channels=[{}, {}]))


async def test_a_full_session_and_a_full_server_return_a_retry_time(world: World) -> None:
    registry = world.rig.registry

    async def end(reason: str) -> int:
        return 0

    registry.connect(registry.current(), DoorKind.WEBRTC, [ChannelSpec()] * 64, end)
    sdp = await sdp_of(("audio", "sendonly"))
    await world.refused(429, "no_free_channel", **body_of(sdp))
    registry.connect(registry.create(), DoorKind.WEBRTC, [ChannelSpec()] * 36, end)
    async with world.http.post("/offer", **body_of(sdp, session=registry.create().id)) as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "5.0")
        assert (await response.json())["error"]["code"] == "too_many_channels"


async def test_other_methods_are_not_allowed(world: World) -> None:
    for method in ("get", "put", "patch", "delete"):
        async with world.http.request(method, "/offer") as response:
            assert response.status == 405
    async with world.http.post("/offer/c_1") as response:
        assert response.status == 405


async def test_closing_an_unknown_connection_is_404(world: World) -> None:
    async with world.http.delete("/offer/c_nothing") as response:
        assert response.status == 404
        assert (await response.json())["error"]["code"] == "unknown_connection"


async def test_host_names_in_candidates_are_not_looked_up(world: World) -> None:
    sdp = await sdp_of(("audio", "sendonly"))
    hidden = "".join(
        line if " typ host" not in line else line.replace(line.split()[4], "0b1e7c1c.local")
        for line in sdp.splitlines(keepends=True)
    )
    assert ".local" in hidden
    before = asyncio.get_running_loop().time()
    async with world.http.post("/offer", **body_of(hidden)) as response:
        assert response.status == 200
        json.loads(await response.text())
    assert asyncio.get_running_loop().time() - before < 0.9  # a look-up that fails takes 1.0 s
