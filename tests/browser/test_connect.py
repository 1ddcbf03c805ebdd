"""The page /connect with the real server: settings to copy, and a light that shows a client's sound."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import numpy as np
import pytest
from playwright.async_api import Browser, expect

from tests.browser.axe import expect_clean
from tests.support.desk import a_config, running_desk
from tests.support.polling import until

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

NOISE = (np.random.default_rng(1).normal(0, 0.1, 800) * 32767).astype("<i2").tobytes()


async def test_the_settings_are_copied_and_the_light_shows_a_client(browser: Browser, tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        context = await browser.new_context(viewport={"width": 390, "height": 844}, locale="ko-KR")
        page = await context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto(f"{desk.url}/connect")
        await page.wait_for_selector("html[data-ready]", state="attached")
        vosk = page.locator(".client", has=page.locator("#client-vosk"))
        await expect(vosk.locator("code")).to_have_text(desk.url.replace("http", "ws") + "/vosk?token=TOKEN")
        await expect(vosk.locator(".light")).to_have_text("기다리는 중")
        await expect(vosk.locator("h2")).to_have_text("Vosk 서버")
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390
        await expect_clean(page)

        await page.set_viewport_size({"width": 1366, "height": 768})
        await page.locator("#language").press("Enter")
        await expect(vosk.locator("h2")).to_have_text("Vosk server")
        copy = vosk.get_by_role("button", name="Copy: example for Vosk server")
        await copy.press("Enter")
        await expect(vosk.locator(".example button")).to_have_text("Copied")
        async with desk.client.ws_connect(f"{desk.url}/vosk") as socket:
            await socket.send_bytes(bytes(3200))  # silence
            await expect(vosk.locator(".light")).to_have_attribute("data-state", "open", timeout=10_000)

            async def is_heard() -> bool:
                await socket.send_bytes(NOISE)
                await asyncio.sleep(0.05)
                return await vosk.locator(".light").get_attribute("data-state") == "heard"

            await until(is_heard)
            await expect(page.locator("#heard")).to_contain_text("Vosk server: We hear you: C01")
            await expect_clean(page)
        await expect(vosk.locator(".light")).to_have_text(re.compile("^Heard until .*: C01$"), timeout=10_000)
        await context.close()
        assert errors == []
