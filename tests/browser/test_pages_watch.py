"""The watching page: the same lines, through every break, over WebSocket or Server-Sent Events."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.stub import StubServer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_it_shows_what_was_said_before_and_what_is_said_now(
    open_page: OpenPage, stub: StubServer
) -> None:
    stub.final("before", 1000, 2000)
    page = await open_page("/watch")
    await expect(page.locator(".line p")).to_have_text("before")
    stub.final("now", 3000, 4000)
    await expect(page.locator(".line p")).to_have_text(["before", "now"])
    assert stub.offers == []


async def test_it_comes_back_with_since_and_loses_nothing(open_page: OpenPage, stub: StubServer) -> None:
    page = await open_page("/watch")
    await expect(page.locator("#live")).to_have_attribute("data-state", "live")
    stub.final("one", 1000, 2000)
    await expect(page.locator(".line")).to_have_count(1)
    await stub.drop_watchers()
    stub.final("two", 3000, 4000)
    await expect(page.locator(".line p")).to_have_text(["one", "two"])
    assert stub.since_asked[-1] == 1


async def test_it_falls_back_to_server_sent_events(open_page: OpenPage, stub: StubServer) -> None:
    stub.has_sockets = False
    stub.final("one", 1000, 2000)
    page = await open_page("/watch")
    await expect(page.locator("#live")).to_contain_text("over SSE")
    stub.final("two", 3000, 4000)
    await expect(page.locator(".line p")).to_have_text(["one", "two"])


async def test_a_server_that_comes_back_with_a_new_session_is_followed(
    open_page: OpenPage, stub: StubServer
) -> None:
    page = await open_page("/watch")
    stub.final("one", 1000, 2000)
    stub.final("two", 2000, 3000)
    await expect(page.locator(".line")).to_have_count(2)
    port = stub.port
    await stub.stop()
    await expect(page.locator("#live")).to_have_attribute("data-state", "waiting")
    stub.session, stub.events = "s_new", []
    await stub.start(port)
    stub.final("three", 100, 900)
    await expect(page.locator(".line p")).to_have_text(["one", "two", "three"], timeout=60_000)
    await expect(page.locator(".note")).to_contain_text("new session")


async def test_the_next_session_is_followed_when_one_ends(open_page: OpenPage, stub: StubServer) -> None:
    page = await open_page("/watch")
    stub.final("one", 1000, 2000)
    await expect(page.locator(".line")).to_have_count(1)
    ended = stub.session
    stub.say("session.ended", reason="asked")
    stub.session, stub.events = "s_next", []
    stub.final("two", 100, 900)
    await expect(page.locator(".line p")).to_have_text(["one", "two"])
    named = await open_page(f"/watch?session={ended}")
    await expect(named.locator("#notice")).to_have_attribute("data-code", "gone")
    await expect(named.locator("#live")).to_have_text("Stopped")
    await expect(named.locator(".line")).to_have_count(0)


async def test_lines_are_marked_with_the_glossary_they_were_read_with(
    open_page: OpenPage, stub: StubServer
) -> None:
    page = await open_page("/watch")
    stub.final("Alpha-1 알파원이 이동", 1000, 2000, glossary_version=1)
    await expect(page.locator(".line .term")).to_have_text("Alpha-1")
    stub.glossary = {**stub.glossary, "terms": [{"canonical": "알파원"}], "glossary_version": 2}
    stub.final("Alpha-1 알파원이 이동", 2000, 3000, glossary_version=2)
    await expect(page.locator(".line .term")).to_have_text(["Alpha-1", "알파원"])


async def test_several_channels_are_named_and_can_be_filtered(open_page: OpenPage, stub: StubServer) -> None:
    page = await open_page("/watch")
    stub.final("from one", 1000, 2000, channel="C01")
    stub.final("from two", 2000, 3000, channel="C02")
    await expect(page.locator("#channels button")).to_have_text(["All", "C01", "C02"])
    await page.click("#channels button[data-channel=C02]")
    await expect(page.locator(".line:visible p")).to_have_text("from two")
    stub.final("one again", 3000, 4000, channel="C01")
    stub.final("two again", 3500, 4500, channel="C02")
    await expect(page.locator(".line:visible p")).to_have_text(["from two", "two again"])


async def test_reading_back_is_not_disturbed_by_new_lines(open_page: OpenPage, stub: StubServer) -> None:
    for i in range(60):
        stub.final(f"line {i}", i * 1000, i * 1000 + 500)
    page = await open_page("/watch")
    await expect(page.locator(".line")).to_have_count(60)
    await page.evaluate("document.getElementById('log').scrollTop = 0")
    await expect(page.locator("#follow")).not_to_be_checked()
    stub.final("newest", 61_000, 62_000)
    await expect(page.locator("#more")).to_have_text("1 new ↓")
    assert await page.evaluate("document.getElementById('log').scrollTop") == 0
    await page.click("#more")
    await expect(page.locator(".line", has_text="newest")).to_be_in_viewport()
    await expect(page.locator("#more")).to_be_hidden()
