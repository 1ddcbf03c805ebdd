"""The conversation API: a recording becomes segments and, as the last event, its summary."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import aiohttp

from host_stt.contract import WindowError
from tests.support.desk import Desk
from tests.webrtc_host.jobs.helpers import WAIT_S, Event, a_server, left_over, parsed, talk, wav
from tests.webrtc_host.recovery.crashing import word_per_half_second
from tests.webrtc_host.speech.engine_server import engine_server

SOUND = wav(talk("alpha one proceed to gate seven", "echo six hold at gate nine"))


async def send(desk: Desk, *files: tuple[str, bytes], **fields: str) -> tuple[int, dict[str, Any]]:
    """files: (name of the part, content)."""
    form = aiohttp.FormData()
    for field, value in fields.items():
        form.add_field(field, value)
    for part, data in files:
        form.add_field(part, io.BytesIO(data), filename="talk.wav")
    if not files and not fields:
        form.add_field("note", "", content_type="text/plain")
    async with desk.client.post(f"{desk.url}/api/v1/conversation/request", data=form) as response:
        return response.status, await response.json()


async def stream(desk: Desk, job: str, last_id: str = "") -> list[Event]:
    headers = {"Last-Event-ID": last_id} if last_id else {}
    timeout = aiohttp.ClientTimeout(total=WAIT_S)
    url = f"{desk.url}/api/v1/conversation/stream-events/{job}"
    async with desk.client.get(url, headers=headers, timeout=timeout) as response:
        assert response.status == (204 if last_id == "end" else 200)
        return parsed(await response.text())


async def test_segments_come_first_and_the_summary_last(tmp_path: Path) -> None:
    async with engine_server(word_per_half_second) as engine, a_server(tmp_path, engine) as desk:
        status, body = await send(desk, ("recording", SOUND), language="Korean", other="1")
        assert status == 200 and body["status"] == "PENDING", body
        events = await stream(desk, body["job_id"])
        *segments, (name, end_id, final) = events
        assert segments and {one for one, _, _ in segments} == {"transcript_segment"}
        for _, _, data in segments:
            assert data["type"] == "transcript_segment" and data["job_id"] == body["job_id"]
            assert data["text"] and data["status"] == "PROCESSING"
        assert (name, end_id, final["type"]) == ("final_summary", "end", "final_summary")
        assert (final["status"], final["error"]) == ("COMPLETED", None), final
        assert final["summary"] and final["content"]["summary"]
        assert {window.language for window in engine.windows} == {"ko"}

        assert await stream(desk, body["job_id"]) == events, "a later reader gets the same"
        first_id = segments[0][1]
        assert first_id is not None
        assert await stream(desk, body["job_id"], first_id) == events[1:]
        assert await stream(desk, body["job_id"], "end") == []


async def test_a_failed_job_ends_with_its_reason(tmp_path: Path) -> None:
    def refuse(window: Any) -> WindowError:
        return WindowError(window.id, "decode_failed", "it broke")

    async with engine_server(refuse) as engine, a_server(tmp_path, engine) as desk:
        _, body = await send(desk, ("audio", SOUND))
        ((name, _, final),) = await stream(desk, body["job_id"])
        assert (name, final["status"], final["summary"]) == ("final_summary", "FAILED", None)
        assert final["error"]["code"] == "engine_failed"


async def test_what_cannot_be_transcribed_is_refused_at_once(tmp_path: Path) -> None:
    async with a_server(tmp_path, jobs={"file_bytes": 1_000_000}) as desk:
        for files, fields, expected in (
            ([], {}, (422, "missing_field")),
            ([("file", b"no recording" * 50)], {}, (415, "wrong_type")),
            ([("file", b"")], {}, (422, "empty_audio")),
            ([("file", bytes(1_500_000))], {}, (413, "too_large")),
            ([("file", b"1"), ("second", b"2")], {}, (422, "bad_form")),
            ([("file", SOUND)], {"language": "klingon"}, (422, "unknown_language")),
        ):
            status, body = await send(desk, *files, **fields)
            assert (status, body["error"]["code"]) == expected
        assert (await desk.get("/api/jobs"))[1]["jobs"] == []
        assert not left_over(tmp_path), "nothing of a refused file stays"
        async with desk.client.post(f"{desk.url}/api/v1/conversation/request", json={}) as response:
            assert response.status == 415
        status, body = await desk.get("/api/v1/conversation/stream-events/j_nothing")
        assert (status, body["error"]["code"]) == (404, "unknown_job")
