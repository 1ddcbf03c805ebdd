"""Sessions, glossary, metrics over HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.desk import a_config, received, running_desk
from tests.support.events import an_event
from webrtc_host.desk import records_api
from webrtc_host.seams import EventType


async def test_a_request_for_the_sessions_creates_none(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        assert await desk.get("/api/sessions") == (200, {"sessions": [], "next_before": None})
        session = desk.session
        status, body = await desk.get(f"/api/sessions/{session.id}")
        assert status == 200
        assert (body["session"], body["is_ended"], body["head_seq"]) == (session.id, False, 1)
        assert body["t0_wall"].endswith("Z")


async def test_a_session_ends_once_and_the_next_watcher_gets_a_new_one(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        session = desk.session
        for _ in range(2):
            async with desk.client.post(f"{desk.url}/api/sessions/{session.id}/end") as response:
                assert response.status == 200
                assert await response.json() == {"session": session.id, "final_seq": 2}
        assert (await desk.get(f"/api/sessions/{session.id}"))[1]["is_ended"]
        assert desk.session.id != session.id


async def test_segments_page_by_seq_and_filter_by_channel_and_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records_api, "SEGMENTS_PER_PAGE", 2)
    async with running_desk(a_config(tmp_path)) as desk:
        for number in range(5):
            desk.final(f"line {number}", "C01" if number < 4 else "C02", at_ms=number * 1000)
        await desk.written()
        path = f"/api/sessions/{desk.session.id}/segments"
        status, first = await desk.get(path)
        assert status == 200
        assert [one["text"] for one in first["segments"]] == ["line 0", "line 1"]
        _, second = await desk.get(path, after=first["next_after"])
        assert [one["text"] for one in second["segments"]] == ["line 2", "line 3"]
        _, last = await desk.get(path, after=second["next_after"])
        assert ([one["text"] for one in last["segments"]], last["next_after"]) == (["line 4"], None)
        _, timed = await desk.get(path, channel="C01", from_ms=2500, to_ms=3001)
        assert [one["text"] for one in timed["segments"]] == ["line 3"]
        _, empty = await desk.get(path, channel="C09")
        assert empty == {"session": desk.session.id, "segments": [], "next_after": None}


@pytest.mark.parametrize("query", [{"channel": "C1"}, {"from_ms": "x"}, {"to_ms": "-5"}, {"after": "1e3"}])
async def test_an_invalid_query_for_segments_is_400(tmp_path: Path, query: dict[str, str]) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        status, body = await desk.get(f"/api/sessions/{desk.session.id}/segments", **query)
        assert status == 400
        assert next(iter(query.values())) in body["error"]["message"]


async def test_the_glossary_is_read_replaced_and_kept_on_disk(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        status, body = await desk.get("/api/glossary")
        assert (status, body["terms"] if "terms" in body else []) == (200, [])
        terms = [{"canonical": "Alpha-1"}, {"canonical": "본부", "channels": ["C02"]}]
        async with desk.client.put(f"{desk.url}/api/glossary", json={"terms": terms}) as response:
            assert response.status == 200
            assert (await response.json())["glossary_version"] == body["glossary_version"] + 1
        _, prompt = await desk.get("/api/glossary/prompt", channel="C02")
        assert prompt["terms"] == ["Alpha-1", "본부"]
        _, prompt = await desk.get("/api/glossary/prompt", channel="C01")
        assert prompt["terms"] == ["Alpha-1"]
        _, shown = await desk.get("/api/glossary")
        async with desk.client.put(f"{desk.url}/api/glossary", json=shown) as response:
            assert response.status == 200, "PUT accepts what GET returns"
    async with running_desk(a_config(tmp_path)) as again:
        _, body = await again.get("/api/glossary/prompt")
        assert body["terms"] == ["Alpha-1"]


async def test_the_query_of_the_prompt_is_checked(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        for query, status, code in (
            ({"chanel": "C02"}, 422, "unknown_field"),
            ({"channel": "C2"}, 400, "bad_channel"),
        ):
            found, body = await desk.get("/api/glossary/prompt", **query)
            assert (found, body["error"]["code"]) == (status, code), query


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"not json", 400, "bad_json"),
        (b"[]", 422, "bad_glossary"),
        (b'{"terms":[{"canonical":""}]}', 422, "bad_glossary"),
        (b'{"words":[]}', 422, "bad_glossary"),
    ],
)
async def test_an_invalid_glossary_changes_nothing(
    tmp_path: Path, body: bytes, status: int, code: str
) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        before = await desk.get("/api/glossary")
        async with desk.client.put(f"{desk.url}/api/glossary", data=body) as response:
            assert (response.status, (await response.json())["error"]["code"]) == (status, code)
        assert await desk.get("/api/glossary") == before


async def test_the_glossary_begins_as_a_copy_of_the_included_one(tmp_path: Path) -> None:
    source = tmp_path / "given.yaml"
    source.write_text("# ours\nversion: 1\nterms:\n  - canonical: Bravo-2\n", encoding="utf-8")
    async with running_desk(a_config(tmp_path / "data", glossary_file=source)) as desk:
        assert (await desk.get("/api/glossary/prompt"))[1]["terms"] == ["Bravo-2"]
    assert (tmp_path / "data" / "glossary.yaml").read_text(encoding="utf-8").startswith("# ours")


async def test_metrics_count_events_watchers_and_latency(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        socket = await desk.watch(since=0)
        desk.final()
        desk.interim()
        await received(socket, 3)
        async with desk.client.get(f"{desk.url}/metrics") as response:
            assert response.headers["Content-Type"].startswith("text/plain")
            text = await response.text()
        for line in (
            'host_stt_events_total{type="segment.final"} 1.0',
            'host_stt_events_total{type="segment.interim"} 1.0',
            'host_stt_latency_seconds_count{type="segment.final"} 1.0',
            "host_stt_watchers_count 1.0",
            "host_stt_registry_sessions 1.0",
            "host_stt_speech_channels_open 0.0",
            "host_stt_engine_is_connected 0.0",
        ):
            assert line in text.splitlines()
        assert "host_stt_loop_lag_seconds_bucket" in text
        await socket.close()


async def test_a_session_body_shows_its_channels(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        desk.registry.channel(desk.session, "C07")
        _, body = await desk.get(f"/api/sessions/{desk.session.id}")
        (channel,) = body["channels"]
        assert channel == {
            "channel": "C07",
            "label": "C07",
            "language": "auto",
            "state": None,
            "connection": None,
        }
        assert desk.session.log.emit(an_event(EventType.SESSION_ENDED, reason="test")) == 2
