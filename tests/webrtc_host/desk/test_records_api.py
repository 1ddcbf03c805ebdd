"""The record over HTTP: sessions, coverage, exports, search; and wrong requests."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import srt

from tests.support.desk import Desk, a_config, running_desk
from tests.support.polling import until
from webrtc_host.desk import coverage_view
from webrtc_host.keys import SEARCH
from webrtc_host.seams import Block, CoverageState
from webrtc_host.session.channel import Channel, ChannelSpec
from webrtc_host.session.channel_seams import DoorKind

MS = 16


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with running_desk(a_config(tmp_path)) as desk:
        await desk.app[SEARCH].caught_up()
        yield desk


def opened(desk: Desk, channel_id: str = "C01", label: str | None = None) -> Channel:
    async def end(reason: str) -> int:
        seq = await channel.close(reason)
        desk.registry.disconnect(connection)
        return seq

    spec = ChannelSpec(channel_id, label)
    connection = desk.registry.connect(desk.session, DoorKind.WEBRTC, [spec], end)
    channel = connection.channels[0]
    channel.open()
    return channel


async def refused(desk: Desk, path: str, status: int, code: str, method: str = "GET", **more: Any) -> str:
    async with desk.client.request(method, desk.url + path, **more) as response:
        body = await response.json()
        assert (response.status, body["error"]["code"]) == (status, code), body
        message: str = body["error"]["message"]
        return message


async def test_misspelt_names_in_an_address_are_refused(desk: Desk) -> None:
    """If `chanel=C01` was ignored, the response would have all channels and look right."""
    one = f"/api/sessions/{desk.session.id}"
    paths = ("/api/sessions", "/api/search?q=x", "/api/audit", f"{one}/segments", f"{one}/coverage")
    exports = tuple(f"{one}/export.{kind}" for kind in ("txt", "srt", "vtt", "csv", "jsonl", "zip"))
    for path in (*paths, *exports, f"{one}/channels/C01/audio", "/api/segments/g_1/audio"):
        sign = "&" if "?" in path else "?"
        message = await refused(desk, f"{path}{sign}chanel=C01", 422, "unknown_field")
        assert "the address has a field 'chanel', which is not known here; known: " in message, path
    async with desk.client.get(f"{desk.url}/api/sessions?limit=5&before=&token=any") as response:
        assert response.status == 200


async def test_sessions_are_listed_in_pages_newest_first(desk: Desk) -> None:
    ids = []
    for number in range(5):
        ids.append(desk.registry.create(f"shift {number}").id)
        await asyncio.sleep(0.002)
    await desk.written()
    _, first = await desk.get("/api/sessions", limit=2)
    _, second = await desk.get("/api/sessions", limit=2, before=first["next_before"])
    _, last = await desk.get("/api/sessions", limit=2, before=second["next_before"])
    shown = [one["session"] for page in (first, second, last) for one in page["sessions"]]
    assert shown == ids[::-1]
    assert last["next_before"] is None
    assert first["sessions"][0]["name"] == "shift 4"


async def test_a_session_is_renamed_held_ended_and_removed_with_its_audio(desk: Desk) -> None:
    session, path = desk.session, f"/api/sessions/{desk.session.id}"
    channel = opened(desk, "C03", "Tower")
    channel.feed(Block(0, np.full(32_000, 0.1, np.float32)))
    desk.final("something", "C03")
    await desk.written()
    async with desk.client.patch(desk.url + path, json={"name": "  night   shift "}) as response:
        assert (await response.json())["name"] == session.name == "night shift"
    await refused(desk, path, 409, "session_live", "DELETE")
    async with desk.client.post(f"{desk.url}{path}/end") as response:
        assert response.status == 200
    async with desk.client.patch(desk.url + path, json={"is_held": True}) as response:
        assert (await response.json())["is_held"] is True
    assert "hold" in await refused(desk, path, 409, "session_held", "DELETE")
    async with desk.client.patch(desk.url + path, json={"is_held": False}) as response:
        assert response.status == 200
    _, shown = await desk.get(path)
    assert shown["is_ended"] and shown["ended_wall"].endswith("Z")
    assert shown["channels"][0]["label"] == "Tower"
    async with desk.client.delete(desk.url + path) as response:
        assert await response.json() == {"session": session.id, "is_removed": True}
    for gone in ("", "/segments", "/coverage", "/statistics", "/export.txt", "/export.zip"):
        await refused(desk, path + gone, 404, "unknown_session")
    await refused(desk, path, 404, "unknown_session", "DELETE")
    assert (await desk.get("/api/search", q="something"))[1]["hits"] == []


async def test_an_ended_session_is_the_same_after_a_restart(tmp_path: Path) -> None:
    config = a_config(tmp_path, store={"url": ""})
    async with running_desk(config) as desk:
        path = f"/api/sessions/{desk.session.id}"
        opened(desk, "C02", "Tower")
        desk.final("still here", "C02", 1000)
        async with desk.client.post(f"{desk.url}{path}/end") as response:
            assert response.status == 200
        before = {part: (await desk.get(path + part))[1] for part in ("", "/segments", "/coverage")}
    async with running_desk(config) as desk:
        await desk.app[SEARCH].caught_up()
        after = {part: (await desk.get(path + part))[1] for part in before}
        assert after["/segments"] == before["/segments"]
        assert after["/coverage"]["channels"] == before["/coverage"]["channels"]
        for name in ("session", "name", "t0_wall", "head_seq", "ended_wall", "is_ended"):
            assert after[""][name] == before[""][name], name
        assert [hit["text"] for hit in (await desk.get("/api/search", q="still"))[1]["hits"]] == [
            "still here"
        ]


@pytest.mark.parametrize(
    ("reason", "state"), [("hung_up", ("closed", None)), ("connection_lost", ("lost", "not_fed"))]
)
async def test_coverage_is_complete_and_a_channel_without_sender_is_closed_or_lost(
    desk: Desk, reason: str, state: tuple[str, str | None]
) -> None:
    channel = opened(desk)
    start = channel.session.now_sample()
    channel.feed(Block(start, np.zeros(1_600, np.float32)))
    channel.coverage.decide(start, start + 800, CoverageState.TRANSCRIBED)
    path = f"/api/sessions/{desk.session.id}/coverage"
    _, body = await desk.get(path)
    (ledger,) = body["channels"]
    assert ledger["covered_to_ms"] == (start + 800) // MS, "the rest has no final state yet"
    await channel.close(reason)

    async def ledger_with_the_state() -> dict[str, Any] | None:
        _, body = await desk.get(path)
        (ledger,) = body["channels"]
        return body if (ledger["runs"][-1]["state"], ledger["runs"][-1]["reason"]) == state else None

    body = await until(ledger_with_the_state)
    (ledger,) = body["channels"]
    assert ledger["covered_to_ms"] <= body["now_ms"]
    assert ledger["totals_ms"]["transcribed"] == 50
    assert sum(ledger["totals_ms"].values()) == ledger["covered_to_ms"] - ledger["from_ms"]
    _, part = await desk.get(path, from_ms=ledger["from_ms"], to_ms=ledger["from_ms"] + 10, channel="C01,C02")
    assert sum(part["channels"][0]["totals_ms"].values()) == 10
    assert (await desk.get(path, channel="C09"))[1]["channels"] == []
    async with desk.client.get(f"{desk.url}/metrics") as response:
        figures = (await response.text()).splitlines()
    assert "host_stt_coverage_transcribed_ms 50.0" in figures
    assert "host_stt_coverage_violations_total 0.0" in figures


async def test_statistics_count_the_sessions_and_their_data(desk: Desk) -> None:
    desk.final("one two", "C01", 0)
    desk.final("three", "C01", 1000)
    await desk.written()
    _, body = await desk.get(f"/api/sessions/{desk.session.id}/statistics")
    (channel,) = body["channels"]
    assert (channel["channel"], channel["segments"], channel["characters"]) == ("C01", 2, 12)
    assert channel["text_ms"] == 1000


async def test_exports_are_files_that_other_programs_read(desk: Desk) -> None:
    opened(desk, "C01", "본부")
    desk.final("알파원 이동", "C01", 1000)
    desk.final("=2+5", "C02", 2000)
    await desk.written()
    base = f"{desk.url}/api/sessions/{desk.session.id}/export."
    async with desk.client.get(base + "srt", params={"channel": "C01"}) as response:
        assert response.headers["Content-Disposition"] == f'attachment; filename="{desk.session.id}.srt"'
        (subtitle,) = srt.parse(await response.text())
        assert subtitle.content == "알파원 이동"
    async with desk.client.get(base + "csv", params={"clock": "utc"}) as response:
        assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
        rows = list(csv.DictReader(io.StringIO((await response.read()).decode("utf-8-sig"), newline="")))
        assert [row["text"] for row in rows] == ["알파원 이동", "'=2+5"]
    async with desk.client.get(base + "zip") as response:
        archive = zipfile.ZipFile(io.BytesIO(await response.read()))
        assert json.loads(archive.read("session.json"))["channels"][0]["label"] == "본부"
    async with desk.client.head(base + "txt") as response:
        assert response.status == 200


async def test_spoken_words_are_found_and_marked(desk: Desk) -> None:
    desk.final("알파원 게이트로 이동", "C01", 61_234)
    desk.final("Alpha-1 proceed to gate", "C02", 62_000, language="en")
    await desk.written()
    _, body = await desk.get("/api/search", q="게이트")
    (hit,) = body["hits"]
    assert (hit["start"], hit["channel"]) == ("01:01.234", "C01")
    assert hit["parts"] == [
        {"text": "알파원 ", "hit": False},
        {"text": "게이트", "hit": True},
        {"text": "로 이동", "hit": False},
    ]
    _, body = await desk.get("/api/search", q="GATE", session=desk.session.id, channel="C02,C03")
    assert [hit["text"] for hit in body["hits"]] == ["Alpha-1 proceed to gate"]
    t0 = desk.session.started_wall.isoformat()
    assert (await desk.get("/api/search", q="gate", until=t0))[1]["hits"] == []
    assert len((await desk.get("/api/search", q="gate", since=t0))[1]["hits"]) == 1
    assert (await desk.get("/api/search", q="gate", session="s_other"))[1]["hits"] == []
    for language, count in (("en-US", 1), ("English", 1), ("auto", 1), ("ko_KR", 0), ("klingon", 0)):
        assert len((await desk.get("/api/search", q="gate", language=language))[1]["hits"]) == count


async def test_hits_are_paged(desk: Desk) -> None:
    for number in range(3):
        desk.final(f"bravo {number}", at_ms=number * 1000)
    await desk.written()
    _, first = await desk.get("/api/search", q="bravo", limit=2)
    _, second = await desk.get("/api/search", q="bravo", limit=2, before=first["next_before"])
    assert [hit["text"] for page in (first, second) for hit in page["hits"]] == [
        "bravo 2",
        "bravo 1",
        "bravo 0",
    ]
    assert second["next_before"] is None


async def test_any_search_text_is_accepted(desk: Desk) -> None:
    desk.final("alpha")
    await desk.written()
    for words in ['"', "' OR 1=1 --", "NEAR(", "a* ^b", "\0", "%", "\\", "AND OR NOT", "🙂", "가" * 400]:
        status, body = await desk.get("/api/search", q=words)
        assert (status, body["hits"]) == (200, []), words


BAD_QUERIES = [
    ("/segments", "channel=C1", "bad_channel"),
    ("/segments", "channel=C01;C02", "bad_channel"),
    ("/segments", "from_ms=-1", "bad_number"),
    ("/segments", "from_ms=1e3", "bad_number"),
    ("/segments", "after=1_000", "bad_number"),
    ("/segments", f"to_ms={10**17}", "bad_number"),
    ("/coverage", "from_ms=NaN", "bad_number"),
    ("/export.txt", "clock=mars", "bad_field"),
    ("/export.zip", "channel=../../etc/passwd", "bad_channel"),
]


async def test_the_error_of_a_malformed_query_is_400_and_names_it(desk: Desk) -> None:
    for part, query, code in BAD_QUERIES:
        message = await refused(desk, f"/api/sessions/{desk.session.id}{part}?{query}", 400, code)
        assert query.partition("=")[0] in message


async def test_a_range_that_ends_before_it_begins_is_422(desk: Desk) -> None:
    for part in ("/segments", "/coverage", "/export.txt", "/export.zip"):
        path = f"/api/sessions/{desk.session.id}{part}?from_ms=2000&to_ms=1000"
        assert "swap" in await refused(desk, path, 422, "inverted_range")


async def test_a_wrong_search_is_refused_with_a_plain_message(desk: Desk) -> None:
    await refused(desk, "/api/search?q=a&from_ms=2&to_ms=1", 422, "inverted_range")
    later, earlier = "2026-11-21T07:00:00Z", "2026-11-21T06:00:00Z"
    await refused(desk, f"/api/search?q=a&since={later}&until={earlier}", 422, "inverted_range")
    assert "moment" in await refused(desk, "/api/search?q=a&since=yesterday", 400, "bad_time")
    await refused(desk, "/api/search?q=a&before=52", 400, "bad_segment")
    await refused(desk, f"/api/search?q={'a' * 501}", 400, "bad_field")
    await refused(desk, "/api/search?q=a&limit=1000", 400, "bad_field")
    await refused(desk, "/api/search?q=a&conf_min=nan", 400, "bad_field")


NOWHERE = [
    "s_0",
    "..",
    "..%2f..%2fetc%2fpasswd",
    "%00",
    "s_1'--",
    "%ed%a0%80",
    "a" * 2000,
    "C01",
    "🙂",
    "%2e%2e",
]


WHAT = [("GET", ""), ("GET", "/segments"), ("GET", "/coverage"), ("GET", "/export.zip"), ("POST", "/end")]


async def test_an_unknown_id_is_not_found(desk: Desk) -> None:
    for session in NOWHERE:
        for method, part in [*WHAT, ("DELETE", "")]:
            async with desk.client.request(method, f"{desk.url}/api/sessions/{session}{part}") as response:
                assert response.status in (404, 405), (session, method, part)


async def test_a_page_after_the_last_one_is_empty(desk: Desk) -> None:
    desk.final()
    await desk.written()
    _, body = await desk.get(f"/api/sessions/{desk.session.id}/segments", after=2**53)
    assert (body["segments"], body["next_after"]) == ([], None)
    await refused(desk, "/api/sessions?before=s_nobody", 404, "unknown_session")


BAD_CHANGES = [
    (b"{", 400, "bad_json"),
    (b"[]", 400, "bad_json"),
    (b'{"name":""}', 422, "bad_field"),
    (b'{"name":"a\\u0000b"}', 422, "bad_name"),
    (b'{"name":5}', 422, "bad_field"),
    (b'{"title":"x"}', 422, "bad_field"),
    (b'{"is_held":"maybe"}', 422, "bad_field"),
]


async def test_an_invalid_change_changes_nothing(desk: Desk) -> None:
    before = desk.session.name
    for body, status, code in BAD_CHANGES:
        await refused(desk, f"/api/sessions/{desk.session.id}", status, code, "PATCH", data=body)
    assert desk.session.name == before


async def test_a_body_that_is_too_large_is_413(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path, limits={"body_bytes": 2048})) as desk:
        path = f"/api/sessions/{desk.session.id}"
        await refused(desk, path, 413, "too_large", "PATCH", data=b" " * 3000)


async def test_long_coverage_is_shortened_and_the_response_says_so(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coverage_view, "RUNS_MAX", 3)
    channel = opened(desk)
    start = channel.session.now_sample() // MS * MS
    for number in range(6):
        at = start + number * 320
        channel.feed(Block(at, np.zeros(320, np.float32)))
        state = CoverageState.SILENCE if number % 2 else CoverageState.TRANSCRIBED
        channel.coverage.decide(at, at + 320, state)
    _, body = await desk.get(f"/api/sessions/{desk.session.id}/coverage")
    assert body["is_truncated"] is True
    assert len(body["channels"][0]["runs"]) == 3
