"""What can go wrong before the first word: said in plain words, and the page stays usable."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.browser.chromium import FAKE_MICROPHONE, chromium, give_up_soon, page_engine
from tests.browser.conftest import OpenPage
from tests.browser.stub import StubServer

pytestmark = [pytest.mark.browser, pytest.mark.peer, pytest.mark.asyncio(loop_scope="session")]

RESOLVER = "--host-resolver-rules=MAP stt.example 127.0.0.1"


async def expect_error(page: Page, code: str, says: str) -> None:
    notice = page.locator("#notice")
    await expect(notice).to_have_attribute("data-code", code)
    await expect(notice).to_contain_text(says)
    await expect(page.locator("#button-text")).to_have_text("Start")


async def test_a_page_without_https_says_how_to_get_it(stub: StubServer) -> None:
    async with chromium(*FAKE_MICROPHONE, RESOLVER, executable=page_engine()) as browser:
        page = await browser.new_page()
        await page.goto(f"http://stt.example:{stub.port}/")
        await expect_error(page, "insecure", "--tls self-signed")
        await expect(page.locator("#notice")).to_contain_text(f"https://stt.example:{stub.port}/")


async def test_the_test_clip_works_without_https_and_without_a_microphone(stub: StubServer) -> None:
    async with chromium(RESOLVER, executable=page_engine()) as browser:
        page = await browser.new_page()
        await page.goto(f"http://stt.example:{stub.port}/")
        stub.last_words = [{"text": "alpha one proceed to gate seven over", "start_ms": 500, "end_ms": 3000}]
        await page.click("[data-clip=en]")
        await expect(page.locator("#clip-text")).to_contain_text("alpha one proceed")
        await expect(page.locator(".line p")).to_have_text("alpha one proceed to gate seven over")
        await expect(page.locator("[data-step=text]")).to_have_attribute("data-state", "done")
        assert stub.offers[0]["channels"][0]["language"] == "en"
        assert stub.deleted == ["c_1"]


async def test_a_blocked_microphone(stub: StubServer) -> None:
    async with chromium("--use-fake-device-for-media-stream", "--deny-permission-prompts") as browser:
        page = await browser.new_page()
        await page.goto(stub.url)
        await page.click("#go")
        await expect_error(page, "blocked", "Click the icon left of the address")
        await expect(page.locator("[data-step=permission]")).to_have_attribute("data-state", "failed")


async def test_no_microphone_at_all(stub: StubServer) -> None:
    async with chromium("--use-fake-ui-for-media-stream", executable=page_engine()) as browser:
        page = await browser.new_page()
        await page.goto(stub.url)
        await page.click("#go")
        await expect_error(page, "noDevice", "Connect a microphone")
        await expect(page.locator("[data-step=device]")).to_have_attribute("data-state", "failed")


async def test_a_microphone_that_another_program_holds(open_page: OpenPage) -> None:
    page = await open_page()
    # No machine of ours can make Chromium's fake device busy, so its answer is put in its place.
    await page.evaluate(
        """() => { navigator.mediaDevices.getUserMedia = () =>
            Promise.reject(new DOMException("Could not start audio source", "NotReadableError")); }"""
    )
    await page.click("#go")
    await expect_error(page, "inUse", "Another program probably uses it")
    await expect(page.locator("#notice .detail")).to_contain_text("NotReadableError")


async def test_a_server_that_cannot_be_reached_by_media(open_page: OpenPage, stub: StubServer) -> None:
    stub.is_reachable_by_media = False
    page = await open_page()
    await give_up_soon(page)
    await page.reload()
    await page.wait_for_selector("html[data-ready]", state="attached")
    await page.click("#go")
    await expect_error(page, "iceFailed", "media.announce")
    await expect(page.locator("[data-step=connection]")).to_have_attribute("data-state", "failed")


async def test_a_server_that_is_gone(open_page: OpenPage, stub: StubServer) -> None:
    page = await open_page()
    await stub.stop()
    await page.click("#go")
    await expect_error(page, "unreachable", "Check that the server is running")
    await expect(page.locator("#banners .bad")).to_contain_text("does not respond")


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (429, "busy", "Try again in 7 seconds"),
        (503, "not_ready", "in 7 seconds"),
        (422, "refused", "message: no room"),
    ],
)
async def test_a_refusal_is_explained(
    open_page: OpenPage, stub: StubServer, status: int, code: str, says: str
) -> None:
    stub.refusal = (status, "no room", {"Retry-After": "7"})
    page = await open_page()
    await page.click("#go")
    await expect_error(page, code, says)
    stub.refusal = None
    await page.click("#go")
    await expect(page.locator("#button-text")).to_have_text("Stop")
    await expect(page.locator("#notice")).to_be_hidden()


async def test_the_token_is_asked_for_once_and_kept_for_the_tab(
    open_page: OpenPage, stub: StubServer
) -> None:
    stub.token = "open-sesame"
    page = await open_page()
    await page.click("#go")
    await page.fill("#token-value", "open-sesame")
    await page.click("#token button[value=use]")
    await expect(page.locator("#button-text")).to_have_text("Stop")
    assert await page.evaluate(
        "localStorage.length === 0 || !JSON.stringify(localStorage).includes('sesame')"
    )
    await page.goto(f"{stub.url}/watch")
    await expect(page.locator("#live")).to_have_attribute("data-state", "live")


async def test_a_watching_page_asks_for_the_token_too(open_page: OpenPage, stub: StubServer) -> None:
    stub.token = "open-sesame"
    page = await open_page("/watch")
    await page.fill("#token-value", "open-sesame")
    await page.click("#token button[value=use]")
    await expect(page.locator("#live")).to_have_attribute("data-state", "live")


async def test_a_wrong_token_is_said_and_can_be_corrected(open_page: OpenPage, stub: StubServer) -> None:
    stub.token = "open-sesame"
    page = await open_page()
    await page.click("#go")
    await page.fill("#token-value", "wrong")
    await page.click("#token button[value=use]")
    await expect_error(page, "bad_token", "Ask the operator")
    await page.click("#go")
    await page.fill("#token-value", "open-sesame")
    await page.keyboard.press("Enter")
    await expect(page.locator("#button-text")).to_have_text("Stop")
