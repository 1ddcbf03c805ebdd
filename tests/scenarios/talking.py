"""Chromium in one namespace sends its fake microphone to a server in another; reads what arrived."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

TALK = Path(__file__).with_name("talk.js").read_text(encoding="utf-8")
BUSY_BOX_MS = 60_000


@asynccontextmanager
async def a_page(browser: Browser, url: str) -> AsyncIterator[Page]:
    """On the server's page, of an origin that may use the microphone."""
    context = await browser.new_context(permissions=["microphone"], ignore_https_errors=True)
    try:
        page = await context.new_page()
        await page.goto(f"{url}/health", timeout=BUSY_BOX_MS)
        yield page
    finally:
        await context.close()


async def talk(page: Page, seconds: float, **options: Any) -> dict[str, Any]:
    """Send the fake microphone for a while; returns the browser's statistics."""
    told: dict[str, Any] = await page.evaluate(TALK, {"seconds": seconds, **options})
    return told


async def figures(page: Page) -> dict[str, float]:
    text = await page.evaluate("fetch('/metrics').then((answer) => answer.text())")
    return {name: float(value) for name, value in re.findall(r"(?m)^(host_stt_\w+) (\S+)$", text)}


async def audio_s(page: Page) -> float:
    return (await figures(page))["host_stt_speech_audio_ms_total"] / 1000


async def assert_audio_arrives(page: Page, before_s: float, seconds: float) -> None:
    """At least `seconds` more seconds of audio have arrived since `before_s`."""
    for _ in range(100):
        if await audio_s(page) - before_s >= seconds:
            return
        await page.wait_for_timeout(100)
    pytest.fail(f"{await audio_s(page) - before_s:.1f} s of sound arrived, {seconds:.1f} s were sent")


async def start_microphone(page: Page) -> None:
    """Press Start on the microphone page, and wait until it sends."""
    await page.goto(re.sub(r"(//[^/]+).*", r"\1/", page.url), timeout=BUSY_BOX_MS)
    await page.click("#go")
    await expect(page.locator("main")).to_have_attribute("data-phase", "live", timeout=BUSY_BOX_MS)
