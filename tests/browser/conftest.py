"""Browsers, the stand-in server, and the real server processes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, ViewportSize, expect

from tests.browser.chromium import FAKE_MICROPHONE, chromium, page_engine
from tests.browser.live import LiveServer
from tests.browser.stub import StubServer

OpenPage = Callable[..., Awaitable[Page]]
DESKTOP = ViewportSize(width=1366, height=768)
PHONE = ViewportSize(width=390, height=844)

expect.set_options(timeout=30_000)  # 5 s, its default, is too short where four test processes share two cores


@pytest_asyncio.fixture(loop_scope="session")
async def stub() -> AsyncIterator[StubServer]:
    async with StubServer().running() as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def started_browser() -> AsyncIterator[Browser]:
    async with chromium(*FAKE_MICROPHONE, executable=page_engine()) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="session")
async def browser(started_browser: Browser) -> AsyncIterator[Browser]:
    """One for all tests, whose microphone is Chromium's own beeping one, always allowed.

    Pages that a test leaves open are closed after it, also when it fails: a page that looks for its stopped
    server would take processor time from all later tests.
    """
    yield started_browser
    for context in started_browser.contexts:
        await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(browser: Browser, stub: StubServer) -> AsyncIterator[OpenPage]:
    """open_page(path, viewport=…, locale=…, color_scheme=…): a page of the stand-in, ready to be used."""
    contexts: list[BrowserContext] = []

    async def opened(path: str = "/", **options: Any) -> Page:
        defaults = {"viewport": DESKTOP, "locale": "en-GB", "permissions": ["microphone"]}
        # Animations would be drawn by the processor, because there is no graphics card.
        options = {**defaults, "reduced_motion": "reduce", **options}
        context = await browser.new_context(**options)
        contexts.append(context)
        page = await context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto(stub.url + path)
        await page.wait_for_selector("html[data-ready]", state="attached")
        assert errors == []
        return page

    yield opened
    for context in contexts:
        await context.close()


@pytest.fixture(scope="session")
def live_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """The real engine and media processes with the starter model, ended by SIGTERM."""
    folder: Path = tmp_path_factory.mktemp("live")
    with LiveServer(folder).running() as server:
        yield server
