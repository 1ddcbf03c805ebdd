"""A recording becomes a session: uploaded, transcribed, shown as it grows, found, exported and played."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from host_stt.contract import Answer, Window, WindowError
from tests.support.polling import until
from tests.support.speech import silence
from tests.webrtc_host.jobs.helpers import (
    a_server,
    accepted,
    events_of,
    job_of,
    left_over,
    named,
    submit,
    talk,
    wav,
)
from tests.webrtc_host.recovery.crashing import archived, crash, expected_words, word_per_half_second
from tests.webrtc_host.speech.engine_server import engine_server
from webrtc_host.keys import JOB_RUNNER

SOUND = talk()


def words_in(events: list[Any], channel: str = "C01") -> list[str]:
    return [
        word
        for one in named(events, "transcript_segment")
        if one["channel"] == channel
        for word in one["text"].split()
    ]


def assert_whole(read: list[str], sound: Any) -> None:
    """Every half second of speech is a word, once; one at the edge of a window may be missing."""
    assert len(read) == len(set(read)), read
    expected = expected_words(sound, 0)
    assert set(read) <= set(expected)
    assert len(read) >= 0.7 * len(expected), (read, expected)


async def test_a_recording_is_a_session_that_is_found_exported_and_played(tmp_path: Path) -> None:
    async with engine_server(word_per_half_second) as engine, a_server(tmp_path, engine) as desk:
        status, body = await submit(desk, wav(SOUND), "night.wav", language="English", title="Night")
        assert status == 202
        assert (body["state"], body["title"], body["file_name"], body["language"]) == (
            *("queued", "Night", "night.wav", "en"),
        )
        events = await events_of(desk, body["job"])
        names = [name for name, _, _ in events]
        assert names[:2] == ["queued", "started"] and names[-1] == "completed"
        assert "progress" in names
        assert_whole(words_in(events), SOUND)
        job = await job_of(desk, body["job"])
        assert job["state"] == "completed" and job["error"] is None and job["warning"] is None
        assert job["done_s"] == job["total_s"] == pytest.approx(len(SOUND) / 16_000, abs=0.01)
        assert not left_over(tmp_path), "the file is removed when its text is there"

        session = job["session"]
        _, about = await desk.get(f"/api/sessions/{session}")
        assert about["is_ended"] and [one["channel"] for one in about["channels"]] == ["C01"]
        _, coverage = await desk.get(f"/api/sessions/{session}/coverage")
        (covered,) = coverage["channels"]
        assert covered["runs"][0]["from_ms"] == 0
        assert covered["runs"][-1]["to_ms"] == len(SOUND) // 16
        assert {run["state"] for run in covered["runs"]} == {"transcribed", "silence"}
        assert about["now_ms"] == coverage["now_ms"] == len(SOUND) // 16, "however long the job took"
        (listed,) = (await desk.get("/api/sessions"))[1]["sessions"]
        assert listed["now_ms"] == len(SOUND) // 16
        _, timeline = await desk.get(f"/api/sessions/{session}/timeline")
        assert timeline["to_ms"] == len(SOUND) // 16
        word = words_in(events)[0]
        _, hits = await desk.get("/api/search", q=word)
        assert {hit["session"] for hit in hits["hits"]} == {session}
        async with desk.client.get(f"{desk.url}/api/sessions/{session}/export.srt") as response:
            assert response.status == 200 and word in await response.text()
        channel = desk.registry.get(session).channels["C01"]
        await archived(desk, channel)
        played = f"{desk.url}/api/sessions/{session}/channels/C01/audio?from_ms=0&to_ms=3000"
        async with desk.client.get(played) as response:
            assert response.status == 200 and (await response.read())[:4] == b"OggS"
        assert {window.priority.value for window in engine.windows} == {"background"}


async def test_each_speaker_of_a_stereo_call_has_a_channel(tmp_path: Path) -> None:
    left, right = SOUND, np.concatenate((silence(9), talk("hotel five on gate two", "india four here")))
    async with engine_server(word_per_half_second) as engine, a_server(tmp_path, engine) as desk:
        job = await accepted(desk, wav(left, right), channels="split")
        events = await events_of(desk, job)
        (started,) = named(events, "started")
        assert [one["label"] for one in started["channels"]] == ["left", "right"]
        assert_whole(words_in(events, "C01"), left)
        assert_whole(words_in(events, "C02"), right)
        starts = [one["start_ms"] for one in named(events, "transcript_segment")]
        # A final may be 14 s older than the one before it, not more: both sides are read side by side.
        assert max(np.maximum.accumulate(starts) - starts) < 15_000


async def test_a_reader_gets_history_then_news_and_goes_on_after_its_last_event(tmp_path: Path) -> None:
    gate = asyncio.Event()

    def reply(window: Window) -> Answer | None:
        return word_per_half_second(window) if window.start_sample < 60_000 or gate.is_set() else None

    async with engine_server(reply) as engine, a_server(tmp_path, engine) as desk:
        job = await accepted(desk, wav(SOUND))
        running = asyncio.create_task(events_of(desk, job))
        await engine.until(2)
        assert not running.done()
        gate.set()
        for window in engine.windows[1:]:
            await engine.answer(word_per_half_second(window))
        events = await running
        again = await events_of(desk, job)
        ids = [identity for _, identity, _ in again if identity is not None]
        assert ids == [identity for _, identity, _ in events if identity is not None]
        middle = ids[len(ids) // 2]
        rest = await events_of(desk, job, middle)
        assert [i for _, i, _ in rest if i is not None] == ids[ids.index(middle) + 1 :]
        assert await events_of(desk, job, "end") == []


async def test_a_killed_server_goes_on_where_the_job_was_and_writes_nothing_twice(tmp_path: Path) -> None:
    sound = talk(*("alpha one proceed to gate seven", "echo six hold at gate nine") * 4)
    served = 0

    def some(window: Window) -> Answer | None:
        nonlocal served
        served += 1
        return word_per_half_second(window) if served <= 4 else None

    async with engine_server(some) as engine:
        async with a_server(tmp_path / "one", engine) as desk:
            job = await accepted(desk, wav(sound), title="Shift")
            await until(lambda: served > 4, 60)
            await until(lambda: desk.app[JOB_RUNNER].statistics()["running"], 60)
            await desk.written()
            folder = crash(tmp_path / "one", tmp_path / "two")
        engine.reply = word_per_half_second
        async with a_server(folder, engine) as desk:
            events = await events_of(desk, job)
            assert events[-1][0] == "completed"
            assert_whole(words_in(events), sound)
            finals = named(events, "transcript_segment")
            assert len({one["segment"] for one in finals}) == len(finals)
            session = (await job_of(desk, job))["session"]
            _, coverage = await desk.get(f"/api/sessions/{session}/coverage")
            (covered,) = coverage["channels"]
            assert {run["state"] for run in covered["runs"]} == {"transcribed", "silence"}
            assert covered["runs"][-1]["to_ms"] == len(sound) // 16
            _, body = await desk.get("/api/sessions")
            assert len(body["sessions"]) == 1, "the job went on in its session"


async def test_a_job_waits_for_a_killed_engine(tmp_path: Path) -> None:
    async with engine_server(lambda window: None) as engine, a_server(tmp_path, engine) as desk:
        job = await accepted(desk, wav(SOUND))
        await engine.until(1)
        await engine.kill()
        engine.reply = word_per_half_second
        await engine.start()
        events = await events_of(desk, job)
        assert events[-1][0] == "completed"
        assert_whole(words_in(events), SOUND)


async def test_a_stopped_server_continues_its_job_at_the_next_start(tmp_path: Path) -> None:
    async with engine_server(lambda window: None) as engine:
        async with a_server(tmp_path, engine) as desk:
            job = await accepted(desk, wav(SOUND))
            await engine.until(1)
        engine.reply = word_per_half_second
        async with a_server(tmp_path, engine) as desk:
            events = await events_of(desk, job)
            assert events[-1][0] == "completed" and len(named(events, "started")) == 1
            assert_whole(words_in(events), SOUND)


async def test_cancelling_ends_the_session_and_keeps_what_is_there(tmp_path: Path) -> None:
    def first(window: Window) -> Answer | None:
        return word_per_half_second(window) if window.start_sample < 30_000 else None

    async with engine_server(first) as engine, a_server(tmp_path, engine, jobs={"at_once": 1}) as desk:
        job, waiting = await accepted(desk, wav(SOUND)), await accepted(desk, wav(SOUND), "b.wav")
        await engine.until(2)
        for one in (waiting, job):  # the end of the running job would start the waiting one
            async with desk.client.delete(f"{desk.url}/api/jobs/{one}") as response:
                assert response.status == 200 and (await response.json())["state"] == "cancelled"
        events = await events_of(desk, job)
        assert events[-1][0] == "cancelled" and words_in(events)
        session = (await job_of(desk, job))["session"]
        assert (await desk.get(f"/api/sessions/{session}"))[1]["is_ended"]
        assert (await job_of(desk, waiting))["session"] is None
        assert not left_over(tmp_path)
        _, body = await desk.get("/api/jobs", state="cancelled", limit=1)
        assert [one["job"] for one in body["jobs"]] == [waiting] and body["next_before"] == 2
        _, body = await desk.get("/api/jobs", q="talk.wav")
        assert [one["job"] for one in body["jobs"]] == [job]


async def test_a_silent_and_a_truncated_recording_give_an_honest_result(tmp_path: Path) -> None:
    async with engine_server(word_per_half_second) as engine, a_server(tmp_path, engine) as desk:
        quiet = await accepted(desk, wav(silence(70)), "quiet.wav")
        events = await events_of(desk, quiet)
        assert events[-1][0] == "completed" and not named(events, "transcript_segment")
        session = (await job_of(desk, quiet))["session"]
        _, coverage = await desk.get(f"/api/sessions/{session}/coverage")
        (covered,) = coverage["channels"]
        assert [(run["state"], run["to_ms"]) for run in covered["runs"]] == [("silence", 70_000)]
        assert not engine.windows, "silence does not go to the engine"
        assert "no speech was found" in (await job_of(desk, quiet))["warning"]
        assert "no speech was found" in named(events, "completed")[0]["warning"]
        whole = wav(SOUND)
        cut = await accepted(desk, whole[: len(whole) // 2], "cut.wav")
        assert (await events_of(desk, cut))[-1][0] == "completed"
        assert "ends before its own end" in (await job_of(desk, cut))["warning"]


async def test_an_engine_that_can_decode_nothing_fails_the_job_and_says_why(tmp_path: Path) -> None:
    def refuse(window: Window) -> Answer:
        return WindowError(window.id, "engine_failed", "the model is broken")

    async with engine_server(refuse) as engine, a_server(tmp_path, engine) as desk:
        job = await accepted(desk, wav(SOUND))
        events = await events_of(desk, job)
        assert events[-1][0] == "failed"
        assert named(events, "failed")[0]["error"]["code"] == "engine_failed"
        assert "the model is broken" in (await job_of(desk, job))["error"]["message"]
