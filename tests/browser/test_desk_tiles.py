"""Tiles and rows of the desk: whole names, figures in their place, lines in the order of their time."""

from __future__ import annotations

import pytest
from playwright.async_api import Locator, expect

from tests.browser.axe import expect_clean
from tests.browser.conftest import DESKTOP, PHONE, OpenPage
from tests.browser.stub import STARTER, StubServer
from tests.browser.test_desk import WALL, a_wall, opened

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

IS_CUT = "(node) => node.scrollWidth > node.clientWidth"


async def is_cut(node: Locator) -> bool:
    return bool(await node.evaluate(IS_CUT))


@pytest.mark.parametrize("size", [WALL, DESKTOP], ids=["wall", "laptop"])
async def test_the_name_is_whole_and_the_meter_stays_in_every_state(
    open_page: OpenPage, stub: StubServer, size: dict[str, int]
) -> None:
    page = await open_page("/desk", viewport=size)
    await expect(page.locator("#live")).to_have_attribute("data-state", "live")
    await page.keyboard.press("w")
    opened(stub, "C02", "North gate")
    tile = page.locator("#tile-C02")
    word, name, meter = tile.locator(".state em"), tile.locator(".name"), tile.locator(".meter")
    await expect(word).to_have_text("Idle")
    place = await meter.bounding_box()
    stub.say("channel.state", channel="C02", state="talking", at_ms=900)
    await expect(word).to_have_text("Talking")
    assert not await is_cut(name)
    assert await meter.bounding_box() == place
    stub.say("channel.state", channel="C02", state="idle", at_ms=1900)
    await expect(word).to_have_text("Just now")
    assert not await is_cut(name)
    assert await meter.bounding_box() == place
    stub.say("speech.ended", channel="C02", utterance="u_1", start_ms=0, end_ms=1900, rule="silence")
    await expect(word).to_have_text("Text follows")
    await expect(tile.locator(".ago")).to_have_text("2 s")  # from 2 s on, at the end of the row
    await expect(tile.locator(".ago")).to_be_in_viewport(ratio=1)
    assert not await is_cut(name)


async def test_sound_without_words_is_not_waited_for(open_page: OpenPage, stub: StubServer) -> None:
    """A click or a cough gets no final. The coverage says that its audio was read."""
    page = await a_wall(open_page)
    for channel in ("C01", "C02", "C03"):
        opened(stub, channel)
    noise = {"utterance": "u_1", "start_ms": 1000, "end_ms": 1384, "rule": "hangover"}
    covered = {"from_ms": 1000, "to_ms": 1384, "state": "transcribed"}
    stub.say("speech.ended", channel="C01", **noise)
    stub.say("coverage", channel="C01", **covered)
    stub.say("coverage", channel="C02", **covered)
    stub.say("speech.ended", channel="C02", **noise)
    stub.say("coverage", channel="C03", from_ms=0, to_ms=1000, state="silence")
    stub.say("speech.ended", channel="C03", **noise)
    await expect(page.locator("#tile-C03 .state em")).to_have_text("Text follows")
    await expect(page.locator("#tile-C01 .state em")).to_have_text("Just now")
    await expect(page.locator("#tile-C02 .state em")).to_have_text("Just now")


async def test_a_line_that_comes_late_stands_at_its_time_in_its_channel(
    open_page: OpenPage, stub: StubServer
) -> None:
    page = await a_wall(open_page)
    opened(stub, "C01")
    for text, at_ms, channel in (("one", 0, "C01"), ("three", 9000, "C01"), ("other", 4000, "C02")):
        stub.final(text, at_ms, at_ms + 900, channel=channel)
    stub.final("two", 5000, 5900, channel="C01")
    rows = page.locator("#tile-C01 .line p")
    await expect(rows).to_have_text(["one", "two", "three"])
    await page.keyboard.press("1")
    await expect(page.locator("#focus-log .line p")).to_have_text(["one", "two", "three"])
    await expect(page.locator("desk-row").first.locator(".last")).to_have_text("three")
    await page.keyboard.press("o")
    # Lines of several channels are in the order of their arrival.
    await expect(page.locator("#merged-log .line p")).to_have_text(["one", "two", "three", "other"])


