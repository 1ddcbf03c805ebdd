"""Rooms of the conversation API: members, states, one summary with checked citations, removal of text."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.desk import Desk, a_config, running_desk
from tests.support.events import an_event
from tests.support.language_model import a_language_model
from tests.support.polling import until
from tests.support.wires import frames, hearing_desk, left_tasks, pcm16
from tests.webrtc_host.jobs.helpers import parsed, talk, wav
from webrtc_host.desk.rooms_api import RoomResponse, RoomsResponse
from webrtc_host.errors import RequestError
from webrtc_host.jobs import rooms as rooms_module
from webrtc_host.keys import RECORD, ROOMS
from webrtc_host.seams import EventType
from webrtc_host.transcript import jobs as job_rows
from webrtc_host.transcript.jobs import NewJob
from webrtc_host.transcript.rooms import RoomStream

PATH = "/api/v1/conversation/rooms"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms_module, "LOOK_S", 0.05)


@asynccontextmanager
async def a_desk(folder: Path, **parts: Any) -> AsyncIterator[Desk]:
    async with running_desk(a_config(folder, **parts)) as desk:
        yield desk


async def call(desk: Desk, method: str, path: str = "", body: Any = None) -> tuple[int, Any]:
    async with desk.client.request(method, f"{desk.url}{PATH}{path}", json=body) as response:
        return response.status, await response.json(content_type=None)


async def a_room(desk: Desk, **fields: Any) -> str:
    status, body = await call(desk, "POST", "", fields or None)
    assert status == 201, body
    return str(body["room_id"])


async def settled(desk: Desk, room: str, revision: int = 1) -> dict[str, Any]:
    """The room when it is complete with this revision of its summary."""

    async def is_settled() -> dict[str, Any] | None:
        status, body = await call(desk, "GET", f"/{room}")
        assert status == 200, body
        is_made = body["summary"]["revision"] >= revision and body["status"] in ("COMPLETED", "FAILED")
        return body if is_made else None

    return await until(is_settled)


async def add_stream(desk: Desk, room: str, name: str, channel: str, from_ms: int = 0) -> None:
    await desk.app[ROOMS].add_stream(room, RoomStream(name, desk.session.id, channel, from_ms))


async def test_a_room_has_one_summary_of_its_streams_and_makes_it_again_for_a_later_one(
    tmp_path: Path,
) -> None:
    async with a_desk(tmp_path) as desk:
        room = await a_room(desk, title="Morning  meeting", ignored=1)
        status, body = await call(desk, "GET", f"/{room}")
        RoomResponse.model_validate(body)
        assert (body["status"], body["title"], body["members"]) == ("PENDING", "Morning meeting", [])
        desk.final("the fuel truck is late", "C01", 1000)
        desk.final("not in the room", "C02", 2000)
        desk.final("before the stream", "C03", 0)
        desk.final("the fuel truck is at gate nine", "C03", 5000)
        await desk.settled()
        await add_stream(desk, room, "v_1", "C01")
        assert (await call(desk, "GET", f"/{room}"))[1]["status"] == "PROCESSING"
        await desk.app[ROOMS].end_stream("v_1", 3000)
        first = await settled(desk, room)
        RoomResponse.model_validate(first)
        assert (first["status"], first["summary"]["maker"]) == ("COMPLETED", "extract")
        assert first["summary"]["content"]["lines"] == 1

        await add_stream(desk, room, "v_2", "C03", from_ms=4000)
        assert (await call(desk, "GET", f"/{room}"))[1]["status"] == "PROCESSING"
        await desk.app[ROOMS].end_stream("v_2", 9000)
        second = await settled(desk, room, 2)
        content = second["summary"]["content"]
        assert content["lines"] == 2
        cited = sorted(content["cited"].values(), key=lambda one: one["start_ms"])
        assert [(one["channel"], one["start_ms"], one["session_start_ms"]) for one in cited] == [
            ("C01", 1000, 1000),
            ("C03", 5000, 5000),
        ]
        assert {one["session"] for one in cited} == {desk.session.id}
        _, listed = await call(desk, "GET")
        RoomsResponse.model_validate(listed)
        assert [one["room_id"] for one in listed["rooms"]] == [room]

        assert (await call(desk, "DELETE", f"/{room}"))[0] == 200
        for method, path in (("GET", f"/{room}"), ("DELETE", f"/{room}"), ("POST", f"/{room}/summary")):
            status, body = await call(desk, method, path)
            assert (status, body["error"]["code"]) == (404, "unknown_room")
        assert await desk.get(f"/api/sessions/{desk.session.id}/segments"), "the text stays"


async def test_a_citation_of_a_line_that_is_not_in_the_room_is_removed(tmp_path: Path) -> None:
    invented = {"title": "T", "summary": [{"text": "The truck is late", "cites": ["g_1", "g_2"]}]}
    invented["summary"].append({"text": "Not from here", "cites": ["g_2"]})  # type: ignore[attr-defined]
    async with a_language_model(answers=[json.dumps(invented)]) as model:
        llm = {"kind": "openai", "base_url": f"{model.url}/v1", "model": "small-1", "retries": 0}
        async with a_desk(tmp_path, llm=llm) as desk:
            desk.final("the fuel truck is late", "C01", 1000)
            desk.final("another channel", "C02", 2000)
            await desk.settled()
            room = await a_room(desk, template="meeting", language="en")
            await add_stream(desk, room, "v_1", "C01")
            await desk.app[ROOMS].end_stream("v_1", 9000)
            summary = (await settled(desk, room))["summary"]
        assert "another channel" not in model.texts[0]
        assert (summary["maker"], summary["model"]) == ("model", "small-1")
        (sentence,) = summary["content"]["summary"]
        assert (sentence["cites"], summary["content"]["dropped"]) == (["g_1"], 1)


async def test_redacted_words_leave_the_summary_of_their_room(tmp_path: Path) -> None:
    async with a_desk(tmp_path, store={"url": ""}) as desk:
        desk.session.log.emit(an_event(EventType.CHANNEL_OPENED, "C01", start_ms=0))
        desk.final("the secret code is four", "C01", 1000)
        await desk.settled()
        room = await a_room(desk)
        await add_stream(desk, room, "v_1", "C01")
        await desk.app[ROOMS].end_stream("v_1", 9000)
        assert "secret" in json.dumps(await settled(desk, room))
        redaction = {"channel": "C01", "from_ms": 0, "to_ms": 60_000, "audio": False, "reason": "private"}
        path = f"{desk.url}/api/sessions/{desk.session.id}/redactions"
        async with desk.client.post(path, json=redaction) as response:
            assert response.status in (200, 201), await response.text()
        await desk.written()
        assert "secret" not in json.dumps(await settled(desk, room, 2))


async def test_a_restart_ends_the_streams_of_a_room_and_makes_its_summary(tmp_path: Path, url: str) -> None:
    async with a_desk(tmp_path, store={"url": url}) as desk:
        room = await a_room(desk)
        desk.final("the fuel truck is late", "C01", 0)
        await desk.settled()
        await add_stream(desk, room, "v_1", "C01")
    async with a_desk(tmp_path, store={"url": url}) as desk:
        body = await settled(desk, room)
        assert body["members"][0]["status"] == "COMPLETED"
        assert body["summary"]["content"]["lines"] == 1


async def test_failed_recordings_and_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_desk(tmp_path) as desk:
        store = desk.app[RECORD].store
        for name in ("j_1", "j_2"):
            new = NewJob(name, name, "a.wav", {}, 0)
            await store.write(lambda c, new=new: job_rows.add(c, new, 9))  # type: ignore[misc]
        status, body = await call(desk, "POST", "", {"job_ids": ["j_none"]})
        assert (status, body["error"]["code"]) == (404, "unknown_job")
        assert (await call(desk, "GET"))[1]["rooms"] == [], "a room that was refused is not there"
        room = await a_room(desk, job_ids=["j_1"])
        assert (await call(desk, "POST", f"/{room}/members", {"job_id": "j_1"}))[0] == 200, "once more"
        assert (await call(desk, "GET", f"/{room}"))[1]["status"] in ("PENDING", "PROCESSING")
        for name in ("j_1", "j_2"):
            await store.write(lambda c, name=name: job_rows.cancel(c, name, 1))  # type: ignore[misc]
        assert (await settled(desk, room, 0))["status"] == "FAILED"
        async with desk.client.get(f"{desk.url}{PATH}/{room}/events") as response:
            *_, (name, last_id, last) = parsed(await response.text())
        assert (name, last_id, last["status"], last["room_id"]) == ("final_summary", "end", "FAILED", room)

        monkeypatch.setattr(rooms_module, "MEMBERS_MAX", 1)
        status, body = await call(desk, "POST", f"/{room}/members", {"job_id": "j_2"})
        assert (status, body["error"]["code"]) == (429, "room_full")
        with pytest.raises(RequestError):
            await desk.app[ROOMS].check_open(room)
        monkeypatch.setattr(rooms_module, "ROOMS_MAX", 1)
        status, body = await call(desk, "POST")
        assert (status, body["error"]["code"]) == (429, "too_many_rooms")
        for wrong in ({"template": "no-such"}, {"language": "fr"}, {"title": "\u0007"}):
            assert (await call(desk, "POST", "", wrong))[0] == 422


async def test_a_recording_and_a_stream_sent_into_a_room_become_one_summary(tmp_path: Path) -> None:
    sound = talk("alpha one proceed to gate seven", pause_s=1.0)
    async with hearing_desk(tmp_path, jobs={"free_bytes_min": 0}) as desk:
        room = await a_room(desk)
        form = aiohttp.FormData({"room_id": room})
        form.add_field("file", io.BytesIO(wav(sound)), filename="talk.wav")
        url = f"{desk.url}/api/v1/conversation"
        async with desk.client.post(f"{url}/request", data=form) as response:
            assert response.status == 200, await response.text()
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await desk.client.ws_connect(f"{url}/stream?room=r_none&format=pcm")
        assert refused.value.status == 404
        async with desk.client.ws_connect(f"{url}/stream?room={room}&format=pcm") as socket:
            for frame in frames(pcm16(sound[: 3 * 16_000])):
                await socket.send_bytes(frame)
            await socket.send_str("end")
            while (message := await socket.receive(timeout=30)).type is aiohttp.WSMsgType.TEXT:
                last = json.loads(message.data)
        assert (last["type"], last["room_id"]) == ("final_summary", room)
        body = await settled(desk, room)
        assert [(one["type"], one["status"]) for one in body["members"]] == [
            ("job", "COMPLETED"),
            ("stream", "COMPLETED"),
        ]
        assert len({one["session"] for one in body["members"]}) == 2
        content = body["summary"]["content"]
        assert content["lines"] == 2 and content["cited"], "lines of both are read"
        await until(lambda: not left_tasks())
