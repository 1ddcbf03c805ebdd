"""OpenAI's Realtime transcription by WebRTC: an aiortc client in place of the browser's SDK."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiortc import RTCSessionDescription
from openai import AsyncOpenAI

from tests.support.desk import Desk
from tests.support.peers import Client, SampleTrack
from tests.support.polling import until
from tests.support.speech import padded, say
from tests.support.wires import SHORT, hearing_desk, left_tasks

pytestmark = pytest.mark.peer

TOKEN = "a-token-for-calls"
KEY = {"Authorization": f"Bearer {TOKEN}"}
SDP = {"Content-Type": "application/sdp"}
TRANSCRIPTION = "conversation.item.input_audio_transcription"
CLIENT_COMMITS: dict[str, Any] = {
    "type": "transcription",
    "audio": {"input": {"transcription": {"model": "gpt-live-transcribe", "delay": "minimal"}}},
}


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with hearing_desk(tmp_path, token=TOKEN) as made:
        yield made


def microphone() -> SampleTrack:
    """An utterance of 0.8 s at 48 kHz, then silence."""
    sound = padded(say(SHORT), 0.8, 0.2)
    return SampleTrack(np.repeat(np.round(sound * 32767).astype(np.int16), 3))


class Page:
    """A page that uses a client secret as the SDK does: microphone, `oai-events`, raw SDP."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.client = Client([microphone()], data_channel="oai-events")
        self.said: list[dict[str, Any]] = []
        self.location = ""
        assert self.client.data is not None
        self.data = self.client.data
        self.data.on("message", lambda message: self.said.append(json.loads(message)))

    async def __aenter__(self) -> Page:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()

    async def call(self, path: str, **request: Any) -> int:
        async with self.desk.client.post(self.desk.url + path, **request) as response:
            answer = await response.text()
            if response.status == 201:
                assert response.content_type == "application/sdp" and "a=candidate:" in answer
                self.location = response.headers["Location"]
                await self.client.pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
            return response.status

    def send(self, kind: str, **fields: Any) -> None:
        self.data.send(json.dumps({"type": kind, **fields}))

    async def until(self, kind: str) -> dict[str, Any]:
        await until(lambda: any(one["type"] == kind for one in self.said), within_s=20)
        return next(one for one in self.said if one["type"] == kind)

    @property
    def deltas(self) -> str:
        return "".join(one["delta"] for one in self.said if one["type"] == f"{TRANSCRIPTION}.delta")


async def secret(desk: Desk, session: dict[str, Any]) -> dict[str, str]:
    body = {"session": session}
    async with desk.client.post(f"{desk.url}/v1/realtime/client_secrets", json=body, headers=KEY) as response:
        assert response.status == 200, await response.text()
        return {"Authorization": f"Bearer {(await response.json())['value']}"}


async def test_a_page_with_a_client_secret_gets_the_text_that_it_commits(desk: Desk) -> None:
    async with Page(desk) as page:
        key = await secret(desk, CLIENT_COMMITS)
        offer = (await page.client.offer())["sdp"]
        assert await page.call("/v1/realtime/calls?channel=C04", data=offer, headers={**SDP, **key}) == 201
        created = await page.until("session.created")
        assert created["session"]["audio"]["input"]["turn_detection"] is None
        page.send("session.update", session={"audio": {"input": {"transcription": {"language": "ko"}}}})
        assert (await page.until("session.updated"))["channel"] == "C04"
        assert desk.session.channels["C04"].language == "ko"
        call_id = page.location.rpartition("/")[2]
        async with desk.client.ws_connect(
            f"{desk.url}/v1/realtime?call_id={call_id}", headers=KEY
        ) as follower:
            assert (await follower.receive_json())["type"] == "session.created"
            await until(lambda: bool(page.deltas))
            channel = desk.session.channels["C04"]
            rest_end = channel.end_sample + 9600
            await until(lambda: channel.end_sample >= rest_end)  # the rest of the utterance has arrived
            await follower.send_json({"type": "input_audio_buffer.commit"})
            done = await page.until(f"{TRANSCRIPTION}.completed")
            assert done["transcript"] == page.deltas and done["transcript"].startswith("one two")
            followed = [(await follower.receive_json(timeout=30))["type"]]
            while followed[-1] != f"{TRANSCRIPTION}.completed":
                followed.append((await follower.receive_json(timeout=30))["type"])
            async with desk.client.post(f"{desk.url}{page.location}/hangup", headers=key) as response:
                assert response.status == 200
            closing = await follower.receive(timeout=30)
            assert closing.type is aiohttp.WSMsgType.CLOSE and closing.data == 1000
        async with desk.client.post(f"{desk.url}{page.location}/hangup", headers=key) as response:
            assert response.status == 404
    await until(lambda: not desk.registry.connections and not left_tasks())
    assert not desk.subscribers.statistics().watchers


async def test_the_form_of_the_python_client_makes_a_call_with_turn_detection(desk: Desk) -> None:
    async with Page(desk) as page:
        session: Any = {"type": "realtime", "audio": {"input": {"transcription": {"language": "en"}}}}
        async with AsyncOpenAI(api_key=TOKEN, base_url=f"{desk.url}/v1", max_retries=0) as client:
            answer = await client.realtime.calls.create(
                sdp=(await page.client.offer())["sdp"], session=session
            )
            await page.client.pc.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
            done = await page.until(f"{TRANSCRIPTION}.completed")
            assert done["transcript"] == page.deltas == "one two three"
            assert answer.response.headers["Host-STT-Channel"] == "C01"
            call_id = answer.response.headers["Location"].rpartition("/")[2]
            await client.realtime.calls.hangup(call_id)
    await until(lambda: not desk.registry.connections and not left_tasks())


async def test_offers_that_cannot_be_used_are_refused_and_leave_nothing(desk: Desk) -> None:
    async with Page(desk) as page:
        offer = (await page.client.offer())["sdp"]
        path = "/v1/realtime/calls"
        assert await page.call(path, data=offer, headers=SDP) == 401
        assert await page.call(path, data=offer, headers={**SDP, "Authorization": "Bearer ek_wrong"}) == 401
        assert await page.call(path, data="hello", headers={**SDP, **KEY}) == 400
        assert await page.call(path, data=offer, headers={"Content-Type": "text/html", **KEY}) == 415
        assert await page.call(f"{path}?session=s_none", data=offer, headers={**SDP, **KEY}) == 404
        form = aiohttp.FormData({"sdp": offer, "session": "{"})
        form._is_multipart = True
        assert await page.call(path, data=form, headers=KEY) == 400
        assert await page.call("/v1/realtime/calls/rtc_none/hangup", headers=KEY) == 404
        assert not desk.registry.connections and not left_tasks()


async def test_a_page_of_an_allowed_origin_may_send_the_headers_of_the_sdk(tmp_path: Path) -> None:
    origin = "https://wall.example"
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    asked["Access-Control-Request-Headers"] = "authorization,content-type,x-openai-agents-sdk"
    async with hearing_desk(tmp_path, token=TOKEN, media={"allowed_origins": (origin,)}) as desk:
        url = f"{desk.url}/v1/realtime/calls"
        async with desk.client.options(url, headers=asked) as response:
            allowed = response.headers["Access-Control-Allow-Headers"]
            assert allowed == asked["Access-Control-Request-Headers"]
            assert "Location" in response.headers["Access-Control-Expose-Headers"]
        foreign = {**asked, "Origin": "https://other.example"}
        async with desk.client.options(url, headers=foreign) as response:
            assert "Access-Control-Allow-Headers" not in response.headers
