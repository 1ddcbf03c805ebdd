"""Headless Chromium for tests: how it is started, and the WAV its fake microphone speaks.

The flags stand in docs/howto; `--no-sandbox` because tests run as root in containers.
"""

from __future__ import annotations

import contextlib
import wave
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
from playwright.async_api import Browser, Page, Route, async_playwright

from host_stt.contract import Float32Array

EXECUTABLE = "/usr/bin/chromium"
HEADLESS_SHELL = "/usr/bin/chromium-headless-shell"
"""The same engine without the browser around it: a page costs a third of the processor time."""
ARGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--allow-loopback-in-peer-connection",
)
FAKE_MICROPHONE = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
PATIENCE = "const CONNECT_MS = 12_000;"
CAPTURE_RATE = 48_000  # the fake device's own; another rate would be resampled once more


def page_engine() -> str:
    """The program for tests of pages alone: the headless shell, or Chromium where the shell is not installed.

    The tests of first words and of live listening use Chromium as its users have it.
    """
    return HEADLESS_SHELL if Path(HEADLESS_SHELL).exists() else EXECUTABLE


@contextlib.asynccontextmanager
async def chromium(*extra: str, executable: str = EXECUTABLE) -> AsyncIterator[Browser]:
    """A started browser, closed at the end of the block. extra: flags in addition to ARGS."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=[*ARGS, *extra])
        try:
            yield browser
        finally:
            await browser.close()


async def give_up_soon(page: Page) -> None:
    """Let a page yet to be opened wait 2 s for WebRTC, not 12 as in tests/scenarios/test_networks.py."""

    async def hasty(route: Route) -> None:
        answer = await route.fetch()
        script = await answer.text()
        assert PATIENCE in script
        await route.fulfill(response=answer, body=script.replace(PATIENCE, "const CONNECT_MS = 2_000;"))

    await page.route("**/connection.js", hasty)


def microphone_plays(wav: Path) -> tuple[str, ...]:
    """Flags of a fake microphone that speaks `wav` once, beginning when it is opened, and is then silent."""
    return (*FAKE_MICROPHONE, f"--use-file-for-fake-audio-capture={wav}%noloop")


def write_capture(wav: Path, pieces: Sequence[Float32Array]) -> Path:
    """pieces: float32 at 16 kHz; written as 48 kHz mono s16, the fake device's own form."""
    samples = np.concatenate(pieces)
    at = np.arange(len(samples) * 3) / 3
    stretched = np.interp(at, np.arange(len(samples)), samples)
    with wave.open(str(wav), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(CAPTURE_RATE)
        out.writeframes((np.clip(stretched, -1, 1) * 32767).astype("<i2").tobytes())
    return wav
