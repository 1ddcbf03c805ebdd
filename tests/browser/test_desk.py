"""The desk: places, states, text, views, keys, search and listening; with the stand-in server."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.async_api import Page, Route, expect

from tests.browser.axe import expect_clean
from tests.browser.conftest import PHONE, OpenPage
from tests.browser.stub import READY, StubServer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

WALL = {"width": 1920, "height": 1080}


def opened(stub: StubServer, channel: str, label: str = "") -> None:
    stub.say("channel.opened", channel=channel, connection="c_1", label=label or channel, language="en")


async def a_wall(open_page: OpenPage, path: str = "/desk") -> Page:
    page = await open_page(path, viewport=WALL)
    await expect(page.locator("#live")).to_have_attribute("data-state", "live")
    return page


async def test_the_wall_has_sixteen_places_that_never_move(open_page: OpenPage, stub: StubServer) -> None:
    engine = {**READY["engine"], "queue": {"worst_ms": 240}}
    stub.ready = {**READY, "engine": engine}
    page = await a_wall(open_page)
    load = page.locator("#engine-load span")
    await expect(load).to_have_text(["queue 0.2 s", ""])
    names = page.locator("desk-tile h2 b")
    await expect(names).to_have_text([f"C{n:02}" for n in range(1, 17)])
    boxes = (
        "[...document.querySelectorAll('desk-tile')].map((e) => JSON.stringify(e.getBoundingClientRect()))"
    )
    before = await page.evaluate(boxes)
    place = await load.first.bounding_box()
    stub.ready = {**READY, "engine": {**engine, "queue": {"worst_ms": 12_400}}}
    opened(stub, "C07", "Medic")
    stub.say("channel.state", channel="C07", state="talking", at_ms=900)
    stub.final(
        "a long line of text that certainly needs more than one row of this tile " * 4,
        1000,
        2000,
        channel="C07",
    )
    await expect(page.locator("#tile-C07 .line")).to_be_visible()
    await expect(load.first).to_have_text("queue 12.4 s", timeout=30_000)
    await expect(page.locator("#clock")).not_to_be_empty()
    assert await load.first.bounding_box() == place
    widths = "[clock.offsetWidth, (clock.textContent = '', clock.offsetWidth)]"
    with_time, without = await page.evaluate(widths)
    assert with_time == without > 0, "the clock keeps its place while the time is not known"
    assert await page.evaluate(boxes) == before
    stub.ready = {**READY, "engine": {**engine, "gpu_loads": [7, 43]}}
    await expect(load.last).to_have_text("GPU 43 %", timeout=30_000)
    assert await page.evaluate("document.documentElement.scrollHeight") <= 1080
    size = await page.evaluate("getComputedStyle(document.querySelector('#tile-C07 .line')).fontSize")
    assert 14 < float(size.removesuffix("px")) <= 21, "the text is as large as the tile allows"
    edge = await page.evaluate("getComputedStyle(document.querySelector('#tile-C08')).borderTopStyle")
    assert edge == "solid"


async def test_a_tile_shows_state_name_lines_and_the_interim(open_page: OpenPage, stub: StubServer) -> None:
    page = await a_wall(open_page)
    tile = page.locator("#tile-C03")
    await expect(tile.locator(".state em")).to_have_text("Not used")
    opened(stub, "C03", "Tower")
    await expect(tile.locator(".name")).to_have_text("Tower")
    meter = tile.locator(".meter")
    place = await meter.bounding_box()
    stub.say("channel.state", channel="C03", state="talking", at_ms=900)
    stub.say(
        "segment.interim",
        channel="C03",
        utterance="u_1",
        revision=1,
        start_ms=0,
        end_ms=900,
        text="alpha one pro",
        stable_chars=9,
        language="en",
    )
    await expect(tile.locator(".state em")).to_have_text("Talking")
    await expect(tile.locator(".interim")).to_contain_text("alpha one pro")
    await expect(tile.locator(".interim .steady")).to_have_text("alpha one")
    stub.say("channel.state", channel="C03", state="idle", at_ms=2000)
    stub.say("speech.ended", channel="C03", utterance="u_1", start_ms=0, end_ms=1900, rule="silence")
    await expect(tile.locator(".state em")).to_have_text("Text follows")
    assert await meter.bounding_box() == place, "no word in front of the meter moves it"
    talkers = [{"id": 4501, "start_ms": 0, "label": "Engine 5"}, {"id": 7, "start_ms": 900}]
    said = {"channel": "C03", "utterance": "u_1", "conf": -0.2, "latency_ms": 840, "talkers": talkers}
    stub.final("Alpha one, proceed.", 0, 1900, **said)
    await expect(tile.locator(".line")).to_contain_text("Alpha one, proceed.")
    await expect(tile.locator(".line time")).to_have_text("00:00.000")
    await expect(tile.locator(".interim")).to_have_text("")
    await expect(tile.locator("footer .talker")).to_have_text("Engine 5, radio 7")
    await expect(tile.get_by_role("img", name="confidence 82 %")).to_be_visible()
    await expect(tile.locator("footer .delay")).to_have_text("lag 0.8 s")


async def test_a_loss_is_louder_than_everything_else(open_page: OpenPage, stub: StubServer) -> None:
    page = await a_wall(open_page)
    opened(stub, "C02")
    stub.say("channel.state", channel="C02", state="talking", at_ms=900)
    stub.say("coverage", channel="C02", from_ms=1000, to_ms=3400, state="lost", reason="network")
    tile = page.locator("#tile-C02")
    await expect(tile.locator(".state em")).to_have_text("2.4 s lost")
    opened(stub, "C03")
    stub.say("coverage", channel="C03", from_ms=1000, to_ms=1020, state="lost", reason="network")
    await expect(page.locator("#tile-C03 .state em")).to_have_text("< 0.1 s lost")
    await expect(tile.locator(".gap")).to_contain_text("2.4 s")
    await expect(page.locator("#counts")).to_contain_text("2.4 s lost in 10 min")
    stub.say("coverage", channel="C02", from_ms=4000, to_ms=5200, state="failed", reason="behind")
    gap = tile.locator(".gap p").nth(1)
    await expect(gap).to_have_text(
        "1.2 s could not be transcribed · server busy", use_inner_text=True
    )  # the time is at the beginning of the row
    await expect(gap).to_have_text("1.2 s could not be transcribed (00:04.000–00:05.200) · server busy")


@pytest.mark.parametrize("size", [WALL, {"width": 1366, "height": 768}], ids=["wall", "laptop"])
async def test_the_bar_stays_one_row_and_its_counts_are_whole(
    open_page: OpenPage, stub: StubServer, size: dict[str, int]
) -> None:
    page = await open_page("/desk", viewport=size)
    await expect(page.locator("#live")).to_have_attribute("data-state", "live")
    bar = page.locator(".deskbar")
    before = await bar.bounding_box()
    for number in range(1, 17):
        opened(stub, f"C{number:02}")
        state = ("talking", "behind", "no_signal")[number % 3]
        stub.say("channel.state", channel=f"C{number:02}", state=state, reason="x", at_ms=900)
    stub.say("coverage", channel="C02", from_ms=1000, to_ms=134_500, state="lost", reason="network")
    stub.final("late", 0, 900, channel="C12", latency_ms=27_700)
    parts = page.locator("#counts span")
    await expect(parts).to_have_count(5)
    await expect(parts.first).to_have_text("133.5 s lost in 10 min")
    await expect(page.locator("#counts")).to_have_attribute("title", re.compile("5 talking.*27.7 s"))
    assert await bar.bounding_box() == before
    await page.keyboard.press("c")
    await expect(page.locator("#list .row").last).to_be_in_viewport(ratio=1)


async def test_a_channel_without_signal_is_said_in_words(open_page: OpenPage, stub: StubServer) -> None:
    page = await a_wall(open_page)
    opened(stub, "C05")
    stub.say("channel.state", channel="C05", state="no_signal", reason="no_packets", at_ms=900)
    await expect(page.locator("#tile-C05 .state em")).to_have_text("No signal")
    await expect(page.locator("#counts")).to_contain_text("1 without signal")


async def test_a_channel_opens_by_click_by_number_and_by_keys(open_page: OpenPage, stub: StubServer) -> None:
    page = await a_wall(open_page)
    opened(stub, "C02", "Gate")
    stub.final("the second channel", 0, 900, channel="C02")
    stub.final("the twelfth channel", 0, 900, channel="C12")
    await page.locator("#tile-C02 header").click()
    await expect(page.locator("#focus-name")).to_have_text("C02 Gate")
    await expect(page.locator("#focus-log .line p")).to_have_text("the second channel")
    await page.keyboard.press("Alt+2")
    await expect(page.locator("#focus-log .line p")).to_have_text("the twelfth channel")
    await page.keyboard.press("Escape")
    await expect(page.locator("#wall")).to_be_visible()
    await page.keyboard.press("ArrowLeft")
    await page.keyboard.press("ArrowUp")
    await page.keyboard.press("Enter")
    await expect(page.locator("#focus-name")).to_have_text("C07")


async def test_new_lines_of_other_channels_are_counted(open_page: OpenPage, stub: StubServer) -> None:
    page = await open_page("/desk")  # 1366 px: the list and one channel
    await expect(page.locator("#list")).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollHeight") <= 768
    stub.final("one", 0, 900, channel="C04")
    stub.final("two", 1000, 1900, channel="C04")
    row = page.locator("desk-row").nth(3)
    await expect(row.locator(".unread")).to_have_text("2")
    await expect(row.locator(".last")).to_have_text("two")
    await page.keyboard.press("4")
    await expect(row.locator(".unread")).to_have_text("")
    await expect(page.locator("#focus-log .line p")).to_have_count(2)


async def test_the_text_of_all_channels_is_one_list_that_can_be_filtered(
    open_page: OpenPage, stub: StubServer
) -> None:
    page = await a_wall(open_page)
    for channel, text in (("C01", "first"), ("C02", "second"), ("C01", "third")):
        opened(stub, channel)
        stub.final(text, 0, 900, channel=channel, utterance=f"u_{text}")
    await page.keyboard.press("o")
    lines = page.locator("#merged-log .line p")
    await expect(lines).to_have_text(["first", "second", "third"])
    await page.locator("#merged-channels button", has_text="C02").click()
    await expect(lines).to_have_text(["second"])
    stub.final("fourth", 3000, 3900, channel="C02", utterance="u_4")
    stub.final("fifth", 3000, 3900, channel="C01", utterance="u_5")
    await expect(lines).to_have_text(["second", "fourth"])


async def test_levels_move_the_meters(open_page: OpenPage, stub: StubServer) -> None:
    page = await a_wall(open_page)
    opened(stub, "C01")
    await expect(page.locator("#tile-C01 .state em")).to_have_text("Idle")
    stub.say("levels", levels={"C01": [-20.0, -5.0]}, at_ms=10)
    await expect(page.locator("#tile-C01 .meter")).to_have_attribute("data-drawn", "8 11 ")
    await expect(page.locator("#tile-C01 .meter")).to_have_attribute("data-drawn", "0 0 ")
    stub.say("channel.state", channel="C01", state="talking", at_ms=900)
    stub.say("levels", levels={"C01": [-10.0, -0.2]}, at_ms=1000)
    await expect(page.locator("#tile-C01 .ago")).to_have_text("too loud")


async def test_keys_can_be_changed_and_are_off_while_typing(open_page: OpenPage, stub: StubServer) -> None:
    page = await a_wall(open_page)
    await page.keyboard.press("?")
    await page.get_by_role("button", name="All text: O").click()
    await page.keyboard.press("b")
    await expect(page.get_by_role("button", name="All text: B")).to_be_visible()
    await page.locator("#keys-close").click()
    await page.keyboard.press("b")
    await expect(page.locator("#merged")).to_be_visible()
    await page.keyboard.press("/")
    await page.keyboard.type("bravo w")
    await expect(page.locator("#query")).to_have_value("bravo w")
    await page.reload()
    await page.wait_for_selector("html[data-ready]", state="attached")
    await page.keyboard.press("b")
    await expect(page.locator("#merged")).to_be_visible()


async def test_the_desk_speaks_korean(open_page: OpenPage, stub: StubServer) -> None:
    page = await open_page("/desk", viewport=WALL, locale="ko-KR")
    await expect(page.get_by_role("button", name="통합 기록")).to_be_visible()
    await expect(page.locator("#tile-C01 .state em")).to_have_text("미사용")
    await page.keyboard.press("l")
    await expect(page.locator("#tile-C01 .state em")).to_have_text("Not used")


async def test_after_a_broken_connection_nothing_is_missing_or_doubled(
    open_page: OpenPage, stub: StubServer
) -> None:
    page = await a_wall(open_page)
    stub.final("one", 0, 900, utterance="u_1")
    await expect(page.locator("#tile-C01 .line")).to_have_count(1)
    await stub.drop_watchers()
    stub.final("two", 1000, 1900, utterance="u_2")
    await expect(page.locator("#tile-C01 .line")).to_have_count(2)
    texts = await page.locator("#tile-C01 .line").all_inner_texts()
    assert [text.split()[-1] for text in texts] == ["one", "two"]


SPOKE_MS = 100_000


async def test_the_strip_opens_what_was_said_and_the_display_is_chosen(
    open_page: OpenPage, stub: StubServer
) -> None:
    page = await a_wall(open_page)
    opened(stub, "C06", "Ramp")
    stub.final("a long report", 0, SPOKE_MS, channel="C06")
    await expect(page.locator("#tile-C06 .line")).to_be_visible()
    size = "parseFloat(getComputedStyle(document.querySelector('#tile-C06 .line')).fontSize)"
    before = await page.evaluate(size)
    await page.keyboard.press("q")
    await page.locator("#display-size").fill("150")
    await page.locator("#display select[name=theme]").select_option("black")
    assert await page.evaluate(size) == pytest.approx(before * 1.5, rel=0.01)
    await expect_clean(page)
    await page.keyboard.press("Escape")
    await page.reload()
    await expect(page.locator("#tile-C06 .line")).to_be_visible()
    assert await page.evaluate(size) == pytest.approx(before * 1.5, rel=0.01)
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(0, 0, 0)"
    box = await page.locator("desk-strip").bounding_box()
    assert box is not None and box["y"] + box["height"] <= WALL["height"]
    # C06 is the second of four in the second of four rows. Its lane shows five minutes; it spoke for 100 s,
    # and this place is 80 s before its end.
    lane = {"x": box["width"] * 0.5 - 130, "y": box["height"] * 0.375}
    await page.locator("desk-strip canvas").hover(position=lane)  # type: ignore[arg-type]
    await expect(page.locator(".strip-tip")).to_contain_text("C06 Ramp")
    await expect(page.locator(".strip-tip span")).to_have_text("a long report")
    await page.locator("desk-strip canvas").click(position=lane)  # type: ignore[arg-type]
    await expect(page.locator("#focus-name")).to_have_text("C06 Ramp")
    assert await page.evaluate("location.hash") == f"#g_{len(stub.events) - 1}"


async def test_the_bar_of_a_phone_has_two_rows_and_a_menu(open_page: OpenPage, stub: StubServer) -> None:
    page = await open_page("/desk", viewport=PHONE, locale="ko-KR")
    box = await page.locator(".deskbar").bounding_box()
    assert box is not None and box["height"] <= 112
    assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    await expect(page.locator("#summarize")).to_be_hidden()
    await page.locator("#more").click()
    await expect(page.locator("#summarize")).to_be_visible()
    await expect_clean(page)
    await page.keyboard.press("Escape")
    await expect(page.locator("#summarize")).to_be_hidden()
    await page.locator("#more").click()
    await page.locator("#help").click()
    await expect(page.locator("#keys")).to_be_visible()
    await expect(page.locator("#summarize")).to_be_hidden()


FOUND: dict[str, Any] = {
    "hits": [],
    "next_before": None,
    "summaries": [
        {
            **{"kind": "summary", "session": "s_stub", "summary": "y_1", "channel": "C02"},
            **{"title": "Fuel", "text": "The truck is late.", "from_ms": 60_000, "to_ms": 120_000},
        }
    ],
}
STORED: dict[str, Any] = {
    **{"session": "s_stub", "summary": "y_1", "channel": "C02", "status": "failed", "error": "no model"},
    "content": None,
}


async def test_the_search_by_meaning_shows_summaries(open_page: OpenPage, stub: StubServer) -> None:
    page = await open_page("/desk")
    asked: list[str] = []

    async def answer(route: Route) -> None:
        asked.append(route.request.url)
        body = STORED if "/summaries/" in route.request.url else FOUND
        await route.fulfill(body=json.dumps(body), content_type="application/json")

    await page.route("**/api/search?*", answer)
    await page.route("**/api/sessions/s_stub/summaries/*", answer)
    await page.keyboard.press("/")
    await page.locator("#query").fill("delayed fuel")
    await page.locator("#by").select_option("meaning")
    await page.locator(".finder summary").click()
    await page.locator("#term").fill("Alpha-1")
    await page.locator("#search button").click()
    await expect(page.locator("#found")).to_have_text("1 summary · 0 lines, nearest first")
    assert "mode=meaning" in asked[0] and "term=Alpha-1" in asked[0]
    hit = page.locator(".hit.summary")
    await expect(hit).to_have_text("01:00 – 02:00Summary C02Fuel. The truck is late.")
    await hit.click()
    await expect(page.locator("#summary .status")).to_contain_text("no model")
    assert asked[1].endswith("/api/sessions/s_stub/summaries/y_1")
