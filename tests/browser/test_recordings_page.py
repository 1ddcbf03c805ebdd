"""The page of recordings on a real server: send files, read their text, hear it with the words marked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, expect

from tests.browser.axe import expect_clean
from tests.browser.conftest import DESKTOP, PHONE
from tests.support.desk import Desk
from tests.webrtc_host.jobs.helpers import a_server, accepted, talk, wav
from tests.webrtc_host.recovery.crashing import word_per_half_second
from tests.webrtc_host.speech.engine_server import engine_server
from webrtc_host.keys import ARCHIVE

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

CALL = wav(talk("alpha one proceed to gate seven"), talk("echo six hold", pause_s=9))


def a_file(name: str, data: bytes) -> Any:
    return {"name": name, "mimeType": "application/octet-stream", "buffer": data}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    async with engine_server(word_per_half_second) as engine:
        async with a_server(tmp_path_factory.mktemp("recordings"), engine) as desk:
            yield desk


async def opened(browser: Browser, desk: Desk, **options: Any) -> Page:
    context = await browser.new_context(**{"viewport": DESKTOP, "locale": "en-GB", **options})
    page = await context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    await page.goto(f"{desk.url}/recordings")
    await page.wait_for_selector("html[data-ready]", state="attached")
    assert errors == []
    return page


async def expect_clean_and_narrow(page: Page) -> None:
    await expect_clean(page)
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_files_are_sent_read_and_heard_word_by_word(browser: Browser, desk: Desk) -> None:
    page = await opened(browser, desk, color_scheme="dark")
    await page.select_option("#channels", "split")
    await page.set_input_files("#files", [a_file("call.wav", CALL), a_file("notes.txt", b"no recording" * 9)])
    await expect(page.locator("#jobs [data-state=completed] b")).to_have_text("call")
    refused = page.locator("#uploads .bad")
    await expect(refused).to_contain_text("notes.txt: the file cannot be read as a recording")
    await refused.get_by_role("button").click()
    await expect(refused).to_have_count(0)

    await expect(page.locator("#detail-heading")).to_have_text("call")
    await expect(page.locator("#text .part").first).to_be_visible()
    assert set(await page.locator("#text .who").all_inner_texts()) == {"left", "right"}
    assert await page.locator("#exports a").all_inner_texts() == ["TXT", "SRT", "VTT", "CSV", "JSONL"]
    path = await page.locator("#exports a").nth(1).get_attribute("href")
    async with desk.client.get(str(path)) as response:
        assert response.status == 200 and "-->" in await response.text()

    archive = desk.app[ARCHIVE].archive
    assert archive is not None
    word = page.locator("#text .part p span").nth(1)
    await page.wait_for_timeout(1000)  # the archive writes its last packets
    await word.click()
    await expect(page.locator("#text span.heard")).to_have_count(1)
    await expect(page.locator("#play")).to_have_text("Pause")
    await page.click("#play")
    await expect(page.locator("#play")).to_have_text("Play")
    await expect_clean_and_narrow(page)
    await page.context.close()


async def test_a_summary_is_made_with_the_text_or_later_and_leads_to_its_lines(
    browser: Browser, desk: Desk
) -> None:
    page = await opened(browser, desk, color_scheme="light")
    await page.select_option("#summary", label="General")
    await page.set_input_files("#files", [a_file("with.wav", CALL)])
    await expect(page.locator("#detail-heading")).to_have_text("with")
    sentence = page.locator("#summary-of article li").first
    await expect(sentence).to_be_visible()
    await expect(page.locator("#summary-of .maker")).to_contain_text("No language model is set up")
    await sentence.locator(".cite").first.click()
    focused = page.locator("#text .part", has=page.locator(".time:focus"))
    assert (await focused.locator("p").inner_text()) in await sentence.inner_text()
    await expect_clean_and_narrow(page)

    await page.select_option("#summary", "")
    await page.set_input_files("#files", [a_file("without.wav", CALL)])
    row = page.locator("#jobs [data-state=completed] .open", has_text="without")
    await row.click()
    await expect(page.locator("#detail-heading")).to_have_text("without")
    await expect(page.locator("#summary-of")).to_be_visible()
    await expect(page.locator("#summary-of article")).to_be_hidden()
    await page.get_by_role("button", name="Make a summary").click()
    await expect(page.locator("#summary-of article li").first).to_be_visible()
    await page.click("#language")
    await expect(page.locator("#summary-of .head h3")).to_have_text("요약")
    await expect_clean_and_narrow(page)
    await page.context.close()


async def test_a_finished_recording_is_shown_from_its_beginning(browser: Browser, desk: Desk) -> None:
    page = await opened(browser, desk, viewport={"width": 1200, "height": 500})
    await accepted(desk, wav(talk(*["alpha one"] * 12)), "many.wav")
    await page.locator("#jobs [data-state=completed] .open", has_text="many").click()
    await expect(page.locator("#text .part")).to_have_count(12)
    room, top = await page.evaluate("[text.scrollHeight - text.clientHeight, text.scrollTop]")
    assert room > 100 and top == 0, (room, top)
    await page.context.close()


async def test_on_a_phone_in_korean_by_keyboard(browser: Browser, desk: Desk) -> None:
    page = await opened(browser, desk, viewport=PHONE, locale="ko-KR", color_scheme="light")
    await expect(page.locator("#nothing")).to_have_text("읽고 들을 녹음을 고르세요.")
    await page.set_input_files("#files", [a_file("야간.wav", CALL)])
    row = page.locator("#jobs .open", has_text="야간").first
    await expect(row).to_contain_text("완료")
    await row.focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#detail-heading")).to_be_focused()
    await expect(page.locator("#text .time").first).to_be_visible()
    await page.fill("#find", "없는 이름")
    await expect(page.locator("#jobs-note")).to_have_text("이름에 이 말이 들어간 녹음이 없습니다.")
    await page.fill("#address", "ftp://files.example/a.wav")
    await page.keyboard.press("Enter")
    await expect(page.locator("#notice")).to_contain_text("must begin with http")
    await expect_clean_and_narrow(page)
    await page.context.close()


async def test_an_upload_goes_on_after_a_lost_connection_and_after_a_reload(
    browser: Browser, desk: Desk, tmp_path: Path
) -> None:
    path = tmp_path / "shift.wav"
    path.write_bytes(CALL)
    page = await opened(browser, desk, color_scheme="light")
    offsets: list[str] = []
    is_cut = True

    async def pass_on(route: Route) -> None:
        """While the connection is cut, the server gets only the first 40,000 bytes."""
        if route.request.method != "PATCH":
            return await route.continue_()
        offsets.append(str(await route.request.header_value("upload-offset")))
        if not is_cut:
            return await route.continue_()
        if len(offsets) == 1:
            url, data = route.request.url, CALL[:40_000]
            async with desk.client.patch(url, data=data, headers=tus_headers(0)) as response:
                assert response.status == 204
        await route.abort("connectionreset")

    await page.route("**/api/uploads/*", pass_on)
    await page.set_input_files("#files", path)
    row = page.locator("#uploads li")
    await expect(row).to_contain_text("goes on by itself")
    await page.reload()
    await expect(row).to_contain_text("Choose the file again")
    await expect_clean_and_narrow(page)
    is_cut = False
    await page.set_input_files("#files", path)
    await expect(page.locator("#jobs .open", has_text="shift").first).to_be_visible()
    await expect(row).to_have_count(0)
    assert offsets[0] == "0" and offsets[-1] == "40000", "what the server has is not sent again"
    await page.context.close()


def tus_headers(offset: int) -> dict[str, str]:
    return {
        "Tus-Resumable": "1.0.0",
        "Upload-Offset": str(offset),
        "Content-Type": "application/offset+octet-stream",
    }
