"""The timeline of the desk and the usual figures, with the real server: by mouse, by keyboard, on a phone."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.browser.axe import expect_clean
from tests.browser.conftest import DESKTOP, PHONE
from tests.support.desk import Desk, a_config, running_desk
from tests.support.events import an_event
from tests.support.polling import until
from webrtc_host.keys import ARCHIVE, RECORD, USUAL
from webrtc_host.seams import SAMPLES_PER_MS, Block, EventType, OpusPacket
from webrtc_host.services.usual_figures import POINT_MS
from webrtc_host.session.channel import ChannelSpec
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.transcript import usual
from webrtc_host.transcript.usual import UsualPoint

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

BUSY_BOX_MS = 30_000
MIX = "document.querySelector('#timeline').tools.mix"
PINCH = """() => {
    const picture = document.querySelector(".tl-picture");
    const box = picture.getBoundingClientRect();
    const finger = (type, pointerId, share) => picture.dispatchEvent(new PointerEvent(type, {
        pointerType: "touch", pointerId, bubbles: true, button: type === "pointermove" ? -1 : 0,
        clientX: box.left + box.width * share, clientY: box.top + 60,
    }));
    finger("pointerdown", 1, 0.4);
    finger("pointerdown", 2, 0.6);
    finger("pointermove", 1, 0.3);
    finger("pointermove", 2, 0.7);
    const { lengthMs } = document.querySelector("#timeline").range;
    finger("pointerup", 1, 0.3);
    finger("pointermove", 2, 0.9);
    finger("pointerup", 2, 0.9);
    return [lengthMs, document.querySelector("#timeline").range.lengthMs];
}"""
"""Two fingers twice as far apart. The one that stays does no more."""
DRAWN = """() => {
    const { painter: { canvas, pen }, laneHeight } = document.querySelector("#timeline");
    const colour = (name) => {
        pen.fillStyle = getComputedStyle(canvas).getPropertyValue(name).trim();
        return pen.fillStyle.match(/[0-9a-f]{2}/g).map((two) => parseInt(two, 16));
    };
    const [dim, text] = [colour("--dim"), colour("--text")];
    const { data, width, height } = pen.getImageData(0, 26, canvas.width, laneHeight);
    const found = { bar: 0, words: 0 };
    for (let y = 0; y < height; y += 1) {
        for (let x = 0, run = 0; x < width; x += 1) {
            const at = 4 * (y * width + x);
            const is = (wanted) => wanted.every((part, n) => data[at + n] === part);
            run = is(dim) ? run + 1 : 0;
            found.bar = Math.max(found.bar, run);
            if (run || is(text)) found.words += 1;
        }
    }
    return found;
}"""
"""Of the first lane, in pixels: the longest level line in the colour of dim words, and the area of words."""
AGE_S = 120.0


@pytest_asyncio.fixture(loop_scope="session")
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """C01 said something 60 s and 30 s ago and lost two seconds; C02 is dead, and was not in the last day."""
    config = a_config(tmp_path, store={"url": ""}, archive={"flush_ms": 100})
    async with running_desk(config) as desk:
        session = desk.registry.current(age_s=AGE_S)
        session.log.emit(an_event(EventType.CHANNEL_OPENED, "C01", label="Tower", start_ms=0))
        for from_ms, to_ms, state in (
            (0, 60_000, "silence"),
            (60_000, 70_000, "transcribed"),
            (70_000, 72_000, "lost"),
            (72_000, 90_000, "silence"),
            (90_000, 94_000, "transcribed"),
        ):
            session.log.emit(an_event(EventType.COVERAGE, "C01", from_ms=from_ms, to_ms=to_ms, state=state))
        for number, (text, start_ms, end_ms) in enumerate(
            (("proceed to gate seven", 60_000, 70_000), ("copied", 90_000, 94_000)), 1
        ):
            fields = {"utterance": f"u_{number}", "segment": f"g_{number}", "text": text}
            times = {"start_ms": start_ms, "end_ms": end_ms}
            session.log.emit(an_event(EventType.SEGMENT_FINAL, "C01", **fields, **times))
        archive = desk.app[ARCHIVE].archive
        assert archive is not None
        for channel in ("C01", "C02"):
            kept = archive.of_channel(session.id, channel)
            for ms in range(60_000, 72_000, 20):
                kept.archive_packet(OpusPacket(ms * SAMPLES_PER_MS, 20 * SAMPLES_PER_MS, b"\xf8\xff\xfe"))
        await a_dead_channel(desk)
        await desk.written()
        yield desk


async def a_dead_channel(desk: Desk) -> None:
    async def end(reason: str) -> int:
        return await channel.close(reason)

    connection = desk.registry.connect(desk.session, DoorKind.WEBRTC, [ChannelSpec("C02", "Ramp")], end)
    channel = connection.channels[0]
    channel.open()
    now_ms = int(time.time() * 1000) // POINT_MS * POINT_MS
    points = [UsualPoint("C02", "Ramp", now_ms - n * POINT_MS, 40, 900, 0.9, -50) for n in range(1, 30)]
    await desk.app[RECORD].store.write(lambda c: usual.put(c, points, 0))
    await desk.app[USUAL].load()
    for _ in range(15):
        channel.feed(Block(channel.session.now_sample(), np.zeros(6400, np.float32)))
        await desk.app[USUAL].read()


async def a_page(browser: Browser, desk: Desk, **options: object) -> Page:
    context = await browser.new_context(**{"viewport": DESKTOP, "locale": "en-GB", **options})  # type: ignore[arg-type]
    page = await context.new_page()
    await page.goto(f"{desk.url}/desk")
    await page.wait_for_selector("html[data-ready]", state="attached")
    return page


async def point_at(page: Page, time_s: float, row: float) -> None:
    """Point at a place of the picture. time_s: of the session; row: number of the lane.

    The picture ends at "now", so it moves while the test runs: the place is computed each time anew.
    """
    share = await page.locator("#timeline").evaluate(
        "({ range }, ms) => (ms - range.fromMs) / range.lengthMs", time_s * 1000
    )
    box = await page.locator(".tl-picture").bounding_box()
    lane = await page.locator(".tl-name").first.bounding_box()
    assert box is not None and lane is not None
    await page.mouse.move(box["x"] + box["width"] * share, lane["y"] + lane["height"] * (row + 0.5), steps=2)


async def test_the_timeline_is_read_selected_exported_and_opened(browser: Browser, desk: Desk) -> None:
    page = await a_page(browser, desk)
    await expect(page.locator("#alerts")).to_be_hidden()  # there is no rule, so there is nothing to say
    await page.keyboard.press("t")
    picture = page.locator(".tl-picture")
    await expect(picture).to_be_focused()
    await page.locator(".tl-length").select_option("300000")
    await expect(picture).to_have_attribute("aria-valuetext", re.compile("C01 Tower, "), timeout=BUSY_BOX_MS)
    # 61 s of 60 to 70 s: the picture may move for some seconds between the computation and the mouse.
    await point_at(page, 61, 0)
    await expect(page.locator(".tl-tip .tl-text")).to_have_text("proceed to gate seven", timeout=BUSY_BOX_MS)
    await page.mouse.down()
    await point_at(page, 85, 1)
    await page.mouse.up()
    await expect(page.locator(".tl-selected")).to_contain_text("C01–C02")
    await expect(page.locator(".tl-play")).to_have_text("Play together")
    await expect(page.locator(".tl-turn")).to_have_text("In turn")
    await expect_clean(page)
    await page.locator(".tl-play").click()
    await expect(page.locator("#playing-channel")).to_have_text("C01–C02")
    await until(
        lambda: page.evaluate(f"{MIX}.channels.join() === 'C01,C02' && {MIX}.audio.currentTime > 0.1"), 30.0
    )
    await page.get_by_role("button", name="Mute C01").click()
    await expect(page.get_by_role("button", name="Mute C01")).to_have_attribute("aria-pressed", "true")
    assert await page.evaluate(f"{MIX}.audio.muted")
    await page.locator(".tl-play").click()
    await until(lambda: page.evaluate(f"{MIX}.channels.length === 0 && !{MIX}.audio.muted"), 30.0)
    async with page.expect_download() as download:
        await page.locator(".tl-export").click()
    saved = await (await download.value).path()
    assert "proceed to gate seven" in await asyncio.to_thread(saved.read_text, "utf-8")
    await point_at(page, 61, 0)
    await page.mouse.down()
    await point_at(page, 64, 0)
    await page.mouse.up()
    await expect(page.locator(".tl-play")).to_have_text("Play")
    await page.keyboard.press("Space")
    await expect(page.locator("#playing-channel")).to_have_text("C01 Tower")
    await until(lambda: page.evaluate("document.querySelector('#audio').currentTime > 0.1"), 30.0)
    await expect(page.locator(".tl-play")).to_have_text("Stop")
    await page.keyboard.press("Space")
    await expect(page.locator("#player")).to_be_hidden()
    await point_at(page, 61, 0)
    await page.mouse.down()
    await page.mouse.up()
    await expect(page.locator("#focus-name")).to_have_text("C01 Tower")
    assert await page.evaluate("location.hash") == "#g_1"


@pytest.mark.parametrize(("locale", "word"), [("en-GB", "not said"), ("ko-KR", "없던 말")])
async def test_a_line_that_nobody_said_is_struck_through(
    browser: Browser, desk: Desk, locale: str, word: str
) -> None:
    page = await a_page(browser, desk, locale=locale)
    await page.keyboard.press("t")
    await page.locator(".tl-length").select_option("60000")
    await page.locator("#timeline").evaluate("(timeline) => timeline.panTo(50_000)")  # then it stays there
    path = f"{desk.url}/api/sessions/{desk.registry.current().id}/segments/g_1/marks/not_said"
    for is_set in (True, False):
        async with desk.client.put(path, json={"is_set": is_set}) as response:
            assert response.status == 200
        await until(lambda is_set=is_set: is_struck(page, is_set), BUSY_BOX_MS / 1000)  # type: ignore[misc]
        await point_at(page, 62, 0)
        await point_at(page, 65, 0)
        text = page.locator(".tl-tip .tl-text")
        await expect(text).to_have_text("proceed to gate seven", timeout=BUSY_BOX_MS)
        await expect(text).to_have_css("text-decoration-line", "line-through" if is_set else "none")
        await expect(page.locator(".tl-tip em")).to_have_text(word if is_set else "")
    await page.context.close()


async def is_struck(page: Page, wanted: bool) -> bool:
    """Whether the words of the first lane are drawn, and struck through or not, as wanted."""
    drawn = await page.evaluate(DRAWN)
    return bool(drawn["words"] > 20 and (drawn["bar"] > 60) == wanted)


async def test_the_keyboard_selects_and_the_phone_shows_the_lanes_in_korean(
    browser: Browser, desk: Desk
) -> None:
    page = await a_page(browser, desk, viewport=PHONE, locale="ko-KR")
    await page.keyboard.press("1")
    await page.keyboard.press("t")
    picture = page.locator(".tl-picture")
    await expect(picture).to_have_attribute("aria-valuetext", re.compile("C01 Tower, "), timeout=BUSY_BOX_MS)
    await page.keyboard.press("-")
    await expect(page.locator(".tl-length")).to_have_value("1800000")
    await page.keyboard.press("b")
    await page.keyboard.press("ArrowLeft")
    await page.keyboard.press("b")
    await expect(page.locator(".tl-selected")).to_contain_text("C01 · ")
    await page.keyboard.press("Shift+ArrowDown")
    await expect(page.locator(".tl-selected")).to_contain_text("C01–C02 · ")
    await expect(page.locator(".tl-play")).to_have_text("함께 재생")
    await expect_clean(page)
    assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    await page.keyboard.press("Escape")
    await expect(page.locator(".tl-tools")).to_be_hidden()
    assert await page.evaluate(PINCH) == pytest.approx([900_000, 900_000], rel=0.01)
    await expect(page.locator(".tl-length")).to_have_value("900000")
    await expect(page.locator(".tl-tools")).to_be_hidden()
    await page.keyboard.press("2")
    level = page.locator("#focus-usual li").nth(3)
    await expect(level).to_have_attribute("data-verdict", "low", timeout=BUSY_BOX_MS)
    await expect(level.locator("b")).to_have_text("-90 dB")
    await expect(page.locator("#focus-usual li").nth(1)).to_have_attribute("data-verdict", "")
