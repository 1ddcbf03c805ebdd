"""Alerts in the browser, with the real server: pinned lines and sounds, the rules, and the webhooks."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.browser.axe import expect_clean
from tests.support.desk import Desk, a_config, running_desk
from tests.support.polling import until
from tests.webrtc_host.webhooks.receiver import receiving

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

WALL = {"width": 1920, "height": 1080}
PHONE = {"width": 390, "height": 844}
SOUNDS = """
window.notes = [];
const play = OscillatorNode.prototype.start;
OscillatorNode.prototype.start = function (...times) {
  window.notes.push(this.frequency.value);
  return play.apply(this, times);
};
window.notices = [];
window.Notification = class extends EventTarget {
  static permission = "granted";
  static requestPermission = async () => "granted";
  constructor(title, options) { super(); window.notices.push([title, options.body]); }
  close() {}
};
"""
RULES = {
    "rules": [
        {"name": "mayday", "when": "terms", "terms": ["mayday", "구급차"], "level": "critical"},
        {"name": "gate", "when": "pattern", "pattern": "gate [0-9]+", "level": "info"},
    ]
}
OpenAt = Callable[..., Awaitable[Page]]


@pytest_asyncio.fixture(loop_scope="session")
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with running_desk(a_config(tmp_path, webhooks={"allow": ["127.0.0.1"]})) as desk:
        async with desk.client.put(f"{desk.url}/api/alerts/rules", json=RULES) as response:
            assert response.status == 200
        yield desk


@pytest_asyncio.fixture(loop_scope="session")
async def open_at(browser: Browser, desk: Desk) -> AsyncIterator[OpenAt]:
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    async def opened(path: str, **options: Any) -> Page:
        context = await browser.new_context(
            **{"viewport": WALL, "locale": "en-GB", "reduced_motion": "reduce", **options}
        )
        contexts.append(context)
        await context.add_init_script(SOUNDS)
        page = await context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto(desk.url + path)
        await page.wait_for_selector("html[data-ready]", state="attached")
        if path.startswith("/desk"):
            await expect(page.locator("#live")).to_have_attribute("data-state", "live", timeout=30_000)
        return page

    yield opened
    for context in contexts:
        await context.close()
    assert errors == []


async def test_an_alert_is_pinned_until_a_key_acknowledges_it_on_every_desk(
    open_at: OpenAt, desk: Desk
) -> None:
    page, other = await open_at("/desk"), await open_at("/desk", viewport=PHONE, locale="ko-KR")
    await page.keyboard.press("w")  # the gesture that allows sound
    desk.final("open gate 12", "C02")
    await until(lambda: page.evaluate("notes.length === 1"))
    desk.final("구급차를 보내라", "C07")
    lines = page.locator("#alert-list li")
    await expect(lines).to_have_count(2)
    await expect(lines.nth(0)).to_contain_text("Critical")
    await expect(lines.nth(0)).to_contain_text("구급차를 보내라")
    await expect(page.locator("#tile-C07")).to_have_attribute("data-alert", "critical")
    await expect(page.locator("#alert-voice")).to_contain_text("Critical: mayday on C07. 구급차를 보내라")
    await expect(other.locator("#alert-list li").nth(0)).to_contain_text("긴급")
    assert await page.evaluate("notes.length") == 1 + 4, "and four of the critical level"
    assert await other.evaluate("notes.length") == 0
    await expect(other.locator("#sound-locked")).to_be_visible()
    await expect_clean(page)
    await page.get_by_role("button", name="1 more").click()
    await expect_clean(page)
    await page.keyboard.press("Escape")
    await expect_clean(other)
    await page.keyboard.press("a")
    await expect(lines).to_have_count(1)
    await expect(other.locator("#alert-list li")).to_have_count(1)
    await expect(page.locator("#tile-C07[data-alert]")).to_have_count(0)
    await other.locator(".acknowledge").click()
    await expect(page.locator("#alerts .calm")).to_be_visible()
    await page.reload()
    await expect(page.locator("#live")).to_have_attribute("data-state", "live", timeout=30_000)
    await expect(page.locator("#alerts .calm")).to_be_visible()


async def test_a_provisional_alert_is_confirmed_or_leaves_the_desk(open_at: OpenAt, desk: Desk) -> None:
    page = await open_at("/desk")
    line = page.locator("#alert-list li")
    desk.interim("mayday", "C03")
    await expect(line).to_contain_text("not confirmed yet")
    desk.final("my day off", "C03")
    await expect(line).to_have_count(0)
    desk.final("mayday at gate 3", "C04")
    await expect(line).to_have_count(2)
    await line.filter(has_text="gate 3").first.locator(".open").click()
    await expect(page.locator("#focus-name")).to_contain_text("C04")


async def test_the_choices_of_this_screen_are_kept(open_at: OpenAt, desk: Desk) -> None:
    page = await open_at("/desk")
    await page.locator("#alerts-button").click()
    await page.locator("#alert-volume-critical").fill("0")
    await page.get_by_role("button", name="Play the sound: Critical").click()
    assert await page.evaluate("notes.length") == 0
    await page.get_by_role("button", name="Play the sound: Warning").click()
    assert await page.evaluate("notes.length") == 2
    await page.locator("#alert-notices").check()
    await expect_clean(page)
    await page.locator("#alert-close").click()
    await page.evaluate("Object.defineProperty(document, 'hidden', { get: () => true })")
    desk.final("mayday", "C05")
    await expect(page.locator("#alert-list li")).to_have_count(1)
    await until(lambda: page.evaluate("notices.length > 0"))
    assert await page.evaluate("notices") == [["Critical: mayday", "Critical: mayday on C05. mayday"]]
    await page.reload()
    await page.locator("#alerts-button").click()
    await expect(page.locator("#alert-volume-critical")).to_have_value("0")
    await expect(page.locator("#alert-notices")).to_be_checked()


async def test_a_rule_is_made_tried_refused_and_saved(open_at: OpenAt, desk: Desk) -> None:
    desk.final("알파원이 응답하지 않는다", "C01")
    desk.final("nothing here", "C01")
    await desk.written()
    page = await open_at("/alerts")
    await expect(page.locator("#rules summary")).to_have_count(2)
    await page.locator("#add-rule").click()
    row = page.locator("#rules details").first
    await row.get_by_label("Name").fill("call")
    await row.get_by_label("Words or terms", exact=True).fill("알파원")
    await row.get_by_role("button", name="Try on past text").click()
    await expect(row.locator(".found li")).to_have_text("C01알파원이 응답하지 않는다")
    await expect(row.locator("mark")).to_have_text("알파원")
    await row.get_by_label("What the rule waits for").select_option("pattern")
    await row.get_by_label("Regular expression").fill("(")
    await page.locator("#save").click()
    await expect(page.locator("#mistakes")).to_contain_text("call")
    await expect(row.get_by_label("Regular expression")).to_have_attribute("aria-invalid", "true")
    await expect_clean(page)
    await row.get_by_label("Regular expression").fill(".*")
    await row.get_by_label("Quiet hours").fill("22:00-06:00")
    await page.locator("#groups").fill("fire: C01, C02")
    await page.keyboard.press("Control+s")
    await expect(page.locator("#warnings")).to_contain_text("nearly every line")
    _, saved = await desk.get("/api/alerts/rules")
    assert saved["rules"][0] == {
        **{"name": "call", "when": "pattern", "pattern": ".*"},
        "quiet": [{"from": "22:00", "to": "06:00"}],
    }
    assert saved["groups"] == [{"name": "fire", "channels": ["C01", "C02"]}]


async def test_a_webhook_is_added_and_tested_on_the_page(open_at: OpenAt, desk: Desk) -> None:
    async with receiving() as receiver:
        page = await open_at("/alerts", viewport=PHONE)
        await page.locator("#hook-name").fill("pager")
        await page.locator("#hook-url").fill(receiver.url)
        await page.locator("#hook-form button").click()
        await expect(page.locator("#secret")).to_have_value(re.compile("^whsec_"))
        hook = page.locator(".hook")
        await hook.get_by_role("button", name="Test pager").click()
        await expect(hook).to_contain_text("Delivered: status 200")
        receiver.status = 500
        await hook.get_by_role("button", name="Test pager").click()
        await expect(hook).to_contain_text("Not delivered: the receiver answered 500.")
        await hook.get_by_role("button", name="Deliveries of pager").click()
        await expect(hook.locator("tr")).to_have_count(2)
        await expect_clean(page)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390
        await hook.get_by_role("button", name="Turn off: pager").click()
        await expect(hook.locator(".level")).to_have_text("Off")
        await hook.get_by_role("button", name="Remove: pager").click()
        await hook.get_by_role("button", name="Remove for ever: pager").click()
        await expect(hook).to_have_count(0)
