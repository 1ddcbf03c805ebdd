"""The summary on the desk: made by the real server without a model, and by a stand-in of a model's server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.browser.axe import expect_clean
from tests.support.desk import Desk, a_config, running_desk
from tests.support.events import an_event
from tests.support.language_model import FakeModel, a_language_model
from webrtc_host.seams import EventType

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

OpenDesk = Callable[..., Awaitable[Page]]
SAID = (
    "Alpha-1 proceed to gate seven",
    "the fuel truck is late again at gate seven",
    "we decided to move Alpha-1 to gate nine",
    "the fuel truck goes to gate nine too",
)


@pytest_asyncio.fixture(loop_scope="session")
async def model() -> AsyncIterator[FakeModel]:
    async with a_language_model() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def open_desk(browser: Browser) -> AsyncIterator[OpenDesk]:
    """open_desk(desk, **options): the page of a desk on which four lines were said."""
    contexts = []

    async def opened(desk: Desk, **options: Any) -> Page:
        options = {"viewport": {"width": 1366, "height": 768}, "locale": "en-GB", **options}
        context = await browser.new_context(**options)
        contexts.append(context)
        page = await context.new_page()
        for channel, label in (("C01", "Tower"), ("C02", "Ramp")):
            fields = {"connection": "c_1", "label": label, "language": "en"}
            desk.session.log.emit(an_event(EventType.CHANNEL_OPENED, channel, **fields))
        for number, text in enumerate(SAID):
            desk.final(text, "C01" if number % 2 == 0 else "C02", number * 4000)
        await desk.settled()
        await page.goto(f"{desk.url}/desk")
        await expect(page.locator("#focus-log .line, #wall .line").first).to_be_visible()
        return page

    yield opened
    for context in contexts:
        await context.close()


async def test_a_summary_of_chosen_lines_says_what_it_is_and_its_links_open_the_lines(
    open_desk: OpenDesk, tmp_path: Path
) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        page = await open_desk(desk)
        await page.click("#summarize")
        panel = page.locator("desk-summary")
        await expect(panel.locator(".maker")).to_contain_text("No language model is set up")
        await expect(panel.locator("article li").first).to_contain_text(SAID[0])  # C01 is on screen
        await panel.locator("select[name=channel]").select_option("C02")
        await expect(panel.locator(".status")).to_have_text("There is no summary of this yet.")
        await panel.locator("form button").press("Enter")
        await expect(panel.locator("article li").first).to_contain_text(SAID[1])
        await expect(panel.locator("article .foot")).to_contain_text("Covers 00:00")
        await panel.locator(".cite").first.press("Enter")
        await expect(page.locator("#focus-name")).to_have_text("C02 Ramp")
        await expect(page.locator("#g_2")).to_be_in_viewport()
        assert await page.evaluate("location.hash") == "#g_2"
        await panel.locator("select[name=last]").press("Escape")
        await expect(panel).to_be_hidden()
        await expect(page.locator("#summarize")).to_be_focused()


async def test_what_a_model_writes_is_shown_as_text_with_its_doubts(
    open_desk: OpenDesk, model: FakeModel, tmp_path: Path
) -> None:
    hostile = "<img src=x onerror=document.title='hacked'>"
    model.make = lambda text: json.dumps(
        {
            "title": f"Gates {hostile}",
            "summary": [
                {"text": f"Alpha-1 moves to gate nine. {hostile}", "cites": ["g_1", "g_3"]},
                {"text": "It rained.", "cites": ["g_2"]},
                {"text": "Invented.", "cites": ["g_99"]},
            ],
            "decisions": [{"text": "Alpha-1 gets gate nine.", "cites": ["g_3"]}],
            "actions": [{"text": "The fuel truck drives to gate nine.", "cites": ["g_4"]}],
            "topics": [{"title": "Gates", "cites": ["g_1"]}],
        }
    )
    llm = {"kind": "openai", "base_url": f"{model.url}/v1", "model": "small-1", "retries": 0}
    async with running_desk(a_config(tmp_path, llm=llm)) as desk:
        page = await open_desk(desk)
        await page.click("#summarize")
        panel = page.locator("desk-summary")
        await panel.locator("select[name=channel]").select_option("")
        await panel.locator("select[name=last]").select_option("")
        await panel.locator("form button").click()
        await expect(panel.locator("article")).to_contain_text(hostile)
        await expect(panel.locator(".maker")).to_contain_text("small-1")
        await expect(panel.locator(".cite").first).to_have_text("C01 00:00")
        await expect(panel.locator(".unsure")).to_have_text("does not match its lines")
        await expect(panel).to_contain_text("Sentences left out, because they have no source: 1.")
        await expect(panel.locator("h4")).to_have_text(["Decisions", "To do", "Topics"])
        assert await page.title() == "Desk · host-stt"
        assert await panel.locator("img").count() == 0
        await expect_clean(page)
        # In the other language it is another summary, which was not made yet.
        await page.click("#language")
        await expect(panel.locator(".status")).to_have_text("아직 요약이 없습니다.")
        model.statuses.append((500, {}, "out of memory"))
        await panel.locator("form button").click()
        await expect(panel.locator(".status")).to_contain_text("out of memory")
