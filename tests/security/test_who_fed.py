"""The audit names the sender of audio, and `channel.opened` names the token."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.audio_files import wav_header
from tests.support.desk import Desk, a_config, received, running_desk
from tests.webrtc_host.doors.test_whip import sdp_of

ADMIN = "correct-horse-battery"
TOKENS: Any = [
    {"name": "desk-1", "token": "first-operator", "role": "operator"},
    {"name": "desk-2", "token": "second-operator", "role": "operator"},
    {"name": "wall", "token": "only-a-viewer", "role": "viewer"},
]
START = {"encoding": "pcm_s16le", "sample_rate": 16000}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def audit(desk: Desk, count: int) -> list[dict[str, Any]]:
    """The lines of the audit, oldest first, once there are so many."""
    lines: list[dict[str, Any]] = []
    for _ in range(500):
        await desk.written()
        async with desk.client.get(f"{desk.url}/api/audit", headers=bearer(ADMIN)) as response:
            lines = (await response.json())["lines"][::-1]
        if len(lines) >= count:
            break
    return lines


async def test_every_way_in_leaves_a_line_with_the_tokens_name(tmp_path: Path) -> None:
    one, two = bearer("first-operator"), bearer("second-operator")
    async with running_desk(a_config(tmp_path, token=ADMIN, tokens=TOKENS)) as desk:
        async with desk.client.post(f"{desk.url}/sessions/create", json={}, headers=one) as made:
            session = (await made.json())["session_id"]
        offer = {"type": "offer", "sdp": await sdp_of("audio"), "session": session}
        async with desk.client.post(f"{desk.url}/offer", json=offer, headers=two) as answered:
            assert answered.status == 200
            feeds = (await answered.json())["channels"][0]["channel"]
        whip = {**one, "Content-Type": "application/sdp"}
        address = f"{desk.url}/whip/C07?session={session}"
        async with desk.client.post(address, data=await sdp_of("audio"), headers=whip) as answered:
            assert answered.status == 201
        async with desk.client.ws_connect(f"{desk.url}/ws/pcm/C09", headers=two) as socket:
            await socket.send_json({**START, "session": session})
            assert (await socket.receive_json())["type"] == "started"
        lines = await audit(desk, 4)
        told = [(line["who"], line["action"], line["session"], line["channel"]) for line in lines]
        assert told == [
            ("desk-1", "made", session, None),
            ("desk-2", "fed", session, feeds),
            ("desk-1", "fed", session, "C07"),
            ("desk-2", "fed", session, "C09"),
        ]
        assert [line["detail"].split()[0] for line in lines] == ["session", "webrtc", "whip", "socket"]
        assert all(line["remote"] == "127.0.0.1" for line in lines)


async def test_an_upload_has_an_audit_line_when_it_was_read(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path, token=ADMIN, tokens=TOKENS)) as desk:
        form = aiohttp.FormData()
        for name, value in (("session_id", desk.session.id), ("channel_id", "C03"), ("start_ts", "5")):
            form.add_field(name, value)
        silence = bytes(32_000)  # a second; it needs no engine
        form.add_field("audio", wav_header(len(silence)) + silence, filename="a.wav")
        headers = bearer("first-operator")
        async with desk.client.post(f"{desk.url}/push", data=form, headers=headers) as response:
            assert response.status == 200
        (line,) = await audit(desk, 1)
        assert (line["who"], line["action"], line["channel"]) == ("desk-1", "fed", "C03")
        assert line["detail"] == "push start_ts=5.0"


async def test_a_refused_sender_feeds_no_audio_and_has_no_audit_line(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path, token=ADMIN, tokens=TOKENS)) as desk:
        headers = bearer("only-a-viewer")
        async with desk.client.post(f"{desk.url}/sessions/create", headers=headers) as refused:
            assert refused.status == 403
        async with desk.client.ws_connect(f"{desk.url}/ws/pcm/C09", headers=headers) as socket:
            assert (await socket.receive_json())["code"] == "role_too_low"
        async with desk.client.post(
            f"{desk.url}/offer", json={"type": "offer", "sdp": "v=0"}, headers=bearer("first-operator")
        ) as refused:
            assert refused.status in (400, 422)
        assert await audit(desk, 1) == []


async def opened(desk: Desk, **headers: str) -> dict[str, Any]:
    """The `channel.opened` of a socket that came with these headers."""
    watcher = await desk.client.ws_connect(f"{desk.url}/ws?since=0&token={ADMIN}")
    async with desk.client.ws_connect(f"{desk.url}/ws/pcm/C09", headers=headers) as socket:
        await socket.send_json(START)
        await socket.receive_json()
        while True:
            (event,) = await received(watcher, 1)
            if event["type"] == "channel.opened":
                await watcher.close()
                return event


async def test_channel_opened_names_the_token_and_never_holds_it(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path / "a", token=ADMIN, tokens=TOKENS)) as desk:
        event = await opened(desk, **bearer("second-operator"))
        assert event["by"] == "desk-2"
        assert "second-operator" not in json.dumps(event)
    async with running_desk(a_config(tmp_path / "b")) as desk:
        assert "by" not in await opened(desk)
