"""pipecat's SmallWebRTC: the codec alone, and an aiortc client that sends what its browser client sends."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiortc import RTCSessionDescription
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.desk import Desk
from tests.support.peers import Client, SampleTrack
from tests.support.polling import until
from tests.support.speech import padded, say
from tests.support.streams import Utterance, final, opened, results_of, utterances
from tests.support.wires import SHORT, hearing_desk, left_tasks
from webrtc_host.wires.messages import SERVER_STOPPING, STOPPED, Action, End, Finish, Frame, Interim, Say
from webrtc_host.wires.pipecat import RESTARTED, PipecatCodec

TOKEN = "a-token-for-offers"
KEY = {"Authorization": f"Bearer {TOKEN}"}
READY = {"label": "rtvi-ai", "type": "client-ready", "id": "r1", "data": {"version": "1.0.0"}}

LEAVE = {"label": "rtvi-ai", "type": "disconnect-bot", "id": "d"}


def made() -> PipecatCodec:
    return PipecatCodec("1.0", datetime(2026, 11, 30, 9, 0, tzinfo=UTC))


def said(given_: Sequence[Action | Frame]) -> list[dict[str, Any]]:
    found = [frame for one in given_ for frame in (one.frames if isinstance(one, Say) else (one,))]
    return [json.loads(frame) for frame in found if isinstance(frame, str)]


# --- the codec alone ---


def test_a_client_that_is_ready_is_answered_with_its_id() -> None:
    (ready,) = said(made().on_text(json.dumps(READY), 0.0))
    assert (ready["label"], ready["type"], ready["id"]) == ("rtvi-ai", "bot-ready", "r1")
    assert ready["data"]["version"].startswith("2.")


def test_words_are_told_with_their_time() -> None:
    codec = made()
    codec.on_result(opened("0"))
    (provisional,) = said(codec.on_result(Interim("0", "u_1", "alpha on", 0, 0, 400, "en")))
    assert provisional["data"] == {
        "text": "alpha on",
        "user_id": "C01",
        "timestamp": "2026-11-30T09:00:00.400+00:00",
        "final": False,
    }
    (whole,) = said(codec.on_result(final("alpha one", 0, 1500)))
    assert (whole["type"], whole["data"]["text"], whole["data"]["final"]) == (
        "user-transcription",
        "alpha one",
        True,
    )


def test_messages_of_the_transport_need_no_answer_and_others_get_an_error() -> None:
    codec = made()
    muted = {"type": "signalling", "message": {"type": "trackStatus", "receiver_index": 0, "enabled": False}}
    assert codec.on_text("ping: 1764493200000", 0.0) == codec.on_text(json.dumps(muted), 0.0) == []
    assert codec.on_text(json.dumps(LEAVE), 0.0) == [Finish()]
    request = {"label": "rtvi-ai", "type": "send-text", "id": "q7", "data": {"content": "hello"}}
    (action,) = codec.on_text(json.dumps(request), 0.0)
    assert isinstance(action, Say) and action.is_complaint
    (answer,) = said([action])
    assert (answer["type"], answer["id"]) == ("error-response", "q7")
    for text in ("no json", "[]", "{}", '{"label": "rtvi-ai"}', '{"label": "rtvi-ai", "type": 7}'):
        (answer,) = said(codec.on_text(text, 0.0))
        assert answer["type"] == "error" and answer["data"]["fatal"] is False
    assert said(codec.on_bytes(b"x"))[0]["type"] == "error"


def test_only_an_end_for_good_makes_the_client_hang_up() -> None:
    codec = made()
    assert said(codec.on_end(End(STOPPED)).frames) == [
        {"type": "signalling", "message": {"type": "peerLeft"}}
    ]
    assert codec.on_end(End(STOPPED)).frames == (), "told once"
    for reason in (SERVER_STOPPING, RESTARTED):
        assert made().on_end(End(reason)).frames == (), "the client connects again"


@settings(max_examples=30)
@given(utterances)
def test_every_final_word_is_told_once(said_: list[Utterance]) -> None:
    codec = made()
    messages = said([frame for result in results_of(said_) for frame in codec.on_result(result)])
    finals = [one["data"]["text"] for one in messages if one.get("data", {}).get("final")]
    assert finals == [text for one in said_ for text in one.finals if text]


parts = st.none() | st.integers() | st.text(max_size=10) | st.lists(st.integers(), max_size=2)


@settings(max_examples=50)
@given(st.text() | st.dictionaries(st.sampled_from(["label", "type", "id", "data", "message"]), parts))
def test_any_message_is_read_or_answered(message: str | dict[str, Any]) -> None:
    text = message if isinstance(message, str) else json.dumps({"label": "rtvi-ai", **message})
    said(made().on_text(text, 0.0))


# --- the routes ---


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with hearing_desk(tmp_path, token=TOKEN) as made_:
        yield made_


class Page:
    """What the browser client does: an offer, candidates apart from it, and the data channel `chat`."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        sound = padded(say(SHORT), 0.8, 0.2)
        microphone = SampleTrack(np.repeat(np.round(sound * 32767).astype(np.int16), 3))
        self.client = Client([microphone], data_channel="chat")
        self.said: list[dict[str, Any]] = []
        self.answer: dict[str, Any] = {}
        assert self.client.data is not None
        self.data = self.client.data
        self.data.on("message", lambda message: self.said.append(json.loads(message)))

    async def request(self, method: str, body: Any, headers: Any = KEY) -> tuple[int, dict[str, Any]]:
        async with self.desk.client.request(
            method, f"{self.desk.url}/api/offer", json=body, headers=headers
        ) as response:
            return response.status, await response.json()

    async def offer(self, **fields: Any) -> int:
        sdp = (await self.client.offer())["sdp"]
        body = {"sdp": sdp, "type": "offer", "pc_id": None, "restart_pc": False, **fields}
        status, answer = await self.request("POST", body)
        if status == 200:
            self.answer = answer
            await self.client.pc.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
        return status

    async def until(self, kind: str, **data: Any) -> dict[str, Any]:
        def found() -> list[dict[str, Any]]:
            return [
                one
                for one in self.said
                if one["type"] == kind and data.items() <= one.get("data", {}).items()
            ]

        await until(lambda: bool(found()), within_s=20)
        return found()[0]


