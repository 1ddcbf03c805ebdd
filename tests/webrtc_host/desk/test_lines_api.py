"""Corrections, marks and notes of lines: over HTTP, on every desk, after a restart, in search and exports."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.desk import Desk, a_config, received, running_desk
from tests.support.events import an_event
from webrtc_host.seams import EventType

TOKENS = (
    {"name": "kim", "token": "kim-secret", "role": "operator"},
    {"name": "lee", "token": "lee-secret", "role": "operator"},
    {"name": "eye", "token": "eye-secret", "role": "viewer"},
)


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {name}-secret"}


async def ask(
    desk: Desk, method: str, path: str, body: Any = None, *, who: str = "kim", match: str | None = None
) -> tuple[int, Any]:
    headers = bearer(who) | ({} if match is None else {"If-Match": match})
    async with desk.client.request(method, desk.url + path, json=body, headers=headers) as response:
        return response.status, await response.json(content_type=None)


def line_path(desk: Desk, segment: str = "g_1") -> str:
    return f"/api/sessions/{desk.session.id}/segments/{segment}"


async def correct(desk: Desk, text: str, match: str | None = '"0"', who: str = "kim") -> tuple[int, Any]:
    return await ask(desk, "PATCH", line_path(desk), {"text": text}, who=who, match=match)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    config = a_config(tmp_path, tokens=TOKENS, store={"url": ""})
    async with running_desk(config, headers=bearer("eye")) as desk:
        desk.session.log.emit(an_event(EventType.CHANNEL_OPENED, "C01", start_ms=0))
        desk.final("this is alpaca one", raw="this is alpaca 1")
        desk.final("hold position", at_ms=2000)
        await desk.settled()
        yield desk


async def test_a_correction_reaches_every_desk_with_its_author_and_the_text_before(desk: Desk) -> None:
    watchers = [await desk.watch(since=4) for _ in range(2)]
    status, line = await correct(desk, "this is Alpha one")
    assert (status, line["text"], line["revision"]) == (200, "this is Alpha one", 1)
    assert line["suggestions"] == ["Alpha"]  # what the glossary could learn from it
    for watcher in watchers:
        (event,) = await received(watcher, 1)
        assert (event["type"], event["segment"], event["by"]) == ("segment.revised", "g_1", "kim")
        assert (event["old_text"], event["text"]) == ("this is alpaca one", "this is Alpha one")
    status, line = await ask(desk, "GET", line_path(desk), who="eye")
    assert (status, line["raw"], line["first_text"]) == (200, "this is alpaca 1", "this is alpaca one")
    (revision,) = line["revisions"]
    assert (revision["by"], revision["old_text"]) == ("kim", "this is alpaca one")
    assert revision["wall"].endswith("Z")


async def test_the_second_of_two_who_correct_at_once_gets_the_text_of_the_first(desk: Desk) -> None:
    answers = await asyncio.gather(correct(desk, "Alpha one"), correct(desk, "Alfa 1", who="lee"))
    (_, first), (status, second) = sorted(answers, key=lambda answer: answer[0])
    assert (status, second["error"]["code"]) == (412, "line_changed")
    assert second["error"]["current"]["text"] == first["text"]
    assert second["error"]["current"]["revision"] == 1
    assert (await correct(desk, "Alpha one, over", match='"1"', who="lee"))[0] == 200
    _, line = await ask(desk, "GET", line_path(desk))
    assert [one["revision"] for one in line["revisions"]] == [1, 2], "nothing is lost"


@pytest.mark.parametrize(
    ("match", "status", "code"),
    [(None, 428, "revision_missing"), ('"x"', 422, "bad_revision"), ('"7"', 412, "line_changed")],
)
async def test_a_correction_names_the_revision_that_it_corrects(
    desk: Desk, match: str | None, status: int, code: str
) -> None:
    answer = await correct(desk, "Alpha", match=match)
    assert (answer[0], answer[1]["error"]["code"]) == (status, code)


async def test_bad_requests_are_refused_in_words(desk: Desk) -> None:
    for path, code in (("g_99", "unknown_segment"), ("g_1;x", "unknown_segment")):
        status, body = await ask(desk, "PATCH", line_path(desk, path), {"text": "x"}, match='"0"')
        assert (status, body["error"]["code"]) == (404, code)
    other = "/api/sessions/s_none/segments/g_1"
    assert (await ask(desk, "PATCH", other, {"text": "x"}, match='"0"'))[0] == 404
    assert (await correct(desk, "x" * 2001))[0] == 422
    assert (await ask(desk, "POST", f"{line_path(desk)}/notes", {"note": "  "}))[0] == 422
    assert (await ask(desk, "PUT", f"{line_path(desk)}/marks/heart", {"is_set": True}))[0] == 404
    assert (await correct(desk, "x", who="eye"))[0] == 403
    status, line = await correct(desk, "  two\nlines\u202e ")
    assert (status, line["text"]) == (200, "two lines")


async def test_marks_and_notes_are_events_and_a_second_same_mark_is_none(desk: Desk) -> None:
    watcher = await desk.watch(since=4)
    for _ in range(2):
        status, line = await ask(desk, "PUT", f"{line_path(desk)}/marks/star", {"is_set": True}, who="lee")
        assert (status, line["marks"]) == (200, ["star"])
    report = {"is_set": True, "reason": "wrong name"}
    assert (await ask(desk, "PUT", f"{line_path(desk)}/marks/report", report))[1]["marks"] == [
        "star",
        "report",
    ]
    assert (await ask(desk, "POST", f"{line_path(desk)}/notes", {"note": "ask the pilot"}))[0] == 200
    events = await received(watcher, 3)
    assert [(one["type"], one["by"]) for one in events] == [
        ("segment.marked", "lee"),
        ("segment.marked", "kim"),
        ("note.added", "kim"),
    ]
    assert (events[1]["mark"], events[1]["reason"], events[2]["note"]) == (
        "report",
        "wrong name",
        "ask the pilot",
    )
    _, line = await ask(desk, "PUT", f"{line_path(desk)}/marks/star", {"is_set": False})
    assert line["marks"] == ["report"]
    assert [(note["by"], note["note"]) for note in line["notes"]] == [("kim", "ask the pilot")]


async def test_search_finds_marked_lines_with_and_without_words(desk: Desk) -> None:
    await ask(desk, "PUT", f"{line_path(desk, 'g_2')}/marks/star", {"is_set": True})
    await ask(desk, "POST", f"{line_path(desk)}/notes", {"note": "x"})
    await correct(desk, "Alpha one")

    async def found(**query: str) -> list[str]:
        status, body = await desk.get("/api/search", **query)
        assert status == 200, body
        return [hit["segment"] for hit in body["hits"]]

    assert await found(marked="star") == ["g_2"]
    assert await found(marked="note") == ["g_1"]
    assert await found(marked="star,note") == []
    assert await found(marked="star", q="hold") == ["g_2"]
    assert await found(marked="note", q="hold") == []
    assert await found(q="alpha") == ["g_1"]
    assert await found() == []
    assert await found(marked="star", before="g_2") == []
    desk.final("understood", at_ms=3000, talkers=[{"id": 4501, "start_ms": 3000, "label": "Engine 5"}])
    await desk.settled()
    assert await found(talker="engine 5") == await found(q="und", length_min_ms="500") == ["g_3"]
    assert await found(length_min_ms="501") == await found(talker="50") == await found(marked="alert") == []
    _, body = await desk.get("/api/search", talker="4501")
    assert body["hits"][0]["talkers"] == [{"id": 4501, "start_ms": 3000, "label": "Engine 5"}]
    for wrong in ({"length_min_ms": "-1"}, {"length_min_ms": "600001"}, {"talker": "x" * 101}):
        assert (await desk.get("/api/search", **wrong))[0] in (400, 422), wrong
    status, body = await desk.get("/api/search", marked="heart")
    assert (status, body["error"]["code"]) == (400, "bad_mark")
    _, body = await desk.get("/api/search", marked="note")
    assert body["hits"][0]["notes"][0]["note"] == "x"


async def test_exports_have_the_correction_with_its_author_the_marks_and_the_notes(desk: Desk) -> None:
    await correct(desk, "Alpha one")
    await ask(desk, "PUT", f"{line_path(desk)}/marks/star", {"is_set": True})
    await ask(desk, "POST", f"{line_path(desk)}/notes", {"note": "=cmd()"})
    base = f"{desk.url}/api/sessions/{desk.session.id}/export"
    texts = {}
    for kind in ("txt", "srt", "vtt", "csv", "jsonl"):
        async with desk.client.get(f"{base}.{kind}") as response:
            texts[kind] = await response.text()
            assert "Alpha one" in texts[kind], kind
    row = next(csv.DictReader(io.StringIO(texts["csv"].removeprefix("\ufeff"))))
    assert (row["raw"], row["revised_by"], row["marks"]) == ("this is alpaca 1", "kim", "star")
    assert row["notes"] == "kim: =cmd()"
    line = json.loads(texts["jsonl"].splitlines()[0])
    assert (line["revision"], line["revised_by"], line["marks"]) == (1, "kim", ["star"])
    assert line["notes"][0]["note"] == "=cmd()"


async def test_a_line_that_nobody_said_is_kept_and_not_in_subtitles(desk: Desk) -> None:
    watcher = await desk.watch(since=4)
    status, line = await ask(desk, "PUT", f"{line_path(desk)}/marks/not_said", {"is_set": True}, who="lee")
    assert (status, line["marks"], line["text"]) == (200, ["not_said"], "this is alpaca one")
    (event,) = await received(watcher, 1)
    assert (event["type"], event["mark"], event["by"]) == ("segment.marked", "not_said", "lee")
    _, line = await ask(desk, "GET", line_path(desk), who="eye")
    (mark,) = line["marked"]
    assert (mark["mark"], mark["by"], mark["wall"]) == ("not_said", "lee", event["wall"])
    _, body = await desk.get("/api/search", marked="not_said")
    assert [(hit["segment"], hit["marks"]) for hit in body["hits"]] == [("g_1", ["not_said"])]
    assert len((await desk.get("/api/search", q="alpaca"))[1]["hits"]) == 1
    base = f"{desk.url}/api/sessions/{desk.session.id}/export"
    for kind in ("txt", "srt", "vtt", "csv", "jsonl"):
        async with desk.client.get(f"{base}.{kind}") as response:
            text = await response.text()
        assert "hold position" in text
        assert ("alpaca one" in text) == ("not_said" in text) == (kind in ("csv", "jsonl")), kind
    await ask(desk, "PUT", f"{line_path(desk)}/marks/not_said", {"is_set": False})
    async with desk.client.get(f"{base}.txt") as response:
        assert "alpaca one" in await response.text()


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    config = a_config(tmp_path, tokens=TOKENS, store={"url": ""})
    async with running_desk(config, headers=bearer("eye")) as desk:
        desk.final("this is alpaca one")
        await desk.settled()
        path = line_path(desk)
        await correct(desk, "Alpha one")
        await ask(desk, "PUT", f"{path}/marks/not_said", {"is_set": True})
        await ask(desk, "POST", f"{path}/notes", {"note": "ask"})
        session = desk.session.id
    async with running_desk(config, headers=bearer("eye")) as desk:
        _, line = await ask(desk, "GET", path)
        assert (line["text"], line["marks"], line["notes"][0]["by"]) == ("Alpha one", ["not_said"], "kim")
        watcher = await desk.watch(session=session, since=1)
        events = await received(watcher, 4)
        assert [one["type"] for one in events] == [
            *("segment.final", "segment.revised", "segment.marked", "note.added")
        ]
        assert (await correct(desk, "Alpha two", match='"1"'))[0] == 200


async def test_a_line_of_a_session_that_the_registry_forgot_can_be_corrected(tmp_path: Path) -> None:
    config = a_config(tmp_path, tokens=TOKENS, store={"url": ""}, limits={"sessions": 1})
    async with running_desk(config, headers=bearer("eye")) as desk:
        desk.final("this is alpaca one")
        await desk.settled()
        path, old = line_path(desk), desk.session
        await desk.registry.end(old)
        assert desk.session.id != old.id, "another session took its place"
        status, line = await ask(desk, "PATCH", path, {"text": "Alpha"}, match='"0"')
        assert (status, line["text"]) == (200, "Alpha")
        assert (await ask(desk, "PATCH", path, {"text": "Alpha 1"}, match='"1"'))[0] == 200
        _, segments = await desk.get(f"/api/sessions/{old.id}/segments")
        assert [one["text"] for one in segments["segments"]] == ["Alpha 1"]


async def test_the_page_can_ask_for_its_role(desk: Desk) -> None:
    assert await ask(desk, "GET", "/api/me", who="eye") == (200, {"name": "eye", "role": "viewer"})
