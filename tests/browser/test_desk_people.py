"""What people do with lines on the desk, with the real server: correct, mark, redact, share; by keyboard."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.browser.axe import expect_clean
from tests.browser.conftest import DESKTOP, PHONE
from tests.support.desk import Desk, a_config, running_desk
from tests.support.events import an_event
from webrtc_host.keys import ARCHIVE
from webrtc_host.seams import SAMPLES_PER_MS, EventType, OpusPacket

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

Opened = Callable[..., Awaitable[Page]]


@pytest_asyncio.fixture(loop_scope="session")
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """The real server with two lines on C01 and their audio."""
    async with running_desk(a_config(tmp_path, archive={"flush_ms": 100}, store={"url": ""})) as desk:
        desk.session.log.emit(an_event(EventType.CHANNEL_OPENED, "C01", label="Tower", start_ms=0))
        desk.final("this is alpaca one", raw="this is alpaca 1")
        desk.final("my number is secret", at_ms=3000)
        desk.session.log.emit(an_event(EventType.COVERAGE, "C01", from_ms=0, to_ms=4000, state="transcribed"))
        archive = desk.app[ARCHIVE].archive
        assert archive is not None
        channel = archive.of_channel(desk.session.id, "C01")
        for ms in range(0, 4000, 20):
            channel.archive_packet(OpusPacket(ms * SAMPLES_PER_MS, 20 * SAMPLES_PER_MS, b"\xf8\xff\xfe"))
        await desk.settled()
        yield desk


@pytest_asyncio.fixture(loop_scope="session")
async def opened(browser: Browser, desk: Desk) -> AsyncIterator[Opened]:
    """opened(path): a page of the real server; a desk shows the channel C01."""
    contexts: list[BrowserContext] = []

    async def open_page(path: str = "/desk", **options: Any) -> Page:
        context = await browser.new_context(**{"viewport": DESKTOP, "locale": "en-GB", **options})
        contexts.append(context)
        page = await context.new_page()
        await page.goto(desk.url + path if path.startswith("/") else path)
        await page.wait_for_selector("html[data-ready]", state="attached")
        if path == "/desk":
            await page.keyboard.press("1")
            await expect(page.locator("#focus-log .segment")).to_have_count(2)
        return page

    yield open_page
    for context in contexts:
        await context.close()


def line(page: Page, number: int) -> Any:
    return page.locator("#focus-log .segment").nth(number)


async def test_two_operators_correct_a_line_at_once_and_nothing_is_lost(opened: Opened) -> None:
    first, second = await opened(), await opened()
    for page in (first, second):
        await page.keyboard.press("Shift+J")  # chooses the newest line
        await page.keyboard.press("Shift+K")
        await page.keyboard.press("e")
        await expect(page.locator("#edited-text")).to_be_focused()
    await second.locator("#edited-text").fill("this is Alfa 1")
    await first.locator("#edited-text").fill("this is Alpha one")
    await first.keyboard.press("Enter")
    await expect(line(first, 0)).to_have_text("this is Alpha one")
    hint = second.locator(".editor .hint")
    await expect(hint).to_contain_text("anyone corrected this line meanwhile: “this is Alpha one”")
    await expect(second.locator("#edited-text")).to_have_value("this is Alfa 1")
    await second.keyboard.press("Enter")
    await expect(line(first, 0)).to_have_text("this is Alfa 1")
    await expect(second.locator(".editor")).to_have_count(0)
    await second.keyboard.press("i")
    texts = second.locator("dialog .steps p")
    await expect(texts).to_have_text(
        ["this is alpaca 1", "this is alpaca one", "this is Alpha one", "this is Alfa 1"]
    )
    await expect_clean(second)


async def test_marks_and_notes_show_on_every_desk_and_in_the_search(opened: Opened) -> None:
    first, second = await opened(), await opened()
    await line(first, 0).dblclick()  # corrects it; Escape leaves it as it was
    await first.keyboard.press("Escape")
    await first.keyboard.press("x")
    await expect(line(second, 0).locator(".sign.star")).to_be_visible()
    await first.keyboard.press("n")
    await first.keyboard.type("ask the pilot")
    await first.keyboard.press("Enter")
    await expect(line(second, 0).locator(".sign.noted")).to_have_attribute("title", "anyone: ask the pilot")
    await expect(first.locator("dialog[open]")).to_have_count(0)
    await first.keyboard.press("Shift+Digit1")
    await first.keyboard.press("Enter")
    await expect(line(second, 0).locator(".sign.report")).to_be_visible()
    await expect(first.locator("dialog[open]")).to_have_count(0)  # else the next key is for the dialog
    struck = line(second, 0).locator("s")
    await first.keyboard.press("Backspace")
    await expect(struck).to_have_text("this is alpaca one")
    await first.locator("[data-action=notSaid]").click()
    await expect(struck).to_have_count(0)
    await first.keyboard.press("Backspace")
    await expect(struck).to_be_visible()
    await first.keyboard.press("i")
    marks = first.locator("dialog h3 + .steps").first.locator("p")
    await expect(marks).to_have_text(["starred", "reported", "not said"])
    await first.keyboard.press("Escape")
    await second.keyboard.press("/")
    await second.select_option("#marked", "not_said")
    await second.locator("#search button").click()
    await expect(second.locator("#hits .hit s")).to_have_text("this is alpaca one")
    await second.locator("#hits .hit").click()
    await second.locator("[data-action=notSaid]").click()
    await expect(second.locator("#hits .hit s")).to_have_count(0)
    await second.select_option("#marked", "star")
    await second.locator("#search button").click()
    await expect(second.locator("#hits .hit")).to_have_count(1)
    await second.locator(".finder summary").click()
    for seconds, said in (("0.6", "No line passes these filters."), ("0.5", "1 line")):
        await second.locator("#length").fill(seconds)  # each line has half a second
        await second.keyboard.press("Enter")
        await expect(second.locator("#found")).to_have_text(said)
    await second.locator("#hits .hit").click()
    await second.locator("[data-action=star]").click()
    await expect(line(first, 0).locator(".sign.star")).to_have_count(0)
    await second.reload()
    await second.keyboard.press("1")
    await expect(line(second, 0).locator(".sign.noted")).to_be_visible()


async def test_a_key_pressed_right_after_a_dialog_closes_is_not_lost(opened: Opened) -> None:
    """Chromium moves the focus out of a closed dialog with the next frame only, which can be late."""
    page = await opened()
    await page.keyboard.press("Shift+J")
    await page.keyboard.press("n")
    await expect(page.locator("dialog textarea")).to_be_focused()
    focused = await page.evaluate(
        """() => {
          document.querySelector("dialog[open]").close();
          const target = document.activeElement;
          target.dispatchEvent(new KeyboardEvent("keydown", { key: "!", bubbles: true }));
          return target.localName;
        }"""
    )
    assert focused == "textarea"
    await expect(page.locator("dialog[open] h2")).to_have_text("Report this line")


async def test_a_redaction_says_what_it_removes_and_every_desk_loses_the_words(opened: Opened) -> None:
    first, second = await opened(), await opened("/desk", viewport=PHONE, locale="ko-KR")
    await first.keyboard.press("Shift+J")
    await first.keyboard.press("d")
    will = first.locator("dialog .will")
    await expect(will).to_contain_text("the text of 1 line and 1.1 s of audio")
    await expect_clean(first)
    await first.keyboard.press("Enter")
    await expect(first.locator("dialog .status")).to_have_text("")  # not without a reason
    await first.keyboard.type("private")
    await first.keyboard.press("Enter")
    await expect(first.locator("dialog .status")).to_contain_text("Done")
    await first.keyboard.press("Enter")
    await expect(line(second, 1)).to_have_text("삭제된 내용")
    await expect(second.locator("#focus-log .gap")).to_contain_text("anyone: private")
    for page in (first, second):
        assert "secret" not in await page.content()
    await expect(first.locator("[data-action=edit]")).to_be_disabled()
    assert await second.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


async def test_a_link_opens_its_range_until_it_is_revoked(opened: Opened) -> None:
    page = await opened()
    await line(page, 0).click()
    await page.keyboard.press("y")
    await page.keyboard.type("handover")
    await page.get_by_label("People with the link may also listen").check()
    await page.get_by_role("button", name="Make the link").click()
    link = await page.locator(".made input").input_value()
    await expect_clean(page)
    shared = await opened(link, viewport=PHONE)
    await expect(shared.locator("li p")).to_have_text("this is alpaca one")
    await expect(shared.locator("h1")).to_have_text("handover")
    await shared.locator("li button").click()
    await expect(shared.locator("#audio")).to_be_visible()
    await expect_clean(shared)
    await page.get_by_role("button", name="Revoke: handover").click()
    await expect(page.locator(".links .lead")).to_contain_text("revoked")
    await shared.reload()
    await expect(shared.locator("#problem h2")).to_have_text("This link was revoked.")
    await expect_clean(shared)


async def test_a_wall_link_shows_the_wall_and_lets_nobody_change_it(opened: Opened, desk: Desk) -> None:
    wish = {"kind": "wall", "name": "lobby", "expires_in_s": 3600}
    async with desk.client.post(f"{desk.url}/api/shares", json=wish) as response:
        link = await response.json()
    page = await opened(link["path"])
    await expect(page.locator("#tile-C01 .segment")).to_have_count(2)
    assert page.url == f"{desk.url}/desk"
    await page.keyboard.press("1")
    await page.keyboard.press("Shift+J")
    await expect(page.locator(".linetools [data-action]:visible")).to_have_text(["HistoryI", "Close"])
    await page.keyboard.press("e")
    await expect(page.locator(".editor")).to_have_count(0)
    async with desk.client.delete(f"{desk.url}/api/shares/{link['id']}") as response:
        assert response.status == 200
    await expect(page.locator("#notice h2")).to_have_text("The link of this screen has ended.")


async def test_words_are_added_to_the_glossary_and_suggestions_decided(opened: Opened, desk: Desk) -> None:
    page = await opened()
    await line(page, 0).click()
    await page.keyboard.press("g")
    await page.get_by_label("Right spelling").fill("Alpha-1")
    await page.get_by_label("As it was heard (may stay empty)").fill("alpaca one")
    await page.keyboard.press("Enter")
    await expect(page.locator("dialog .status")).to_have_text("Added. The next line uses it.")
    _, glossary = await desk.get("/api/glossary")
    assert glossary["terms"] == [{"canonical": "Alpha-1", "aliases": ["alpaca one"]}]
    offer = {"old": "call hotel", "new": "call Hotel-9"}
    async with desk.client.post(f"{desk.url}/api/glossary/suggestions", json=offer) as response:
        assert (await response.json())["texts"] == ["Hotel-9"]
    await page.keyboard.press("Escape")
    await page.keyboard.press("g")
    await page.get_by_role("button", name="Dismiss: Hotel-9").click()
    await expect(page.locator(".links")).to_contain_text("There are no open suggestions.")
    await expect_clean(page)