@pytest.mark.peer
async def test_a_page_gets_its_words_and_a_restart_continues_its_channel(desk: Desk) -> None:
    first, second = Page(desk), Page(desk)
    try:
        assert await first.offer(requestData={"channel": "C04", "glossary": ["alpha"], "other": 1}) == 200
        pc_id = first.answer["pc_id"]
        assert first.answer["type"] == "answer" and first.answer["channels"] == ["C04"]
        line = "candidate:1 1 udp 2122260223 127.0.0.1 50000 typ host generation 0"
        candidates = [{"candidate": one, "sdp_mid": "0", "sdp_mline_index": 0} for one in (line, "")]
        assert (await first.request("PATCH", {"pc_id": pc_id, "candidates": candidates}))[0] == 200
        await until(lambda: first.data.readyState == "open")
        first.data.send("ping: 1764493200000")
        first.data.send(json.dumps(READY))
        assert (await first.until("bot-ready"))["id"] == "r1"
        await first.until("user-started-speaking")
        whole = await first.until("user-transcription", final=True)
        assert whole["data"]["text"] == "one two three" and whole["data"]["user_id"] == "C04"
        await first.until("user-stopped-speaking")
        assert desk.session.channels["C04"].terms == ("alpha",)
        assert await first.offer(pc_id=pc_id) == 200, "a later offer of the same connection"
        assert first.answer["pc_id"] == pc_id
        assert await second.offer(pc_id=pc_id, restart_pc=True) == 200
        assert (second.answer["pc_id"], second.answer["channels"]) == (pc_id, ["C04"])
        assert not any(one["type"] == "signalling" for one in first.said)
        await until(lambda: second.data.readyState == "open", within_s=20)
        second.data.send(json.dumps(LEAVE))
        await second.until("signalling")
        await until(lambda: not desk.registry.connections and not left_tasks(), within_s=20)
        assert (await first.request("PATCH", {"pc_id": pc_id, "candidates": []}))[0] == 404
    finally:
        await first.client.close()
        await second.client.close()
    assert not desk.subscribers.statistics().watchers


@pytest.mark.peer
async def test_requests_that_cannot_be_used_are_refused_and_leave_nothing(desk: Desk) -> None:
    page = Page(desk)
    try:
        sdp = (await page.client.offer())["sdp"]
        body = {"sdp": sdp, "type": "offer"}
        assert (await page.request("POST", body, {}))[0] == 401
        wrong = (
            ({"type": "offer"}, 400),
            ({"sdp": sdp, "type": "answer"}, 422),
            ({"sdp": "hello", "type": "offer"}, 400),
            (body | {"pc_id": 7}, 422),
            (body | {"request_data": {"channel": "C99"}}, 422),
            (body | {"request_data": {"session": "s_none"}}, 404),
        )
        for given_, status in wrong:
            assert (await page.request("POST", given_))[0] == status, given_
        for given_, status in (
            ({}, 404),
            ({"pc_id": "SmallWebRTC-x", "candidates": []}, 404),
            ({"pc_id": 1}, 422),
        ):
            assert (await page.request("PATCH", given_))[0] == status, given_
    finally:
        await page.client.close()
    assert not desk.registry.connections and not left_tasks()
