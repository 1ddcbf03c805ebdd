"""The pictures of the README, taken of a real run: `scripts/screenshot [FOLDER]`.

A real server with Whisper base gets recorded speech through the fake microphone of a headless Chromium. The
recordings are public-domain clips in the folder that HOST_STT_SPEECH_DIR names; they are not part of the
project. The picture is taken while a person still speaks, so that both finals and an interim are seen.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from playwright.async_api import Browser, Page, expect

from host_stt.contract import Float32Array
from host_stt_common.audio_file import AudioFile
from tests.browser.chromium import chromium, microphone_plays, write_capture
from tests.browser.live import LiveServer
from tests.support.base_model import find_base_model
from tests.support.polling import until
from tests.support.speech import silence

CLIPS = ("jfk.flac", "real/en/en-conv-nasa-spacewalk.flac")
"""A speech of 1961 and a NASA interview, both in the public domain in the United States."""
TERMS = "Kennedy\nNASA\nISS"
STILL_HEARING = "document.querySelector('#interim.hearing .words')?.textContent.length > 24"
LONG_TEXT = "document.querySelector('#log').textContent.length > 260"
WAIT_MS = 120_000
CLIP_S_MAX = 60


def samples_of(clip: Path) -> Float32Array:
    """The clip as mono at 16 kHz, a little under full scale."""
    with AudioFile(clip, CLIP_S_MAX) as audio:
        samples: Float32Array = np.concatenate(list(audio))
    return samples * np.float32(0.7 / np.abs(samples).max())


def speech(folder: Path) -> Path:
    pieces = [silence(5.0)]
    for name in CLIPS:
        pieces += [samples_of(Path(os.environ["HOST_STT_SPEECH_DIR"]) / name), silence(1.6)]
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
            page = await opened(browser, server.url, scheme, *size)
            await page.fill("#terms", TERMS)
            await page.click("#glossary button")
            await expect(page.locator("#glossary .status")).to_contain_text("In use", timeout=WAIT_MS)
            await page.select_option("#spoken", "en")
            await page.click("#go")
            await until_shown(page, f"{LONG_TEXT} && {STILL_HEARING}")
            await page.screenshot(path=folder / f"mic{name}.png", animations="disabled")
            # Opened late, because a second page costs the delay that the first one shows.
            watching = await opened(browser, f"{server.url}/watch", scheme, *size)
            await expect(watching.locator(".interim.hearing")).to_be_visible(timeout=WAIT_MS)
            await watching.screenshot(path=folder / f"watch{name}.png", animations="disabled")
            await page.click("#go")
            await expect(page.locator("#go")).to_have_text("Start", timeout=WAIT_MS)


async def main(folder: Path) -> None:
    model = find_base_model()
    for scheme, name, size in (("dark", "", (1366, 768)), ("light", "-phone", (390, 844))):
        with tempfile.TemporaryDirectory() as scratch:
            server = LiveServer(Path(scratch), f"engine.model={model}")
            with server.running():
                await take(server, folder, scheme, name, size)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(target))