async def test_sixteen_rows_fit_a_laptop_also_below_a_banner(open_page: OpenPage, stub: StubServer) -> None:
    stub.ready = STARTER
    page = await open_page("/desk", viewport=DESKTOP)
    await expect(page.locator(".banner.starter")).to_be_visible()
    for number in range(1, 17):
        opened(stub, f"C{number:02}", "North gate")
        stub.final("the gate is closed", 0, 900, channel=f"C{number:02}")
    rows = page.locator("desk-row")
    await expect(rows.last.locator(".last")).to_have_text("the gate is closed")
    await expect(rows.last).to_be_in_viewport(ratio=1)
    assert await page.locator("#list").evaluate("(list) => list.scrollHeight <= list.clientHeight")
    edges = await rows.evaluate_all(
        "(rows) => rows.map((row) => [row.querySelector('.last').getBoundingClientRect().bottom,"
        " row.getBoundingClientRect().bottom])"
    )
    assert all(text <= row for text, row in edges), "no text is cut at the end of its row"


async def test_a_phone_has_room_for_the_text_of_a_channel(open_page: OpenPage, stub: StubServer) -> None:
    stub.ready = STARTER
    page = await open_page("/desk", viewport=PHONE)
    await expect(page.locator(".banner.starter")).to_be_visible()
    opened(stub, "C03", "South gate")
    stub.final("send a medic to the car park", 0, 900, channel="C03")
    await page.keyboard.press("3")
    await expect(page.locator("#focus-log .line p")).to_be_visible()
    box = await page.locator("#focus-log").bounding_box()
    assert box is not None
    assert box["height"] >= PHONE["height"] / 4


async def test_a_gap_says_its_reason_once_and_in_words(open_page: OpenPage, stub: StubServer) -> None:
    page = await a_wall(open_page)
    opened(stub, "C01")
    stub.say("coverage", channel="C01", from_ms=0, to_ms=1200, state="shed", reason="too_slow")
    gap = page.locator("#tile-C01 .gap p")
    await expect(gap).to_have_text("1.2 s skipped, the server was too slow", use_inner_text=True)


async def test_the_wall_fits_a_laptop_also_with_the_strip_of_alerts(
    open_page: OpenPage, stub: StubServer
) -> None:
    page = await open_page("/desk", viewport=DESKTOP)
    await page.evaluate("localStorage.setItem('host-stt.has-alert-rules', 'yes')")
    await page.keyboard.press("w")
    stub.say(
        "alert.raised",
        channel="C01",
        alert="a_1",
        rule="fire",
        level="warning",
        cause="terms",
        matched="fire",
    )
    await expect(page.locator("#alerts .acknowledge")).to_be_visible()
    await expect(page.locator("#alerts")).not_to_have_class("alerts over")
    assert await page.locator("#wall").evaluate("(wall) => wall.scrollHeight <= wall.clientHeight")


async def test_a_row_of_the_list_says_a_failure_in_a_word(open_page: OpenPage, stub: StubServer) -> None:
    page = await open_page("/desk", viewport=DESKTOP)
    await expect(page.locator("#live")).to_have_attribute("data-state", "live")
    for number, state in enumerate(("no_signal", "disconnected", "behind", "talking"), 1):
        opened(stub, f"C0{number}", "North gate")
        stub.say("channel.state", channel=f"C0{number}", state=state, reason="x", at_ms=900)
    rows = page.locator("desk-row")
    for row, word in enumerate(("No signal", "Disconnected", "Behind")):
        place = rows.nth(row).locator(".word")
        await expect(place).to_have_text(word)
        box, name = await place.bounding_box(), await rows.nth(row).locator(".name").bounding_box()
        assert box is not None and name is not None
        assert box["width"] > 30 and box["x"] >= name["x"] + name["width"]
        await expect(rows.nth(row).locator(".meter")).to_be_hidden()
    await expect(rows.nth(3).locator(".meter")).to_be_visible()
    await expect(rows.nth(3).locator(".word")).to_have_class("word hidden")
    await expect_clean(page)
