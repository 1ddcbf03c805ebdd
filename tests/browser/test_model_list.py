"""The health page's list of models: the costs, and the button that changes the model."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, ViewportSize, expect

from tests.browser.axe import expect_clean
from tests.browser.conftest import DESKTOP, PHONE
from tests.browser.live import LiveServer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]
FIGURES_MS = 15_000  # until the page has read the server, on a busy machine


def _model(name: str, final_ms: int | None, p95_ms: int | None, *, note: str = "") -> dict[str, Any]:
    keeps_limit = None if p95_ms is None else p95_ms <= 1000
    return {
        "name": name,
        "is_chosen": name == "base",
        "final_ms": final_ms,
        "final_p95_ms": p95_ms,
        "keeps_limit": keeps_limit,
        "note": note,
    }


MODELS = [
    _model("small", 1500, 3410),
    _model("base", 301, 714),
    _model("mine", None, None, note="auto does not take it, because its accuracy is not known"),
]


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser, live_server: LiveServer) -> AsyncIterator[Page]:
    """The health page of a real server whose engine says that it has MODELS."""
    context = await browser.new_context(viewport=PHONE)
    page = await context.new_page()

    async def with_models(route: Route) -> None:
        answer = await route.fetch()
        body = await answer.json()
        body["engine"] |= {"models": MODELS, "channels_expected": 4, "model_reason": "chosen in the config"}
        await route.fulfill(status=answer.status, body=json.dumps(body))

    await page.route("**/ready", with_models)
    await page.goto(f"{live_server.url}/health-page")
    yield page
    await page.unroute_all(behavior="ignoreErrors")
    await context.close()


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP])
async def test_every_model_is_listed_with_its_cost(page: Page, viewport: ViewportSize) -> None:
    await page.set_viewport_size(viewport)
    rows = page.locator("#models-list tbody tr")
    await expect(rows).to_have_count(4, timeout=FIGURES_MS)
    await expect(rows.nth(0)).to_contain_text("too slow for these channels")
    await expect(rows.nth(1)).to_contain_text("301\u00a0ms")
    await expect(rows.nth(1)).to_contain_text("in use")
    await expect(rows.nth(2)).to_contain_text("not measured")
    await expect(rows.nth(3).get_by_role("button", name="Use auto")).to_be_visible()
    await expect(page.locator("#models-about")).to_contain_text("for 4 channels")
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await expect_clean(page)


async def test_one_click_changes_the_model_and_says_what_happens(page: Page) -> None:
    asked: list[Any] = []

    async def changed(route: Route) -> None:
        asked.append(route.request.post_data_json)
        body = {"model": "small", "message": "the engine is restarted with engine.model: small"}
        await route.fulfill(status=200, body=json.dumps(body))

    await page.route("**/api/model", changed)
    await page.get_by_role("button", name="Use small").click(timeout=FIGURES_MS)
    await expect(page.locator("#models-said")).to_have_text(
        "the engine is restarted with engine.model: small", timeout=FIGURES_MS
    )
    assert asked == [{"model": "small"}]


async def test_a_refused_change_shows_the_servers_sentence(page: Page) -> None:
    """The server of these tests has another list than the page, so it refuses for real."""
    await page.get_by_role("button", name="Use mine").click(timeout=FIGURES_MS)
    await expect(page.locator("#models-said")).to_contain_text(
        "The model was not changed: ", timeout=FIGURES_MS
    )
