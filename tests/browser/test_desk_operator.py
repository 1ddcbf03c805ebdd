"""What an operator meets: the word that is heard, quick searches, a role that is too low, very long names."""

from __future__ import annotations

import io
import json
import wave
from typing import Any

import pytest
from playwright.async_api import Route, expect

from tests.browser.axe import expect_clean
from tests.browser.conftest import DESKTOP, PHONE, OpenPage
from tests.browser.stub import WALL as WALL_TIME
from tests.browser.stub import StubServer
from tests.browser.test_desk import WALL, a_wall, opened
from tests.support.polling import until

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

HEARD = "[...(CSS.highlights.get('heard') ?? [])].map((range) => range.toString())"


def silence_wav(seconds: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(bytes(16_000 * seconds))
    return file.getvalue()


async def audio(route: Route) -> None:
    await route.fulfill(body=silence_wav(8), content_type="audio/wav")


async def test_the_word_that_is_heard_is_marked_in_the_line_and_in_the_player(
    open_page: OpenPage, stub: StubServer
) -> None:
    page = await a_wall(open_page)

    await page.route("**/api/segments/*/audio*", audio)
    opened(stub, "C01")
    times = (("alpha", 1000), ("one", 2500), ("proceed", 60_000))
    words = [{"text": text, "start_ms": ms, "end_ms": ms + 300, "p": 0.9} for text, ms in times]
    stub.final("alpha one, proceed", 1000, 3000, words=words)
    await page.keyboard.press("1")
    await page.locator("#focus-log .segment").click()
    await until(lambda: page.evaluate(f"{HEARD}.join() === 'alpha,alpha'"), 30)
    await until(lambda: page.evaluate(f"{HEARD}.join() === 'one,one'"), 30)
    await page.locator("#close-player").click()
    await until(lambda: page.evaluate(f"{HEARD}.length === 0"), 30)


def hit(text: str) -> dict[str, Any]:
    moment = {"start_ms": 0, "end_ms": 900, "start_wall": "2026-11-21T06:10:01.234Z"}
    return {
        "segment": f"g_{text}",
        "session": "s_stub",
        "channel": "C01",
        "text": text,
        "parts": [{"text": text, "hit": True}],
        **moment,
    }


async def test_an_answer_that_comes_late_does_not_mix_into_a_newer_search(
    open_page: OpenPage, stub: StubServer
) -> None:
    page = await open_page("/desk")
    waiting: list[Route] = []

    async def answer(route: Route) -> None:
        if "q=slow" in route.request.url:
            waiting.append(route)
        else:
            await route.fulfill(body=json.dumps({"hits": [hit("fast")], "next_before": None}))

    await page.route("**/api/search?*", answer)
    await page.keyboard.press("/")
    await page.locator("#query").fill("slow")
    await page.keyboard.press("Enter")
    await until(lambda: len(waiting) == 1, 30)
    await page.locator("#query").fill("fast")
    await page.keyboard.press("Enter")
    await expect(page.locator("#hits .segment")).to_have_text(["fast"])
    async with page.expect_response("**/api/search?q=slow*") as late:
        await waiting[0].fulfill(body=json.dumps({"hits": [hit("slow")], "next_before": "g_1"}))
    await (await late.value).finished()
    await page.evaluate("new Promise((done) => setTimeout(done))")  # the page has taken the answer
    await expect(page.locator("#hits .segment")).to_have_text(["fast"])
    await expect(page.locator("#earlier")).to_be_hidden()


async def test_a_role_that_is_too_low_is_said_and_not_taken_for_a_foreign_page(
    open_page: OpenPage, stub: StubServer
) -> None:
    async def viewer(route: Route) -> None:
        await route.fulfill(body=json.dumps({"name": "kim", "role": "viewer"}))

    async def refused(route: Route) -> None:
        error = {"code": "role_too_low", "message": "this needs the role operator; your token is a viewer"}
        await route.fulfill(status=403, body=json.dumps({"error": error}))

    page = await open_page("/desk", locale="ko-KR")
    await page.route("**/api/segments/*/audio*", audio)  # a click on a line plays it
    await page.route("**/api/me", viewer)
    await page.route("**/acknowledge", refused)
    await page.reload()
    await expect(page.locator("#live")).to_have_attribute("data-state", "live")
    opened(stub, "C01")
    stub.final("alpha one", 0, 900)
    await page.keyboard.press("1")
    await page.locator("#focus-log .segment").click()
    await expect(page.locator("[data-action=edit]")).to_be_hidden()
    await page.keyboard.press("e")
    notice = page.locator("#notice")
    await expect(notice).to_contain_text("더 높은 역할이 필요합니다")
    await notice.get_by_role("button").click()
    alert = {"alert": "a_1", "rule": "fire", "level": "critical", "cause": "terms", "matched": "fire"}
    stub.say("alert.raised", channel="C01", **alert)
    await page.locator("#alerts .acknowledge").click()
    await expect(notice).to_contain_text("이 토큰으로는 할 수 없습니다")
    await expect(notice).to_contain_text("this needs the role operator")


@pytest.mark.parametrize("size", [WALL, DESKTOP, PHONE], ids=["wall", "laptop", "phone"])
async def test_a_name_of_200_characters_with_markup_is_text_and_takes_little_room(
    open_page: OpenPage, stub: StubServer, size: dict[str, int]
) -> None:
    name = f"<img src=x onerror=alert(1)> {'x' * 170}"
    page = await open_page("/desk", viewport=size)
    await expect(page.locator("#live")).to_have_attribute("data-state", "live")
    opened(stub, "C01", name)
    opened(stub, "C02", "غرفة العمليات")
    await page.keyboard.press("1")
    heading = page.locator("#focus-name")
    await expect(heading).to_have_text(f"C01 {name}")
    box = await heading.bounding_box()
    assert box is not None and box["height"] < 40, "one row; the title has all of it"
    await expect(heading).to_have_attribute("title", name)
    assert await page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    await page.keyboard.press("o")
    chip = await page.locator("#merged-channels button", has_text="C01").bounding_box()
    assert chip is not None and chip["width"] < 340


async def test_an_alert_of_a_new_rule_lies_over_the_channels_and_not_over_the_bar(
    open_page: OpenPage, stub: StubServer
) -> None:
    page = await a_wall(open_page)
    wall, bar, strip = (page.locator(one) for one in ("#wall", ".deskbar", "#alerts"))
    before = await wall.bounding_box()
    alert = {"alert": "a_1", "rule": "fire", "level": "warning", "cause": "terms", "matched": "fire"}
    stub.say("alert.raised", channel="C01", **alert)
    await expect(strip.locator(".acknowledge")).to_be_visible()
    bar_box, strip_box = await bar.bounding_box(), await strip.bounding_box()
    assert bar_box is not None and strip_box is not None
    assert strip_box["y"] >= bar_box["y"] + bar_box["height"]
    assert await wall.bounding_box() == before
    await page.locator("button[data-view=log]").click()
    await expect(page.locator("#merged")).to_be_visible()


async def test_alerts_that_are_open_at_the_start_have_their_place_above_the_channels(
    open_page: OpenPage, stub: StubServer
) -> None:
    """Also those of a rule that was removed since."""
    alert = {"alert": "a_1", "session": "s_old", "channel": "C01", "rule": "fire", "level": "warning"}
    found = {**alert, "cause": "terms", "state": "open", "matched": "fire", "raised_wall": WALL_TIME}
    page = await open_page("/desk", viewport=WALL)

    async def answer(route: Route) -> None:
        await route.fulfill(body=json.dumps({"alerts": [found]}))

    await page.route("**/api/alerts?*", answer)
    await page.reload()
    await expect(page.locator("#alerts .acknowledge")).to_be_visible()
    strip, wall = await page.locator("#alerts").bounding_box(), await page.locator("#wall").bounding_box()
    assert strip is not None and wall is not None
    assert wall["y"] >= strip["y"] + strip["height"]


async def test_all_alerts_are_acknowledged_after_a_second_press(
    open_page: OpenPage, stub: StubServer
) -> None:
    page = await a_wall(open_page)
    done: list[str] = []

    async def acknowledged(route: Route) -> None:
        done.append(route.request.url.split("/")[-2])
        await route.fulfill(body="{}")

    await page.route("**/acknowledge", acknowledged)
    for number in range(5):
        alert = {"alert": f"a_{number}", "rule": "all", "level": "warning", "cause": "pattern"}
        stub.say("alert.raised", channel="C01", matched="gate", **alert)
    button = page.locator("#alert-all")
    await expect(page.locator("#alert-more")).to_have_text("4 more")
    await expect(button).to_be_hidden()
    await page.locator("#alert-more").click()
    await button.click()
    await expect(button).to_have_text("Really all 5?")
    assert done == []
    await expect_clean(page)
    await button.click()
    await expect(page.locator("#alert-list li")).to_have_count(0)
    assert sorted(done) == [f"a_{number}" for number in range(5)]
    await expect(button).to_be_hidden()


async def test_the_keys_work_while_hangul_is_typed(open_page: OpenPage, stub: StubServer) -> None:
    """Then the browser reports a Hangul letter, or the input method: the place of the key counts."""
    page = await a_wall(open_page)

    async def press(key: str, code: str, **more: Any) -> None:
        event = {"key": key, "code": code, "bubbles": True, "cancelable": True, **more}
        await page.evaluate(
            "(event) => document.body.dispatchEvent(new KeyboardEvent('keydown', event))", event
        )

    await press("ㅐ", "KeyO")
    await expect(page.locator("#merged")).to_be_visible()
    await press("Process", "KeyW")
    await expect(page.locator("#wall")).to_be_visible()
    await press("Process", "Slash", shiftKey=True)
    await expect(page.locator("#keys")).to_be_visible()
    await page.get_by_role("button", name="All text: O").click()
    await press("ㅠ", "KeyB")
    await expect(page.get_by_role("button", name="All text: B")).to_be_visible()
    await page.locator("#keys-close").click()
    await press("ㅠ", "KeyB")
    await expect(page.locator("#merged")).to_be_visible()


async def test_a_text_is_read_by_pages_with_keys_alone(open_page: OpenPage, stub: StubServer) -> None:
    page = await open_page("/desk")
    await expect(page.locator("#live")).to_have_attribute("data-state", "live")
    for number in range(500):
        stub.final(f"line {number}", number * 1000, number * 1000 + 900)
    await page.keyboard.press("1")
    log, last = page.locator("#focus-log"), page.locator("#focus-log .line").last
    await expect(last).to_contain_text("line 499")
    await expect(last).to_be_in_viewport()
    await page.keyboard.press("PageUp")
    await page.keyboard.press("PageUp")
    await expect(last).not_to_be_in_viewport()
    place = await log.evaluate("(log) => log.scrollTop")
    for number in range(12):
        stub.final(f"new {number}", 600_000 + number * 1000, 600_900 + number * 1000)
    await expect(page.locator("#focus-more")).to_have_text("12 new ↓")
    assert await log.evaluate("(log) => log.scrollTop") == place
    await page.keyboard.press("PageDown")
    assert await log.evaluate("(log) => log.scrollTop") > place
    await page.keyboard.press("End")
    await expect(last).to_contain_text("new 11")
    await expect(last).to_be_in_viewport()
    await expect(page.locator("#focus-more")).to_be_hidden()


async def test_one_of_many_channels_is_found_by_its_initial_consonants(
    open_page: OpenPage, stub: StubServer
) -> None:
    page = await open_page("/desk", viewport={"width": 1366, "height": 768})
    await expect(page.locator("#live")).to_have_attribute("data-state", "live")
    find, rows = page.locator("#list-find"), page.locator("desk-row:visible")
    await expect(rows).to_have_count(16)
    await expect(find).to_be_hidden()
    names = ("알파원", "Gate 7", "강서 소방", "A+B (x)")
    for number, name in enumerate(names, 17):
        opened(stub, f"C{number}", name)
    await expect(find).to_be_visible()
    for typed, found in (
        ("ㅇㅍㅇ", ["C17"]),
        ("알ㅍ", ["C17"]),
        ("ㄱㅅㅅㅂ", ["C19"]),  # across the space
        ("ㄳ", ["C19"]),  # one key after the other on a Korean keyboard
        ("gate", ["C18"]),
        ("a+b (", ["C20"]),
        ("c17", ["C17"]),
        ("ㅋ", []),
    ):
        await find.fill(typed)
        await expect(rows.locator("b")).to_have_text(found)
    await find.fill("")
    await expect(rows).to_have_count(20)
    list_box = await page.locator("#list").bounding_box()
    focus_box = await page.locator("section.focus").bounding_box()
    find_box = await find.bounding_box()
    assert list_box and focus_box and find_box
    assert find_box["y"] + find_box["height"] <= list_box["y"]
    assert focus_box["y"] <= find_box["y"] and focus_box["x"] >= list_box["x"] + list_box["width"] - 1
    await expect_clean(page)
    await page.set_viewport_size(PHONE)
    await find.fill("ㅇㅍㅇ")
    await rows.first.click()
    await expect(page.locator("#focus-name")).to_contain_text("알파원")
    await expect(find).to_be_hidden()


@pytest.mark.parametrize(
    ("locale", "text"),
    [
        ("en-GB", "Your role: operator. You can read, hear, correct"),
        ("ko-KR", "내 역할: operator. 읽고 듣고"),
    ],
)
async def test_users_are_told_their_role(open_page: OpenPage, locale: str, text: str) -> None:
    async def operator(route: Route) -> None:
        await route.fulfill(body=json.dumps({"name": "kim", "role": "operator"}))

    page = await open_page("/desk", locale=locale)
    await page.route("**/api/me", operator)
    await page.reload()
    await page.keyboard.press("q")
    await expect(page.locator("#my-role")).to_contain_text(text)
    await expect_clean(page)
