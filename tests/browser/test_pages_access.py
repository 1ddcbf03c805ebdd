"""Both pages for everybody: clean for axe, by keyboard alone, in two languages, on small screens, offline."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Page, ViewportSize, expect

from tests.browser.axe import expect_clean
from tests.browser.conftest import DESKTOP, PHONE, OpenPage
from tests.browser.stub import DEMO, READY, STARTER, StubServer
from webrtc_host.http.pages import NAMED

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

WIDTHS = (320, 390, 768, 941, 1920)


async def talk(page: Page, stub: StubServer) -> None:
    await page.click("#go")
    await stub.data_channel_opened()
    edits = [{"from": "alpha one", "to": "Alpha-1", "term": "Alpha-1", "kind": "alias"}]
    words = [{"text": "seven", "start_ms": 1, "end_ms": 2, "p": 0.2}]
    stub.final("Alpha-1 proceed to gate seven", 1000, 2000, edits=edits, words=words)
    stub.say("coverage", channel="C01", from_ms=2000, to_ms=4000, state="lost", reason="network")
    fields = {
        "channel": "C01",
        "utterance": "u_2",
        "revision": 1,
        "stable_chars": 5,
        "start_ms": 4000,
        "end_ms": 5000,
    }
    stub.say("segment.interim", text="alpha one say again", **fields)
    await expect(page.locator("#interim .steady")).to_have_text("alpha")


@pytest.mark.parametrize(
    ("viewport", "locale", "scheme"), [(PHONE, "ko-KR", "dark"), (DESKTOP, "en-GB", "light")]
)
async def test_the_microphone_page_is_axe_clean_idle_talking_and_in_error(
    open_page: OpenPage, stub: StubServer, scheme: str, viewport: ViewportSize, locale: str
) -> None:
    stub.ready = STARTER
    page = await open_page(color_scheme=scheme, viewport=viewport, locale=locale)
    await expect(page.locator(".banner.starter")).to_be_visible()
    await expect_clean(page)
    await talk(page, stub)
    await expect_clean(page)
    await page.click("#go")
    await expect(page.locator("#go")).to_be_enabled()
    stub.refusal = (429, "no channel is free", {})
    await page.click("#go")
    await expect(page.locator("#notice")).to_be_visible()
    await expect_clean(page)


@pytest.mark.parametrize("scheme", ["dark", "light"])
async def test_the_watching_page_is_axe_clean(open_page: OpenPage, stub: StubServer, scheme: str) -> None:
    stub.ready = STARTER
    page = await open_page("/watch", color_scheme=scheme)
    await expect_clean(page)
    states = ("talking", "behind", "no_signal", "disconnected", "idle")
    for i, state in enumerate(states, start=1):
        stub.final(f"line {i}", i * 1000, i * 1000 + 500, channel=f"C0{i}")
        stub.say("channel.state", channel=f"C0{i}", state=state)
    await expect(page.locator("#channels button")).to_have_count(len(states) + 1)
    await expect_clean(page)


async def test_the_question_for_the_token_is_axe_clean(open_page: OpenPage, stub: StubServer) -> None:
    stub.token = "open-sesame"
    page = await open_page()
    await page.click("#go")
    await expect(page.locator("#token")).to_be_visible()
    await expect_clean(page)


async def test_everything_is_done_with_the_keyboard_alone(open_page: OpenPage, stub: StubServer) -> None:
    page = await open_page()
    reached = []
    for _ in range(30):
        await page.keyboard.press("Tab")
        reached.append(
            await page.evaluate("((e) => e.id || e.dataset.clip || e.tagName)(document.activeElement)")
        )
    for place in ("go", "en", "ko", "log", "terms", "spoken", "echo", "noise", "gain", "language"):
        assert place in reached
    await page.focus("#go")
    await page.keyboard.press("Enter")
    await expect(page.locator("#button-text")).to_have_text("Stop")
    await page.keyboard.press("Space")
    await expect(page.locator("#button-text")).to_have_text("Start")


async def test_focus_is_visible(open_page: OpenPage) -> None:
    page = await open_page()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


@pytest.mark.parametrize("path", list(NAMED))
async def test_nothing_is_wider_than_the_screen(open_page: OpenPage, path: str) -> None:
    """In both languages. One page for all widths, because to open a page takes most of the time."""
    page = await open_page(path, viewport={"width": WIDTHS[0], "height": 800})
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": 800})
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        if await page.locator("#language").count():
            await page.click("#language")
            assert await page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP])
async def test_every_page_can_be_reached_from_every_other(
    open_page: OpenPage, viewport: ViewportSize
) -> None:
    page = await open_page(viewport=viewport)
    for path, name in (
        ("/desk", "Desk"),
        ("/watch", "Watch"),
        ("/recordings", "Recordings"),
        ("/health-page", "Health"),
        ("/reference", "Reference"),
        ("/", "Speak"),
    ):
        await page.get_by_role("navigation").get_by_role("link", name=name).click()
        await page.wait_for_selector("html[data-ready]", state="attached")
        assert urlsplit(page.url).path == path
        await expect(page.locator("nav [aria-current=page]")).to_have_text(name)


@pytest.mark.parametrize("path", list(NAMED))
async def test_targets_are_large_enough_for_a_finger(
    open_page: OpenPage, stub: StubServer, path: str
) -> None:
    stub.final("one", 1000, 2000, channel="C01")
    stub.final("two", 1000, 2000, channel="C02")
    page = await open_page(path, viewport=PHONE, has_touch=True, is_mobile=True)
    await page.wait_for_timeout(1000)
    script = """() => [...document.querySelectorAll("button, select, a:not(.skip, p a), label.switch")]
        .filter((e) => e.offsetParent !== null)
        .map((e) => [e.outerHTML.slice(0, 60), e.getBoundingClientRect().height])"""
    small = [(what, height) for what, height in await page.evaluate(script) if height < 44]
    assert small == []


async def test_the_page_speaks_both_languages_and_remembers(open_page: OpenPage, stub: StubServer) -> None:
    page = await open_page(locale="ko-KR")
    await expect(page.locator("html")).to_have_attribute("lang", "ko")
    await expect(page.locator("#button-text")).to_have_text("시작")
    await page.click("#language")
    await expect(page.locator("#button-text")).to_have_text("Start")
    await page.goto(f"{stub.url}/watch")
    await expect(page.locator("html")).to_have_attribute("lang", "en")
    await expect(page).to_have_title("Watch · host-stt")


async def test_the_two_lists_of_words_are_complete(open_page: OpenPage) -> None:
    page = await open_page()
    lists: dict[str, dict[str, str]] = await page.evaluate("async () => (await import('/i18n.js')).STRINGS")
    assert set(lists["en"]) == set(lists["ko"])
    for key, text in lists["en"].items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", lists["ko"][key])), key
    for name in ("mic.html", "watch.html", "desk.html", "recordings.html"):
        assert _keys(name) <= set(lists["en"])


@pytest.mark.parametrize("locale", ["en-US", "ko-KR"])
async def test_one_line_is_not_one_lines(open_page: OpenPage, locale: str) -> None:
    page = await open_page(locale=locale)
    say = "async ([key, n]) => (await import('/i18n.js')).t(key, { n })"
    one, two = [await page.evaluate(say, ["people.learn.times", n]) for n in (1, 2)]
    expected = {"en-US": ("in one line", "in 2 lines"), "ko-KR": ("한 줄에 나옴", "2줄에 나옴")}
    assert (one, two) == expected[locale]
    # A text without a form for one keeps its only form.
    assert "1" in await page.evaluate(say, ["tl.minutes", 1])


def _keys(name: str) -> set[str]:
    found: set[str] = set()

    class Keys(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.update(value for key, value in attrs if key.startswith("data-i18n") and value)

    Keys().feed((DEMO / name).read_text(encoding="utf-8"))
    return found


async def test_the_starter_model_is_announced_on_every_page(open_page: OpenPage, stub: StubServer) -> None:
    stub.ready = STARTER
    for path in ("/", "/watch"):
        page = await open_page(path)
        await expect(page.locator(".banner.starter")).to_contain_text("No real Whisper model is in use")
        await expect(page.locator(".banner.starter")).to_contain_text("the model hub cannot be reached")


async def test_a_server_that_is_not_ready_says_so_and_then_stops_saying_so(
    open_page: OpenPage, stub: StubServer
) -> None:
    stub.ready, stub.ready_status = {"status": "starting", "reason": "the model is loading"}, 503
    page = await open_page()
    await expect(page.locator(".banner.bad")).to_contain_text("the model is loading")
    stub.ready, stub.ready_status = READY, 200
    await expect(page.locator(".banner")).to_have_count(0)


def start_of(state: str, **more: Any) -> dict[str, Any]:
    """/ready of a server whose engine starts."""
    engine = {"is_reachable": True, "is_ready": False, "state": state, **more}
    return {"ready": False, "status": "starting", "reason": f"state {state}", "engine": engine}


@pytest.mark.parametrize("path", ["/", pytest.param("/watch", marks=pytest.mark.long)])
async def test_the_first_start_shows_how_far_the_download_of_the_model_is(
    open_page: OpenPage, stub: StubServer, path: str
) -> None:
    stub.ready_status = 503
    stub.ready = start_of("downloading", progress={"done_bytes": 43_000_000, "total_bytes": 145_217_532})
    page = await open_page(path)
    banner = page.locator(".banner.start")
    await expect(banner).to_contain_text("Downloading the speech model: 43 of 145 MB.")
    await expect(banner).to_contain_text("You can speak already")
    await expect_clean(page)
    stub.ready = start_of("downloading", progress={"done_bytes": 90_400_000, "total_bytes": 145_217_532})
    await expect(banner).to_contain_text("90 of 145 MB.")
    await page.click("#language")
    await expect(banner).to_contain_text("음성 모델을 내려받고 있습니다: 145 MB 중 90 MB.")
    await page.click("#language")
    stub.ready = start_of("downloading", progress={"done_bytes": 145_217_532, "total_bytes": 145_217_532})
    await expect(banner).to_contain_text("Verifying the speech model.")
    for state, text in (("measuring", "Measuring how fast"), ("loading", "Loading the speech model.")):
        stub.ready = start_of(state)
        await expect(banner).to_contain_text(text)
    stub.ready, stub.ready_status = READY, 200
    await expect(page.locator(".banner")).to_have_count(0)


async def test_a_model_that_cannot_be_loaded_is_an_error_with_its_reason(
    open_page: OpenPage, stub: StubServer
) -> None:
    stub.ready, stub.ready_status = start_of("failed") | {"reason": "small: the disk is full"}, 503
    page = await open_page()
    await expect(page.locator(".banner.bad")).to_contain_text("small: the disk is full")


async def test_the_pages_ask_nothing_of_other_servers(open_page: OpenPage, stub: StubServer) -> None:
    page = await open_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.reload()
    await page.click("#go")
    await stub.data_channel_opened()
    await page.goto(f"{stub.url}/watch")
    await page.wait_for_timeout(500)
    assert [url for url in asked if not url.startswith((stub.url, "blob:", "data:"))] == []
