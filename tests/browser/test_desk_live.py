"""The desk with the real server: a newcomer presses one button and sees, hears and finds sixteen channels."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Browser, expect

from tests.browser.axe import COLOURS, RULES, expect_clean
from tests.browser.conftest import DESKTOP
from tests.browser.live import LiveServer
from tests.support.polling import until

pytestmark = [
    pytest.mark.browser,
    pytest.mark.net,
    pytest.mark.model,
    pytest.mark.asyncio(loop_scope="session"),
]

BUSY_BOX_S = 60.0
BUSY_BOX_MS = 60_000
TILES_WITH_TEXT = (
    "[...document.querySelectorAll('desk-tile')].filter((tile) => tile.querySelector('.line')).length"
)
TILES_WITH_LEVEL = (
    "[...document.querySelectorAll('desk-tile .meter')]"
    ".filter((meter) => meter.style.getPropertyValue('--lit') > 0).length"
)
VIEWS = {  # the search last, because the next key would be typed into it
    "w": "#wall",
    "1": "#pair",
    "o": "#merged",
    "t": "#timeline",
    "?": "dialog[open]",
    "u": "dialog[open]",
    "/": "#finder",
}


async def test_one_press_shows_sixteen_channels_to_read_hear_and_find(
    browser: Browser, live_server: LiveServer
) -> None:
    context = await browser.new_context(viewport={"width": 1920, "height": 1080}, locale="en-GB")
    page = await context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    await page.goto(f"{live_server.url}/desk")
    await page.get_by_role("button", name="Try 16 simulated channels").click()
    await page.wait_for_url("**/desk?session=*")
    try:
        await expect(page.locator("desk-tile[data-state=unused]")).to_have_count(0, timeout=BUSY_BOX_MS)
        await until(lambda: page.evaluate(f"{TILES_WITH_LEVEL} >= 1"), BUSY_BOX_S)
        await until(lambda: page.evaluate(f"{TILES_WITH_TEXT} >= 1"), BUSY_BOX_S)
        line = page.locator("desk-tile .line .segment").first
        words = (await line.inner_text()).strip()
        await line.click()
        await expect(page.locator("#playing-text")).to_have_text(words)
        await until(lambda: page.evaluate("document.querySelector('#audio').currentTime > 0.2"), BUSY_BOX_S)
        await page.keyboard.press("/")
        await page.keyboard.type(words.split()[0])
        await page.keyboard.press("Enter")
        await expect(page.locator("#hits mark").first).to_have_text(words.split()[0], timeout=BUSY_BOX_MS)
    finally:
        await page.get_by_role("button", name="End the simulation").click()
    await page.wait_for_url(f"{live_server.url}/desk")
    assert errors == []
    await context.close()


@pytest.mark.parametrize("scheme", ["dark", pytest.param("light", marks=pytest.mark.long)])
async def test_every_view_is_axe_clean(browser: Browser, live_server: LiveServer, scheme: Any) -> None:
    context = await browser.new_context(viewport=DESKTOP, color_scheme=scheme)
    page = await context.new_page()
    await page.goto(f"{live_server.url}/desk")
    await page.wait_for_selector("html[data-ready]", state="attached")
    for key, view in VIEWS.items():
        await page.keyboard.press(key)
        await expect(page.locator(view)).to_be_visible()
        await expect_clean(page, RULES if scheme == "dark" else COLOURS)
        await page.keyboard.press("Escape")
    await context.close()
