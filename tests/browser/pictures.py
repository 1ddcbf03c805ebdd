"""The pictures of the README and the tutorials, of real runs: `scripts/screenshot [FOLDER] [mic|desk]`.

A real server with Whisper base gets recorded speech through the fake microphone of a headless Chromium. The
recordings are public-domain clips in the folder that HOST_STT_SPEECH_DIR names; they are not part of the
project. The picture is taken while a person still speaks, so that both finals and an interim are seen. The
desk shows the simulated channels.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path

import aiohttp
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
TALK = 0.1
"""Share of time with speech on the simulated channels, so that a small machine keeps up."""
LINES = 20
BUSY_WALL = f"""document.querySelectorAll('.tile .line').length >= {LINES} &&
    document.querySelector('.tile[data-state=talking]') !== null"""
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


async def take_desk(server: LiveServer, folder: Path) -> None:
    async with aiohttp.ClientSession() as client:
        async with client.post(f"{server.url}/api/simulation", json={"talk": TALK}) as response:
            session = (await response.json())["session"]
        async with chromium() as browser:
            page = await opened(browser, f"{server.url}/desk?session={session}", "dark", 1520, 855)
            await until_shown(page, BUSY_WALL)
            await page.screenshot(path=folder / "desk.png", animations="disabled")
            await page.set_viewport_size({"width": 1366, "height": 768})
            await page.keyboard.press("c")
            await page.locator("#focus-log .segment").first.click()
            await expect(page.locator("#player")).to_be_visible()
            await page.screenshot(path=folder / "desk-channel.png", animations="disabled")
            phone = await opened(browser, f"{server.url}/desk?session={session}", "light", 390, 844)
            await expect(phone.locator(".row .last:not(:empty)").nth(5)).to_be_visible(timeout=WAIT_MS)
            await phone.screenshot(path=folder / "desk-phone.png", animations="disabled")
        async with client.delete(f"{server.url}/api/simulation"):
            pass


async def main(folder: Path, only: str) -> None:
    model = find_base_model()
    if only != "mic":
        with tempfile.TemporaryDirectory() as scratch:
            server = LiveServer(Path(scratch), f"engine.model={model}")
            with server.running():
                await take_desk(server, folder)
    if only == "desk":
        return
    for scheme, name, size in (("dark", "", (1366, 768)), ("light", "-phone", (390, 844))):
        with tempfile.TemporaryDirectory() as scratch:
            server = LiveServer(Path(scratch), f"engine.model={model}")
            with server.running():
                await take(server, folder, scheme, name, size)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(target, sys.argv[2] if len(sys.argv) > 2 else ""))
