"""`/api/jobs`: what is refused, with which words, and that a refusal leaves nothing behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.support.desk import Desk
from tests.support.polling import until
from tests.webrtc_host.jobs.helpers import a_server, accepted, left_over, submit, talk, wav

SHORT = wav(talk("alpha one")[:16_000])


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with a_server(tmp_path, jobs={"file_bytes": 200_000, "file_s": 60, "open": 3}) as desk:
        yield desk


@pytest.mark.parametrize(
    ("data", "fields", "status", "code"),
    [
        (b"", {}, 422, "empty_audio"),
        (b"no recording" * 50, {}, 415, "wrong_type"),
        (bytes(300_000), {}, 413, "too_large"),
        (None, {"title": "x"}, 422, "missing_field"),
        (SHORT, {"language": "klingon"}, 422, "unknown_language"),
        (SHORT, {"channels": "some"}, 422, "bad_field"),
        (SHORT, {"glossary": "perhaps"}, 422, "bad_field"),
        (SHORT, {"title": "x" * 201}, 422, "bad_field"),
        (SHORT, {"colour": "red"}, 422, "unknown_field"),
        (SHORT, {"summary": "no-such-one"}, 422, "unknown_template"),
        (None, {"url": "http://files.example/a.wav", "summary": "no-such-one"}, 422, "unknown_template"),
        (None, {"url": "file:///etc/passwd"}, 422, "bad_url"),
        (SHORT, {"url": "http://files.example/a.wav"}, 422, "bad_form"),
    ],
)
async def test_what_cannot_be_transcribed_is_refused_at_once(
    desk: Desk, tmp_path: Path, data: bytes | None, fields: dict[str, str], status: int, code: str
) -> None:
    found, body = await submit(desk, data, "odd.wav", **fields)
    assert (found, body["error"]["code"]) == (status, code), body
    if code == "unknown_template":
        assert "known: " in body["error"]["message"] and "general" in body["error"]["message"]
    assert (await desk.get("/api/jobs"))[1]["jobs"] == []
    assert not left_over(tmp_path), "nothing of a refused file stays"


async def test_the_queue_has_a_limit_and_a_key_gives_the_same_job(desk: Desk) -> None:
    first = await accepted(desk, SHORT, idempotency_key="shift-1")
    assert await accepted(desk, SHORT, idempotency_key="shift-1") == first
    status, body = await submit(desk, SHORT, key="shift-1")
    assert (status, body["job"]) == (202, first)
    assert len((await desk.get("/api/jobs"))[1]["jobs"]) == 1
    for name in ("b.wav", "c.wav"):
        await accepted(desk, SHORT, name)
    status, body = await submit(desk, SHORT, "d.wav")
    assert (status, body["error"]["code"]) == (429, "too_many_jobs")


async def test_a_job_that_does_not_exist_is_404(desk: Desk) -> None:
    for path in ("/api/jobs/j_nothing", "/api/jobs/j_nothing/events"):
        status, body = await desk.get(path)
        assert (status, body["error"]["code"]) == (404, "unknown_job")
    async with desk.client.delete(f"{desk.url}/api/jobs/%00") as response:
        assert response.status == 404


async def test_a_full_disk_refuses_the_upload(tmp_path: Path) -> None:
    async with a_server(tmp_path, jobs={"free_bytes_min": 2**60}) as desk:
        status, body = await submit(desk, SHORT)
        assert (status, body["error"]["code"]) == (507, "no_room")


async def test_no_input_may_feed_the_session_of_a_recording(desk: Desk) -> None:
    await accepted(desk, SHORT)
    session = await until(lambda: next((one.id for one in desk.registry if one.is_recorded), None))
    form = aiohttp.FormData({"session_id": session, "channel_id": "C02", "start_ts": "0"})
    form.add_field("audio", SHORT, filename="a.wav")
    async with desk.client.post(f"{desk.url}/push", data=form) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (409, "session_is_recorded")
