"""How a connection ends, and how it comes back: no word is lost, and the page says what it does not know."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.stub import StubServer
from tests.support.polling import until

pytestmark = [pytest.mark.browser, pytest.mark.peer, pytest.mark.asyncio(loop_scope="session")]


async def begin(page: Page, stub: StubServer) -> None:
    await page.click("#go")
    await expect(page.locator("#button-text")).to_have_text("Stop")
    await stub.data_channel_opened()


async def test_stop_waits_for_the_last_words(open_page: OpenPage, stub: StubServer) -> None:
    page = await open_page()
    await begin(page, stub)
    stub.last_words = [{"text": "over and out", "start_ms": 4000, "end_ms": 5000}]
    await page.click("#go")
    await expect(page.locator(".line p")).to_have_text("over and out")
    await expect(page.locator("[data-step=text] .detail")).to_have_text("finished, nothing lost")
    assert stub.deleted == ["c_1"]
    await expect(page.locator("#button-text")).to_have_text("Start")


async def test_last_words_that_miss_the_data_channel_are_fetched(
    open_page: OpenPage, stub: StubServer
) -> None:
    page = await open_page()
    await begin(page, stub)
    stub.forget_data_channels()
    stub.last_words = [{"text": "over and out", "start_ms": 4000, "end_ms": 5000}]
    await page.click("#go")
    await expect(page.locator(".line p")).to_have_text("over and out")
    await expect(page.locator("[data-step=text] .detail")).to_have_text("finished, nothing lost")


async def test_a_connection_that_breaks_comes_back_and_resumes(open_page: OpenPage, stub: StubServer) -> None:
    page = await open_page()
    await begin(page, stub)
    stub.final("before", 1000, 2000)
    await expect(page.locator(".line")).to_have_count(1)
    stub.refusal = (503, "not yet", {})
    await stub.drop_peers()
    await expect(page.locator("#interim")).to_contain_text("Keep talking: the last 30 seconds are kept")
    stub.refusal = None
    await until(lambda: stub.resumed_since is not None)
    assert stub.offers[-1]["resume"] == "r_1"
    assert stub.resumed_since == 1
    stub.final("after", 3000, 4000)
    await expect(page.locator(".line p")).to_have_text(["before", "after"])
    await expect(page.locator("#button-text")).to_have_text("Stop")
    await expect(page.locator("#interim")).not_to_contain_text("Keep talking")


async def test_the_page_asks_again_while_an_older_question_is_still_unanswered(
    open_page: OpenPage, stub: StubServer
) -> None:
    page = await open_page()
    await begin(page, stub)
    stub.swallows = "/health"
    await stub.drop_peers()
    await until(lambda: stub.unheard_max >= 2)
    stub.swallows = ""  # those that wait are lost for good
    await until(lambda: len(stub.offers) > 1)
    assert stub.offers[-1]["resume"] == "r_1"


async def test_an_offer_into_a_network_that_is_gone_again_is_given_up(
    open_page: OpenPage, stub: StubServer
) -> None:
    page = await open_page()
    await begin(page, stub)
    stub.swallows = "/offer"
    await stub.drop_peers()
    await until(lambda: len(stub.offers) == 2)
    stub.swallows = ""
    await until(lambda: len(stub.offers) > 2)
    await expect(page.locator("main")).to_have_attribute("data-phase", "live")


async def test_a_server_that_begins_anew_is_found_again(open_page: OpenPage, stub: StubServer) -> None:
    page = await open_page()
    await begin(page, stub)
    stub.final("before", 1000, 2000)
    await expect(page.locator(".line")).to_have_count(1)
    port = stub.port
    await stub.stop()
    stub.session, stub.events = "s_new", []
    await stub.start(port)
    await until(lambda: len(stub.offers) > 1)
    assert stub.offers[-1]["resume"] == "r_1"  # a server that knows it not gives a new channel
    stub.forget_data_channels(only_closed=True)
    await stub.data_channel_opened()
    stub.final("after", 100, 900)
    await expect(page.locator(".line p")).to_have_text(["before", "after"])
    await expect(page.locator(".note")).to_contain_text("new session")


async def test_leaving_the_page_ends_the_connection(open_page: OpenPage, stub: StubServer) -> None:
    page = await open_page()
    await begin(page, stub)
    await page.goto(f"{stub.url}/watch")
    await until(lambda: bool(stub.deleted))
    assert stub.deleted == ["c_1"]


async def test_a_reload_brings_the_lines_back(open_page: OpenPage, stub: StubServer) -> None:
    page = await open_page()
    await begin(page, stub)
    stub.final("alpha one", 1000, 2000)
    await expect(page.locator(".line")).to_have_count(1)
    await page.reload()
    await expect(page.locator(".line p")).to_have_text("alpha one")
    assert "alpha" not in await page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")


async def test_a_reload_in_the_middle_of_speech_goes_on_with_the_same_token(
    open_page: OpenPage, stub: StubServer
) -> None:
    page = await open_page()
    await begin(page, stub)
    await page.reload()
    await expect(page.locator("#button-text")).to_have_text("Stop")
    assert [offer.get("resume") for offer in stub.offers] == [None, "r_1"]
    await page.click("#go")
    await expect(page.locator("#button-text")).to_have_text("Start")
    await page.reload()
    await expect(page.locator("#button-text")).to_have_text("Start")
    assert len(stub.offers) == 2
    assert await kept_pieces(page) == 0


async def kept_pieces(page: Page) -> int:
    """Pieces of sound in the browser's own store."""
    count: int = await page.evaluate(
        """() => new Promise((done) => {
            const opening = indexedDB.open("host-stt", 1);
            opening.onsuccess = () => {
                const { result } = opening;
                if (!result.objectStoreNames.contains("audio")) return done(0);
                const asked = result.transaction("audio").objectStore("audio").count();
                asked.onsuccess = () => done(asked.result);
            };
        })"""
    )
    return count


async def test_a_connection_that_stays_away_is_said_and_the_words_are_kept(
    open_page: OpenPage, stub: StubServer
) -> None:
    page = await open_page()
    await begin(page, stub)
    stub.final("before", 1000, 2000)
    await expect(page.locator(".line")).to_have_count(1)
    await stub.stop()
    await expect(page.locator("main")).to_have_attribute("data-phase", "reconnecting")
    await expect(page.locator("[data-step=connection]")).to_contain_text("connecting again")
    await page.click("#go")
    await expect(page.locator("[data-step=text] .detail")).to_contain_text("not confirmed")
    await expect(page.locator(".line p")).to_have_text("before")
    await expect(page.locator("#button-text")).to_have_text("Start")
