"""The glossary over HTTP: versions, two editors, the watched file, mistakes at their place."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.desk import Desk, a_config, running_desk
from tests.support.polling import until
from webrtc_host.keys import SPEECH

ALPHA = {"terms": [{"canonical": "Alpha-1"}]}
BRAVO = {"terms": [{"canonical": "Bravo-2"}]}


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with running_desk(a_config(tmp_path)) as desk:
        yield desk


async def put(desk: Desk, body: Any, **headers: str) -> tuple[int, dict[str, Any], str]:
    sent = {"data": body} if isinstance(body, str) else {"json": body}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with desk.client.put(f"{desk.url}/api/glossary", headers=named, **sent) as response:
        return response.status, await response.json(), response.headers.get("ETag", "")


async def test_two_editors_lose_nothing(desk: Desk) -> None:
    async with desk.client.get(f"{desk.url}/api/glossary") as response:
        tag = response.headers["ETag"]
    status, body, new_tag = await put(desk, ALPHA, If_Match=tag)
    assert (status, new_tag) == (200, f'"{body["glossary_version"]}"')
    status, body, _ = await put(desk, BRAVO, If_Match=tag)
    assert (status, body["error"]["code"]) == (412, "glossary_changed")
    assert "Load the new version and make the change again" in body["error"]["message"]
    assert (await desk.get("/api/glossary"))[1]["terms"] == ALPHA["terms"]
    assert (await put(desk, BRAVO, If_Match=new_tag))[0] == 200
    assert (await put(desk, ALPHA))[0] == 200, "a script sends no If-Match"
    assert (await put(desk, ALPHA, If_Match="*"))[0] == 200
    status, body, _ = await put(desk, ALPHA, If_Match='"other"')
    assert (status, body["error"]["code"]) == (412, "glossary_changed")


async def test_an_earlier_version_is_still_there(desk: Desk) -> None:
    first = (await put(desk, ALPHA))[1]["glossary_version"]
    await put(desk, BRAVO)
    status, body = await desk.get("/api/glossary", version=first)
    assert (status, body["terms"], body["glossary_version"]) == (200, ALPHA["terms"], first)
    status, body = await desk.get("/api/glossary/versions")
    assert [one["glossary_version"] for one in body["versions"]][:2] == [first + 1, first]
    assert {one["by"] for one in body["versions"][:2]} == {"anyone"}
    status, body = await desk.get("/api/glossary", version=99)
    assert (status, body["error"]["code"]) == (404, "unknown_version")


async def test_mistakes_come_with_their_places(desk: Desk) -> None:
    body = {"terms": [{"canonical": "A1", "clas": "x"}, {"canonical": "B1", "channels": ["X"]}]}
    status, refused, _ = await put(desk, body)
    assert (status, refused["error"]["code"]) == (422, "bad_glossary")
    first, second = refused["error"]["mistakes"]
    assert (first["path"], first["term"], first["line"]) == (["terms", 0, "clas"], "A1", None)
    assert second["place"] == "terms[1].channels[0]"


async def test_the_file_can_be_sent_as_it_is(desk: Desk) -> None:
    text = "version: 1\nterms:\n- canonical: Alpha-1\n  active: {from: 06:00, to: 18:00}\n"
    status, body, _ = await put(desk, text, Content_Type="application/yaml")
    assert (status, body["terms"][0]["active"]) == (200, {"from": "06:00", "to": "18:00"})
    status, body, _ = await put(desk, text.replace("active", "activ"), Content_Type="application/yaml")
    assert (status, body["error"]["mistakes"][0]["line"]) == (422, 4)


async def test_pages_get_patterns_expanded(desk: Desk) -> None:
    await put(
        desk, {"patterns": [{"base": {"Blue": ["블루"]}, "number": "1-2", "alert": {"level": "critical"}}]}
    )
    _, body = await desk.get("/api/glossary/terms")
    assert [one["canonical"] for one in body["terms"]] == ["Blue-1", "Blue-2"]
    assert body["terms"][1] == {
        "canonical": "Blue-2",
        "display": {"en": "Blue-2", "ko": "블루투"},
        "kind": None,
        "alert": "critical",
        "channels": None,
    }


async def test_a_file_that_an_editor_changes_is_used_and_audited(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "glossary.yaml").write_text("terms: [{canonical: Echo-9}]\n", encoding="utf-8")

    async def used() -> bool:
        return [t["canonical"] for t in (await desk.get("/api/glossary/terms"))[1]["terms"]] == ["Echo-9"]

    await until(used)

    async def audited() -> bool:
        lines = (await desk.get("/api/audit"))[1]["lines"]
        return any(one["who"] == "server" and "terms=1 from=file" in one["detail"] for one in lines)

    await until(audited)


async def test_a_file_with_a_mistake_shows_in_ready_until_it_is_corrected(desk: Desk, tmp_path: Path) -> None:
    async def trouble() -> str:
        return str((await desk.get("/ready"))[1].get("troubles", {}).get("glossary", ""))

    path = tmp_path / "glossary.yaml"
    path.write_text("terms: 3\n", encoding="utf-8")
    assert "glossary.yaml:1: terms: should be a list" in await until(trouble)
    path.write_text("terms: []\n", encoding="utf-8")

    async def is_well() -> bool:
        return await trouble() == ""

    await until(is_well)


async def test_a_change_is_in_the_audit_with_its_version(desk: Desk) -> None:
    version = (await put(desk, ALPHA))[1]["glossary_version"]
    (line, *_) = (await desk.get("/api/audit"))[1]["lines"]
    assert (line["action"], line["detail"]) == ("changed glossary", f"glossary version={version}")


async def test_a_fault_of_a_stage_keeps_the_watch_alive(
    desk: Desk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("no")

    glossary = desk.app[SPEECH].glossary
    glossary.prepare.append(fail)
    before = glossary.version
    with caplog.at_level(logging.ERROR):
        (tmp_path / "glossary.yaml").write_text("terms: [{canonical: A1}]\n", encoding="utf-8")
        await until(lambda: any("cannot be used" in r.getMessage() for r in caplog.records))
    assert glossary.version == before
    glossary.prepare.clear()
    (tmp_path / "glossary.yaml").write_text("terms: [{canonical: A1}, {canonical: B1}]\n", encoding="utf-8")
    await until(lambda: glossary.version > before)


async def test_the_file_keeps_its_comments(desk: Desk) -> None:
    text = "# ours\nversion: 1\nterms:\n- canonical: Alpha-1  # the first one\n"
    assert (await put(desk, text, Content_Type="application/yaml"))[0] == 200
    async with desk.client.get(f"{desk.url}/api/glossary/file") as response:
        assert (await response.text(), response.content_type) == (text, "application/yaml")


async def test_the_report_of_the_lab_is_passed_on(desk: Desk, tmp_path: Path) -> None:
    assert await desk.get("/api/glossary/lab") == (200, {"report": None})
    (tmp_path / "glossary-lab.json").write_text('{"model": "base"}', encoding="utf-8")
    assert await desk.get("/api/glossary/lab") == (200, {"report": {"model": "base"}})
    (tmp_path / "glossary-lab.json").write_text("[", encoding="utf-8")
    status, body = await desk.get("/api/glossary/lab")
    assert (status, body["error"]["code"]) == (404, "no_report")


async def try_draft(desk: Desk, **body: Any) -> tuple[int, Any]:
    async with desk.client.post(f"{desk.url}/api/glossary/try", json=body) as response:
        return response.status, await response.json()


async def test_a_draft_is_tried_on_the_last_minute_and_changes_nothing(desk: Desk) -> None:
    desk.final("long ago", at_ms=0)
    desk.final("this is alpha one", at_ms=90_000, raw="this is alpha one", language="en")
    desk.final("and here", channel="C02", at_ms=100_000)
    await desk.settled()
    await desk.written()
    before = await desk.get("/api/glossary")
    status, body = await try_draft(desk, glossary=ALPHA)
    assert (status, [line["raw"] for line in body["lines"]]) == (200, ["this is alpha one", "and here"])
    assert body["lines"][0]["segment"] == "g_2"
    status, body = await try_draft(desk, glossary=ALPHA, channel="C02")
    assert [line["channel"] for line in body["lines"]] == ["C02"]
    assert await desk.get("/api/glossary") == before


async def test_a_draft_with_a_mistake_and_an_unknown_session_are_named(desk: Desk) -> None:
    status, body = await try_draft(desk, glossary={"terms": [{"canonical": ""}]})
    assert (status, body["error"]["mistakes"][0]["place"]) == (422, "terms[0].canonical")
    assert (await try_draft(desk, glossary=ALPHA, session="s_none"))[0] == 404
    assert (await try_draft(desk, glossary=ALPHA, text=""))[0] == 422
