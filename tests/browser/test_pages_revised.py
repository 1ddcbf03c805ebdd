"""A text that changes after its final: both pages show the new text, and keep the first one in sight."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.axe import expect_clean
from tests.browser.conftest import OpenPage
from tests.browser.stub import StubServer

pytestmark = [pytest.mark.browser, pytest.mark.peer, pytest.mark.asyncio(loop_scope="session")]


def revise(stub: StubServer, segment: str, revision: int, old_text: str, text: str, **fields: Any) -> None:
    names = {"channel": "C01", "segment": segment, "revision": revision, "by": "glossary"}
    stub.say("segment.revised", **names, old_text=old_text, text=text, **fields)


async def page_with_two_lines(open_page: OpenPage, stub: StubServer, path: str) -> Page:
    page = await open_page(path)
    if path == "/":
        await page.click("#go")
        await stub.data_channel_opened()
    words = [{"text": "alfa", "start_ms": 1, "end_ms": 2, "p": 0.2}]
    stub.final("alfa one proceed", 1000, 2000, segment="g_first", words=words)
    stub.final("over", 3000, 4000, segment="g_second")
    await expect(page.locator(".line")).to_have_count(2)
    return page


@pytest.mark.parametrize("path", ["/", "/watch"])
async def test_a_revised_line_shows_the_new_text_and_the_first_one(
    open_page: OpenPage, stub: StubServer, path: str
) -> None:
    page = await page_with_two_lines(open_page, stub, path)
    revise(stub, "g_first", 1, "alfa one proceed", "alpha one proceed")
    first = page.locator(".line", has=page.locator("[data-segment=g_first]"))
    await expect(first.locator("p")).to_have_text("alpha one proceed")
    await expect(first.locator(".revised")).to_have_text("Revised. Before: “alfa one proceed”")
    edit = {"from": "alpha one", "to": "Alpha-1", "term": "Alpha-1", "kind": "alias"}
    revise(stub, "g_first", 2, "alpha one proceed", "Alpha-1 proceed", edits=[edit])
    await expect(page.locator(".line p")).to_have_text(["Alpha-1 proceed", "over"])
    await expect(first.locator(".edited")).to_have_text("Alpha-1")
    await expect(page.locator(".revised")).to_have_text(["Revised. Before: “alfa one proceed”"])
    await expect(first.locator(".unsure")).to_have_count(0)
    await expect_clean(page)


@pytest.mark.parametrize("path", ["/", "/watch"])
async def test_a_withdrawn_text_stays_in_sight_but_is_not_downloaded(
    open_page: OpenPage, stub: StubServer, path: str, tmp_path: Path
) -> None:
    page = await page_with_two_lines(open_page, stub, path)
    revise(stub, "g_first", 1, "alfa one proceed", "")
    await expect(page.locator(".revised")).to_have_text("Withdrawn. Before: “alfa one proceed”")
    async with page.expect_download() as started:
        await page.click("[data-tool=json]")
    await (await started.value).save_as(tmp_path / "text.json")
    kept = json.loads((tmp_path / "text.json").read_text(encoding="utf-8"))
    assert [segment["text"] for segment in kept["segments"]] == ["over"]


@pytest.mark.parametrize("path", ["/", "/watch"])
async def test_a_late_line_stands_between_gaps_and_lines_by_its_time(
    open_page: OpenPage, stub: StubServer, path: str
) -> None:
    page = await page_with_two_lines(open_page, stub, path)
    stub.say("coverage", channel="C01", from_ms=5000, to_ms=9000, state="lost", reason="network")
    stub.final("said last", 10_000, 11_000)
    stub.final("said between", 6000, 7000, source="backfill")
    stub.say("coverage", channel="C01", from_ms=6000, to_ms=7000, state="transcribed")
    times = page.locator("#log > div > time")
    in_order = ["00:01.000", "00:03.000", "00:05.000", "00:06.000", "00:07.000", "00:10.000"]
    await expect(times).to_have_text(in_order)
    await expect(page.locator(".gap p")).to_contain_text(["1.0 s did not arrive", "2.0 s did not arrive"])


async def test_the_page_still_shows_the_newest_line_after_a_revision(
    open_page: OpenPage, stub: StubServer
) -> None:
    for i in range(60):
        stub.final(f"line {i}", i * 1000, i * 1000 + 500, segment=f"g_line{i}")
    page = await open_page("/watch")
    await expect(page.locator(".line")).to_have_count(60)
    revise(stub, "g_line59", 1, "line 59", "proceed to gate seven " * 40)
    await expect(page.locator(".revised")).to_be_in_viewport()
    rest = "(({ scrollHeight, scrollTop, clientHeight }) => scrollHeight - scrollTop - clientHeight)"
    assert await page.evaluate(f"{rest}(document.getElementById('log'))") < 2
