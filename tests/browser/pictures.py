"""The pictures of the README, taken of a real run: `scripts/screenshot [FOLDER]`.

Speaks phrases into the fake microphone of a headless Chromium and takes the picture while a phrase is still
being heard, so that both finals and an interim are seen.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from playwright.async_api import Browser, Page, expect

from tests.browser.chromium import chromium, microphone_plays, write_capture
from tests.browser.live import LiveServer
from tests.support.polling import until
from tests.support.speech import say, silence

PHRASES = (
    "alpha one proceed to gate seven over",
    "bravo two hold at bridge five over",
    "engine four we are at checkpoint two",
    "tango eight arriving at runway six",
)
TERMS = "Alpha-1\nBravo-2\nTango-8"
SETTLED = 3  # lines to wait for; the next phrase is then still being heard
STILL_HEARING = "document.querySelector('#interim.hearing .words')?.textContent.length > 24"
WAIT_MS = 120_000


def speech(folder: Path) -> Path:
    pieces = [silence(5.0)]
    for phrase in PHRASES:
        # A little under full scale, as a well set microphone gives it.
        pieces += [say(phrase, "en") * 0.7, silence(1.6)]
    return write_capture(folder / "speech.wav", pieces)


async def opened(browser: Browser, url: str, scheme: str, width: int, height: int) -> Page:
    context = await browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        permissions=["microphone"],
        locale="en-GB",
        device_scale_factor=2 if width < 500 else 1,
    )
    page = await context.new_page()
    await page.goto(url)
    return page


async def until_shown(page: Page, condition: str) -> None:
    """Ask again and again from out here: the content policy forbids Playwright's own way of waiting."""
    await until(lambda: page.evaluate(condition), WAIT_MS / 1000, condition)


async def take(server: LiveServer, folder: Path, scheme: str, name: str, size: tuple[int, int]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        async with chromium(*microphone_plays(speech(Path(scratch)))) as browser:
            watching = await opened(browser, f"{server.url}/watch", scheme, *size)
            page = await opened(browser, server.url, scheme, *size)
            await page.fill("#terms", TERMS)
            await page.click("#glossary button")
            await expect(page.locator("#glossary .status")).to_contain_text("In use", timeout=WAIT_MS)
            await page.select_option("#spoken", "en")
            await page.click("#go")
            await until_shown(
                page, f"document.querySelectorAll('.line').length >= {SETTLED} && {STILL_HEARING}"
            )
            await page.screenshot(path=folder / f"mic{name}.png")
            await until_shown(page, f"document.querySelectorAll('.line').length >= {len(PHRASES)}")
            await page.click("#go")
            await expect(page.locator("#go")).to_have_text("Start", timeout=WAIT_MS)
            await expect(watching.locator(".line").last).to_be_visible(timeout=WAIT_MS)
            await watching.screenshot(path=folder / f"watch{name}.png")


async def main(folder: Path) -> None:
    for scheme, name, size in (("dark", "", (1366, 768)), ("light", "-phone", (390, 844))):
        with tempfile.TemporaryDirectory() as scratch:
            server = LiveServer(Path(scratch))
            with server.running():
                await take(server, folder, scheme, name, size)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(target))
